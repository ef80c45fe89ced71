"""The pool of one dest after a sleep of the machine: waits and dials of before are of another day."""

from __future__ import annotations

from litz.errors import BusyError, PeerClosedError
from outproc.slots import Dead, Idle
from tests.unit.outproc.pool_kit import A, B, C, cooling, pool_of, ready, slot


def test_a_sleep_of_the_machine_ends_every_wait_but_no_goodbye() -> None:
    pool = pool_of(C, A, B)
    (wire,) = ready(pool, C)
    dead = PeerClosedError("goodbye", dest="a")
    pool.begin(100.1)
    pool.begin(100.2)
    pool.failed(A, BusyError("later", retry_after=60.0), 100.2)
    pool.failed(B, dead, 100.2)
    pool.woke(101.0)
    assert (slot(pool, A).state, slot(pool, B).state) == (Idle(), Dead(dead))
    assert pool.ready == [wire]
    assert pool.begin(101.0) == [A]
    pool.failed(A, OSError(), 101.0)
    assert cooling(pool, A) == (102.0, 1), "the backoff begins anew"


def test_a_dial_that_a_sleep_interrupted_is_followed_by_another_at_once() -> None:
    pool = pool_of(A)
    for _ in range(4):
        pool.begin(pool.next_due() or 100.0)
        pool.failed(A, OSError(), 100.0)
    pool.begin(200.0)
    pool.woke(201.0)
    assert pool.begin(201.0) == [], "it is left alone"
    pool.failed(A, OSError(), 205.0)
    assert pool.begin(205.0) == [A]
    pool.failed(A, OSError(), 205.0)
    assert pool.begin(205.0) == []


def test_what_woke_up_dials_one_after_the_other() -> None:
    pool = pool_of(A, B)
    for endpoint in pool.begin(100.0) + pool.begin(100.1):
        pool.failed(endpoint, OSError(), 100.1)
    pool.woke(100.2)
    assert pool.begin(100.2) == [A]
    assert pool.begin(100.25) == []
    assert pool.begin(100.3) == [B]
