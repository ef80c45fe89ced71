"""The health-check task: everything is looked at when it is due, and what is not due costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from litz.testing import SimLoop, run_simulation
from outproc.health_checker import HealthChecker


class Patient:
    """Notes when it was looked at, and says when to look again: after each of `pauses`, then no more."""

    def __init__(self, loop: SimLoop, *pauses: float) -> None:
        self.start = loop.time()
        self.pauses = list(pauses)
        self.looks: list[tuple[float, float]] = []

    def check(self, now: float, lag: float) -> float | None:
        self.looks.append((round(now - self.start, 3), round(lag, 3)))
        return now + self.pauses.pop(0) if self.pauses else None

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.looks]


def run(scenario: Callable[[SimLoop, HealthChecker], Awaitable[None]]) -> None:
    async def main(loop: SimLoop) -> None:
        health = HealthChecker(loop, lambda coroutine, name: loop.create_task(coroutine, name=name))
        health.start()
        health.start()
        assert len(loop.pending_tasks()) == 2, "this one and one checker"
        assert health.running
        await scenario(loop, health)
        await health.stop()
        await health.stop()
        assert not health.running

    run_simulation(main, seed=1)


def test_it_looks_when_due_and_again_when_told() -> None:
    async def scenario(loop: SimLoop, health: HealthChecker) -> None:
        one, other = Patient(loop, 2.0, 3.0), Patient(loop)
        health.schedule(one, loop.time() + 1)
        health.schedule(other, loop.time() + 2)
        await asyncio.sleep(100)
        assert (one.times, other.times) == ([1.0, 3.0, 6.0], [2.0])

    run(scenario)


def test_what_was_called_off_long_ago_makes_nobody_late() -> None:
    """Manager seed 1000036: a wire that was silent after a sleep was excused by a lag that there never was."""

    async def scenario(loop: SimLoop, health: HealthChecker) -> None:
        gone, there = Patient(loop), Patient(loop)
        health.schedule(gone, loop.time() + 50)
        await asyncio.sleep(40)
        health.schedule(gone, loop.time() + 1)
        health.schedule(gone, None)
        await asyncio.sleep(60)
        health.schedule(there, loop.time())
        await asyncio.sleep(1)
        assert (gone.looks, there.looks) == ([], [(100.0, 0.0)])

    run(scenario)


def test_what_is_due_again_and_again_stops_nobody_else() -> None:
    """Manager seed 4382: a dialler that was always due froze the loop for ever."""

    class Restless:
        looks = 0

        def check(self, now: float, lag: float) -> float | None:
            self.looks += 1
            return now if self.looks < 1000 else None

    async def scenario(loop: SimLoop, health: HealthChecker) -> None:
        item = Restless()
        health.schedule(item, loop.time())
        for _ in range(20):
            await asyncio.sleep(0)
        assert 0 < item.looks <= 20
        await asyncio.sleep(1)

    run(scenario)


def test_a_sooner_time_wakes_it_and_none_takes_it_back() -> None:
    async def scenario(loop: SimLoop, health: HealthChecker) -> None:
        sooner, never = Patient(loop), Patient(loop)
        health.schedule(sooner, loop.time() + 50)
        health.schedule(never, loop.time() + 60)
        await asyncio.sleep(10)
        health.schedule(sooner, loop.time() + 1)
        health.schedule(never, None)
        await asyncio.sleep(100)
        assert (sooner.times, never.times) == ([11.0], [])

    run(scenario)


def test_what_was_scheduled_anew_by_its_own_check_keeps_that_time() -> None:
    async def scenario(loop: SimLoop, health: HealthChecker) -> None:
        class Hasty(Patient):
            def check(self, now: float, lag: float) -> float | None:
                again = super().check(now, lag)
                if len(self.looks) == 1:
                    health.schedule(self, now + 1)
                return again

        hasty = Hasty(loop, 30.0)
        health.schedule(hasty, loop.time() + 1)
        await asyncio.sleep(20)
        assert hasty.times == [1.0, 2.0]

    run(scenario)


def test_the_lag_of_our_own_loop_is_told() -> None:
    async def scenario(loop: SimLoop, health: HealthChecker) -> None:
        patient = Patient(loop)
        health.schedule(patient, loop.time() + 1)
        await asyncio.sleep(0.5)
        loop.stall(4.0)
        await asyncio.sleep(0.5)
        ((time, lag),) = patient.looks
        assert (time, lag) == (4.5, 3.5)

    run(scenario)


def test_nothing_due_costs_no_timer() -> None:
    async def scenario(loop: SimLoop, health: HealthChecker) -> None:
        patient = Patient(loop)
        health.schedule(patient, loop.time() + 1)
        await asyncio.sleep(2)
        assert loop.pending_timers() == []

    run(scenario)


def test_one_that_raises_costs_no_other_its_look() -> None:
    reports: list[str] = []

    class Broken(Patient):
        def check(self, now: float, lag: float) -> float | None:
            raise ValueError("a wire of the user")

    async def scenario(loop: SimLoop, health: HealthChecker) -> None:
        loop.set_exception_handler(lambda _, context: reports.append(context["message"]))
        broken, fine = Broken(loop), Patient(loop, 1.0)
        health.schedule(broken, loop.time() + 1)
        health.schedule(fine, loop.time() + 1)
        await asyncio.sleep(10)
        assert fine.times == [1.0, 2.0]

    run(scenario)
    assert reports == ["litz: an error in a health check"]
