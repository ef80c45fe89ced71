"""A session without a wire is kept for so long of real time: sleep counts, and after it the peer is asked first."""

from __future__ import annotations

import asyncio

import pytest

from litz.events import EndReason, SessionEnded
from litz.testing import SimLoop
from outproc.keeping import AFTER_WAKE, Keeping
from outproc.timers import Timers
from tests.unit.outproc.town import Town, event_of, take, virtual

KEPT = 120.0


def due(kept: Keeping) -> float | None:
    return kept._timer.due


def of_the_loop(check: object) -> None:
    assert callable(check)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        timers = Timers(loop)
        check(Keeping(timers.timer(lambda now: None), KEPT))
        timers.close()

    virtual(scenario)


@pytest.mark.parametrize(("slept", "left"), [(0.0, 100.0), (50.0, 50.0), (75.0, AFTER_WAKE), (86_400.0, AFTER_WAKE)])
def test_what_was_slept_counts_and_the_peer_is_asked_before_the_end(slept: float, left: float) -> None:
    def check(kept: Keeping) -> None:
        kept.begin(2_000.0)
        kept.woke(slept, 2_020.0)
        assert due(kept) == 2_020.0 + left

    of_the_loop(check)


def test_one_that_was_nearly_over_gets_nothing_more_by_a_sleep() -> None:
    def check(kept: Keeping) -> None:
        kept.begin(2_000.0)
        kept.woke(3_600.0, 2_115.0)
        assert due(kept) == 2_120.0

    of_the_loop(check)


def test_of_a_wire_that_fell_silent_in_the_sleep_the_sleep_counts() -> None:
    def check(kept: Keeping) -> None:
        kept.heard(1_999.0)
        kept.woke(60.0, 2_000.0)
        kept.begin(2_002.0)
        assert due(kept) == 2_002.0 + KEPT - 60.0

    of_the_loop(check)


def test_of_a_wire_that_was_heard_since_the_sleep_does_not_count() -> None:
    def check(kept: Keeping) -> None:
        kept.woke(60.0, 2_000.0)
        kept.heard(2_000.5)
        kept.begin(2_002.0)
        assert due(kept) == 2_002.0 + KEPT

    of_the_loop(check)


def test_two_sleeps_in_a_row_add_up_unless_something_was_heard_between_them() -> None:
    def check(kept: Keeping) -> None:
        kept.woke(40.0, 2_000.0)
        kept.woke(40.0, 2_001.0)
        kept.begin(2_002.0)
        assert due(kept) == 2_002.0 + KEPT - 80.0
        kept.heard(2_003.0)
        kept.woke(40.0, 2_010.0)
        kept.begin(2_012.0)
        assert due(kept) == 2_012.0 + KEPT - 40.0

    of_the_loop(check)


async def asleep(town: Town, seconds: float) -> None:
    """All wires are gone, nobody can be dialled, and the machine sleeps."""
    for name in ("alice", "bob"):
        town.builders[name].errors = {f"memory:{each}": OSError("no network yet") for each in ("alice", "bob")}
    town.builders["alice"].cut()
    await asyncio.sleep(1.0)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    loop.suspend(seconds)


def test_a_sleep_shorter_than_the_session_is_kept_resumes_it() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", sleeps=True) as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"before", confirm="received")
            await asleep(town, 60.0)
            await alice.send("bob", b"in the dark")
            await asyncio.sleep(10.0)
            town.builders["alice"].errors = {}
            assert await take(bob, 2) == [b"before", b"in the dark"]
            assert [dest.session for dest in alice.snapshot().dests] == [0]

    virtual(scenario)


def test_a_longer_one_ends_it_with_the_list_when_nobody_answers_in_time() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", sleeps=True) as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"before", confirm="received")
            await asyncio.sleep(1)
            events = alice.events()
            await asleep(town, 28_800.0)
            receipt = await alice.send("bob", b"in the dark")
            began = asyncio.get_running_loop().time()
            ended = await event_of(events, SessionEnded)
            assert ended.reason is EndReason.EXPIRED
            assert [lost.receipt for lost in ended.lost] == [receipt]
            assert AFTER_WAKE - 1 <= asyncio.get_running_loop().time() - began <= AFTER_WAKE + 2

    virtual(scenario)


def test_after_a_longer_one_the_peer_that_stayed_awake_has_the_last_word() -> None:
    """It has ended the session, and says exactly what it has received of it."""

    async def scenario() -> None:
        town = Town()
        async with (
            town.manager("bob", session_kept=5.0) as bob,
            town.manager("alice", sleeps=True) as alice,
        ):
            await bob.listen("memory:bob")
            await alice.send("bob", b"before", confirm="received")
            events = alice.events()
            await asleep(town, 2.5)
            receipt = await alice.send("bob", b"in the dark")
            await asyncio.sleep(10.0)
            town.builders["alice"].errors = {}
            ended = await event_of(events, SessionEnded)
            assert [(lost.receipt, lost.outcome.name) for lost in ended.lost] == [(receipt, "NEVER_ACCEPTED")]
            assert await take(bob, 1) == [b"before"]

    virtual(scenario)
