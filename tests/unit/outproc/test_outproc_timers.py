"""The timers of one node: each comes once, at its time, and all of them cost the loop one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from litz.testing import SimLoop, run_simulation
from outproc.timers import Timer, Timers


class Clock:
    """Timers on virtual time that note when they come."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self.start = loop.time()
        self.timers = Timers(loop)
        self.came: list[tuple[str, float]] = []

    def timer(self, name: str, then: Callable[[], None] = lambda: None) -> Timer:
        def callback(now: float) -> None:
            assert now == self.loop.time()
            self.came.append((name, round(now - self.start, 6)))
            then()

        return self.timers.timer(callback)

    def at(self, seconds: float) -> float:
        return self.start + seconds


def run(scenario: Callable[[Clock], Awaitable[None]]) -> Clock:
    async def main(loop: SimLoop) -> Clock:
        clock = Clock(loop)
        await scenario(clock)
        clock.timers.close()
        return clock

    return run_simulation(main, seed=1).value


def test_each_comes_once_at_its_time() -> None:
    async def scenario(clock: Clock) -> None:
        late, early, never = (clock.timer(name) for name in ("late", "early", "never"))
        late.at(clock.at(3))
        early.at(clock.at(1))
        never.at(clock.at(2))
        never.at(None)
        await asyncio.sleep(10)
        assert (late.due, early.due) == (None, None)

    assert run(scenario).came == [("early", 1.0), ("late", 3.0)]


def test_by_only_brings_forward_and_at_replaces() -> None:
    async def scenario(clock: Clock) -> None:
        first, second = clock.timer("by"), clock.timer("at")
        first.by(clock.at(2))
        first.by(clock.at(5))
        first.by(None)
        first.by(clock.at(1))
        second.at(clock.at(2))
        second.at(clock.at(5))
        await asyncio.sleep(10)

    assert run(scenario).came == [("by", 1.0), ("at", 5.0)]


def test_what_is_due_already_comes_in_a_later_turn() -> None:
    async def scenario(clock: Clock) -> None:
        clock.timer("past").at(clock.at(-1))
        assert clock.came == []
        await asyncio.sleep(0.001)

    assert run(scenario).came[0][0] == "past"


def test_one_that_comes_may_set_itself_again_and_move_others() -> None:
    async def scenario(clock: Clock) -> None:
        def again() -> None:
            if len(clock.came) == 1:
                ticking.at(clock.at(2))
                put_off.at(clock.at(4))

        ticking = clock.timer("ticking", again)
        put_off = clock.timer("put off")
        ticking.at(clock.at(1))
        put_off.at(clock.at(1))
        await asyncio.sleep(10)

    came = run(scenario).came
    assert came == [("ticking", 1.0), ("ticking", 2.0), ("put off", 4.0)]


def test_thousands_cost_one_timer_of_the_loop() -> None:
    async def scenario(clock: Clock) -> None:
        for number in range(1, 1000):
            clock.timer(str(number)).at(clock.at(1000 - number))
        assert len(clock.loop.pending_timers()) == 1
        await asyncio.sleep(1000)
        assert len(clock.came) == 999

    run(scenario)


@pytest.mark.parametrize("set_first", [True, False])
def test_none_comes_after_closing(set_first: bool) -> None:
    async def scenario(clock: Clock) -> None:
        timer = clock.timer("never")
        if set_first:
            timer.at(clock.at(1))
        clock.timers.close()
        timer.at(clock.at(2))
        clock.timers.close()
        await asyncio.sleep(10)

    assert run(scenario).came == []


@pytest.mark.uvloop
async def test_on_uvloop_a_time_in_the_past_comes_too() -> None:
    """Its `call_at` gives a handle without a time for what is due already."""
    loop = asyncio.get_running_loop()
    timers, came = Timers(loop), asyncio.Event()
    timers.timer(lambda _: came.set()).at(loop.time() - 1)
    timers.timer(lambda _: None).at(loop.time() + 3600)
    async with asyncio.timeout(10):
        await came.wait()
    timers.close()


def test_a_callback_that_sets_a_later_one_delays_nobody() -> None:
    async def scenario(clock: Clock) -> None:
        third = clock.timer("third")
        first = clock.timer("first", lambda: third.at(clock.at(9)))
        second = clock.timer("second")
        first.at(clock.at(1))
        second.at(clock.at(2))
        await asyncio.sleep(10)

    assert run(scenario).came == [("first", 1.0), ("second", 2.0), ("third", 9.0)]
