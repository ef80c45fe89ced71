"""What cools down is dialled soon after a change of the network: not all at once, and not who asked for time."""

from __future__ import annotations

from random import Random

from litz.errors import BusyError
from litz.wire import Endpoint
from outproc.hastening import EACH, hasten, spread
from outproc.pool import Pool
from outproc.retry.backoff import Backoff
from outproc.slots import Cooling

FAR = Endpoint("websocket", "ws://203.0.113.5:1")
NEAR = Endpoint("websocket", "ws://127.0.0.1:1")


def failing(error: Exception, *endpoints: Endpoint) -> Pool[str]:
    pool: Pool[str] = Pool(Random(1), backoff=Backoff(1_000, 1_000), stagger=0.001)
    pool.set_endpoints(endpoints, 0.0)
    for _ in range(2):
        for endpoint in pool.begin(0.0):
            pool.failed(endpoint, error, 0.0)
    return pool


def test_it_is_due_within_the_time_given_and_its_failures_still_count() -> None:
    pool = failing(OSError("unreachable"), FAR)
    assert hasten(pool, 5.0, 2.0, Random(1), lambda endpoint: True)
    due = pool.next_due()
    assert due is not None
    assert 5.0 <= due <= 7.0
    state = pool.slots[0].state
    assert isinstance(state, Cooling)
    assert state.failures == 1
    assert pool.begin(due) == [FAR]
    pool.failed(FAR, OSError("still"), due)
    assert pool.slots[0].retry.attempt == 2


def test_what_is_not_concerned_waits_on() -> None:
    pool = failing(OSError("unreachable"), FAR, NEAR)
    before = {slot.endpoint: slot.state for slot in pool.slots}
    hasten(pool, 5.0, 1.0, Random(1), lambda endpoint: endpoint == FAR)
    after = {slot.endpoint: slot.state for slot in pool.slots}
    assert after[FAR] != before[FAR]
    assert after[NEAR] == before[NEAR]


def test_who_asked_for_time_gets_it_and_nothing_is_put_off() -> None:
    busy = failing(BusyError("busy", retry_after=60.0), FAR)
    assert not hasten(busy, 5.0, 1.0, Random(1), lambda endpoint: True)
    soon = failing(OSError("unreachable"), FAR)
    due = soon.next_due()
    assert due is not None
    assert not hasten(soon, due - 0.000001, 1.0, Random(1), lambda endpoint: True)
    assert soon.next_due() == due


def test_a_dial_that_began_in_the_network_of_before_is_followed_by_one_soon() -> None:
    pool = failing(OSError("unreachable"), FAR, NEAR)
    both = pool.begin(1_500.0)
    assert both == [FAR, NEAR]
    assert not hasten(pool, 1_505.0, 2.0, Random(1), lambda endpoint: endpoint == FAR), (
        "nothing is due while it is dialled"
    )
    for endpoint in both:
        pool.failed(endpoint, OSError("no answer"), 1_505.1)
    due = pool.next_due()
    assert due is not None
    assert 1_505.1 <= due <= 1_507.1
    assert pool.begin(due) == [FAR]
    pool.failed(FAR, OSError("still"), due)
    again = pool.next_due()
    assert again is not None
    assert again > due + 10.0, "once, and then in its own time"


def test_a_dial_that_began_before_and_is_told_to_stay_away_stays_away() -> None:
    pool = failing(OSError("unreachable"), FAR)
    pool.begin(1_500.0)
    hasten(pool, 1_505.0, 1.0, Random(1), lambda endpoint: True)
    pool.failed(FAR, BusyError("busy", retry_after=60.0), 1_506.0)
    due = pool.next_due()
    assert due is not None
    assert due >= 1_566.0


def test_what_is_hastened_is_dialled_soon_also_if_the_dest_grows_cold_meanwhile() -> None:
    pool = failing(OSError("unreachable"), FAR, NEAR)
    hasten(pool, 5.0, 1.0, Random(1), lambda endpoint: endpoint == FAR)
    pool.chill(5.0)
    due = pool.next_due()
    assert due is not None
    assert due <= 6.0
    assert pool.begin(due) == [FAR]
    hasten(pool, due, 1.0, Random(1), lambda endpoint: True)
    pool.failed(FAR, OSError("still"), due + 4.0)
    pool.chill(due + 4.0)
    again = pool.next_due()
    assert again is not None
    assert again <= due + 5.0
    for endpoint in pool.begin(due + 5.0):
        pool.failed(endpoint, OSError("still"), due + 5.0)
    last = pool.next_due()
    assert last is not None
    assert last > due + 15.0, "once, and then as a cold dest is"


def test_one_dest_at_once_many_over_time_and_never_later_than_the_backoff() -> None:
    assert spread(1, 5.0) == EACH
    assert spread(200, 5.0) == 1.0
    assert spread(60_000, 5.0) == 5.0
