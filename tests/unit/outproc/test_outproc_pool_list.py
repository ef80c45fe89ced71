"""The list of endpoints of a pool: what stays, what goes, when a first dial may be given up."""

from __future__ import annotations

import pytest

from litz.wire import Endpoint
from outproc.pool import MAX_ENDPOINTS
from outproc.slots import Building
from tests.unit.outproc.pool_kit import A, B, C, M, Wire, cooling, pool_of, ready, slot

# Giving up, and starting afresh.


def test_all_have_failed_once_each_has() -> None:
    pool = pool_of(A, B)
    pool.begin(100.0)
    pool.failed(A, OSError("a1"), 100.0)
    assert pool.all_failed() == ()
    pool.begin(100.0)
    pool.begin(101.0)
    pool.failed(A, OSError("a2"), 101.0)
    assert pool.all_failed() == ()
    pool.failed(B, OSError("b1"), 101.0)
    assert [str(each) for each in pool.all_failed()] == ["ws://a: OSError: a2", "ws://b: OSError: b1"]
    pool.begin(102.0)
    assert len(pool.all_failed()) == 2
    assert pool.built(B, Wire(), 102.5)
    assert pool.all_failed() == ()


def test_a_proved_wire_wipes_what_failed_before() -> None:
    pool = pool_of(A)
    pool.begin(100.0)
    pool.failed(A, OSError(), 100.0)
    (wire,) = ready(pool, A, now=101.0)
    pool.proved(wire)
    pool.lost(wire, 102.0)
    assert pool.all_failed() == ()


def test_an_interrupt_starts_what_waits_afresh_and_nothing_else() -> None:
    pool = pool_of(A, B, C)
    ready(pool, A)
    pool.begin(100.0)
    pool.failed(B, OSError(), 100.0)
    pool.begin(100.0)
    before = [slot(pool, each).state for each in (A, C)]
    pool.interrupt(100.5)
    assert [slot(pool, each).state for each in (A, C)] == before
    assert pool.all_failed() == ()
    assert pool.next_due() == 100.5
    assert pool.begin(100.5) == [B]
    assert slot(pool, B).state == Building(100.5, 0)


def test_an_interrupt_of_one_kind() -> None:
    pool = pool_of(A, M)
    for endpoint in (A, M):
        pool.begin(100.0)
        pool.failed(endpoint, OSError(), 100.0)
    pool.interrupt(100.2, kind="memory")
    assert pool.begin(100.2) == [M]
    assert cooling(pool, A) == (101.0, 1)


def test_an_interrupted_race_is_staggered_again() -> None:
    pool = pool_of(A, B)
    for endpoint in (A, B):
        pool.begin(100.0)
        pool.failed(endpoint, OSError(), 100.0)
    pool.interrupt(100.2)
    assert pool.begin(100.2) == [A]
    assert pool.next_due() == pytest.approx(100.3)


# The list of endpoints.


def test_slots_that_stay_are_untouched() -> None:
    pool = pool_of(A, B)
    (wire,) = ready(pool, A)
    pool.begin(100.0)
    pool.failed(B, OSError(), 100.0)
    kept = {each.endpoint: each for each in pool.slots}
    pool.set_endpoints([C, B, A, C], 100.5)
    assert [each.endpoint for each in pool.slots] == [C, B, A]
    assert slot(pool, A) is kept[A]
    assert slot(pool, B) is kept[B]
    assert pool.ready == [wire]
    assert pool.begin(100.5) == [C]


def test_the_same_list_again_does_not_hurry_the_race() -> None:
    pool = pool_of(A, B)
    pool.begin(100.0)
    pool.set_endpoints([A, B], 100.01)
    assert pool.begin(100.01) == []


def test_what_waits_is_forgotten_and_what_lives_is_kept_to_its_end() -> None:
    pool = pool_of(A, B, C)
    (wire,) = ready(pool, A)
    pool.begin(100.0)
    pool.failed(B, OSError(), 100.0)
    pool.set_endpoints([], 101.0)
    assert [each.endpoint for each in pool.slots] == [A]
    assert pool.ready == [wire]
    assert pool.all_failed() == ()
    pool.lost(wire, 200.0)
    assert pool.slots == []
    assert pool.next_due() is None


@pytest.mark.parametrize("end", ["lost young", "yielded"])
def test_a_wire_off_the_list_is_forgotten_however_it_ends(end: str) -> None:
    pool = pool_of(A)
    (wire,) = ready(pool, A)
    pool.set_endpoints([B], 100.0)
    if end == "yielded":
        pool.yielded(wire)
    else:
        pool.lost(wire, 100.1)
    assert [each.endpoint for each in pool.slots] == [B]


@pytest.mark.parametrize("end", ["built", "failed", "cancelled"])
def test_a_dial_off_the_list_is_forgotten_however_it_ends(end: str) -> None:
    pool = pool_of(A, B)
    pool.begin(100.0)
    pool.set_endpoints([B], 100.05)
    assert pool.all_failed() == ()
    if end == "built":
        assert not pool.built(A, Wire(), 100.06)
    elif end == "failed":
        pool.failed(A, OSError(), 100.06)
    else:
        pool.cancelled(A, 100.06)
    assert [each.endpoint for each in pool.slots] == [B]
    assert pool.begin(100.06) == [B]


def test_an_endpoint_that_comes_back_is_not_dialled_twice() -> None:
    pool = pool_of(A)
    pool.begin(100.0)
    pool.set_endpoints([], 100.0)
    pool.set_endpoints([A], 100.0)
    assert pool.begin(100.0) == []
    pool.cancelled(A, 100.0)
    assert pool.begin(100.0) == [A]
    assert slot(pool, A).dials == 2


def test_the_list_is_limited() -> None:
    pool = pool_of(*(Endpoint("websocket", f"ws://{number}") for number in range(1_000)))
    assert len(pool.slots) == MAX_ENDPOINTS


def test_a_slot_reads_as_a_status_line() -> None:
    pool = pool_of(A)
    pool.begin(100.0)
    assert repr(slot(pool, A)) == "<slot ws://a building after 1 dials>"


def test_a_kind_that_the_peer_provides_is_not_dialled_meanwhile() -> None:
    pool = pool_of(A, M)
    pool.held = frozenset({"websocket"})
    assert pool.begin(100.0) == [M]
    assert (pool.begin(1e6), pool.next_due()) == ([], None)
    pool.held = frozenset()
    assert pool.begin(1e6) == [A]
