"""The simulated loop: virtual time, replay, legal shuffling, and clear errors instead of hanging.

Covers `litz.testing.loop_internals`, `litz.testing.simulation`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest

from litz.testing import (
    ForbiddenInSimulationError,
    SimDeadlockError,
    SimLeakError,
    SimLimitError,
    SimLoop,
    run_simulation,
)
from litz.testing.loop_internals import FORBIDDEN_VERBS, UnknownPythonError, check_loop_internals


def test_an_hour_passes_at_once() -> None:
    async def main(loop: SimLoop) -> float:
        began = loop.time()
        await asyncio.sleep(3599)
        return loop.time() - began

    run = run_simulation(main, seed=1, shuffle=False)
    assert run.value == run.elapsed == 3599


async def _order(loop: SimLoop) -> list[int]:
    """The order of: six timers of one moment, then a timer a little later among a chain of callbacks."""
    seen: list[int] = []
    for number in range(6):
        loop.call_later(1.0, seen.append, number)
    await asyncio.sleep(2)
    loop.call_later(0.0005, seen.append, 100)
    for _ in range(30):
        await asyncio.sleep(0)
        seen.append(200)
    await asyncio.sleep(1)
    return seen


def test_without_shuffle_timers_of_one_moment_run_in_order() -> None:
    assert run_simulation(_order, seed=1, shuffle=False).value == [*range(6), *[200] * 30, 100]


def test_shuffle_reorders_timers_of_one_moment_and_lets_time_creep() -> None:
    orders = {tuple(run_simulation(_order, seed=seed).value) for seed in range(50)}
    assert len({order[:6] for order in orders}) > 20
    assert all(sorted(order[:6]) == list(range(6)) for order in orders)
    assert len({order.index(100) for order in orders}) > 5


def test_shuffle_keeps_the_order_of_callbacks_and_of_time() -> None:
    async def main(loop: SimLoop) -> list[int]:
        seen: list[int] = []
        for number in range(50):
            loop.call_soon(seen.append, number)
            loop.call_later(1 + number / 1000, seen.append, 100 + number)
        await asyncio.sleep(2)
        return seen

    for seed in range(20):
        assert run_simulation(main, seed=seed).value == [*range(50), *range(100, 150)]


def test_cancelled_timers_never_run_and_are_forgotten() -> None:
    async def main(loop: SimLoop) -> None:
        seen: list[int] = []
        timers = [loop.call_later(1 + number % 7, seen.append, number) for number in range(1000)]
        for timer in timers[:-1]:
            timer.cancel()
        assert len(loop._timers) < 300
        assert loop.pending_timers() == timers[-1:]
        await asyncio.sleep(10)
        assert seen == [999]

    run_simulation(main, seed=1)


def test_a_deadlock_names_who_waits_where() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    async def main(loop: SimLoop) -> None:
        await stuck()

    with pytest.raises(SimDeadlockError, match=r"main line \d+ > .*stuck line \d+ > Event.wait") as caught:
        run_simulation(main, seed="here")
    assert "in the simulation with seed 'here'" in caught.value.__notes__[0]


def test_limits_of_time_and_steps() -> None:
    async def sleeper(loop: SimLoop) -> None:
        while True:  # noqa: ASYNC110 (it is to run for ever)
            await asyncio.sleep(1)

    async def spinner(loop: SimLoop) -> None:
        while True:  # noqa: ASYNC110 (it is to run for ever)
            await asyncio.sleep(0)

    with pytest.raises(SimLimitError, match="100 virtual seconds"):
        run_simulation(sleeper, seed=1, max_time=100)
    with pytest.raises(SimLimitError, match="1000 steps"):
        run_simulation(spinner, seed=1, max_steps=1000)


def test_leaks_are_named() -> None:
    async def forgotten() -> None:
        await asyncio.sleep(5)

    async def leaves_task(loop: SimLoop) -> None:
        _unwatched = loop.create_task(forgotten(), name="the forgotten one")

    async def leaves_timer(loop: SimLoop) -> None:
        loop.call_later(5, print, "never")

    kept: list[AsyncIterator[int]] = []

    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def leaves_generator(loop: SimLoop) -> None:
        kept.append(numbers())
        await anext(kept[-1])

    async def fails() -> None:
        raise ValueError("nobody looks")

    async def leaves_error(loop: SimLoop) -> None:
        _unwatched = loop.create_task(fails())
        await asyncio.sleep(1)

    for main, text in (
        (leaves_task, "the forgotten one: .*forgotten"),
        (leaves_timer, "timers:.*print"),
        (leaves_generator, "asynchronous generators:"),
        (leaves_error, "nobody looks"),
    ):
        with pytest.raises(SimLeakError, match=f"(?s){text}"):
            run_simulation(main, seed=1)
    run_simulation(leaves_timer, seed=1, allow_timers=True)


def test_what_cannot_be_replayed_is_refused() -> None:
    async def main(loop: SimLoop) -> None:
        with pytest.raises(ForbiddenInSimulationError, match="run_in_executor"):
            await asyncio.to_thread(print)
        with pytest.raises(ForbiddenInSimulationError, match="getaddrinfo"):
            await loop.getaddrinfo("localhost", 80)
        with pytest.raises(ForbiddenInSimulationError, match="create_connection"):
            await asyncio.open_connection("localhost", 80)
        for verb in FORBIDDEN_VERBS:
            with pytest.raises(ForbiddenInSimulationError, match=verb):
                getattr(loop, verb)()
        errors: list[BaseException] = []

        def foreign() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except ForbiddenInSimulationError as error:
                errors.append(error)

        thread = threading.Thread(target=foreign)
        thread.start()
        thread.join()
        assert len(errors) == 1
        done = loop.create_future()
        loop.call_soon_threadsafe(done.set_result, None)
        await done

    run_simulation(main, seed=1)


def test_clocks_can_be_moved_apart() -> None:
    async def main(loop: SimLoop) -> None:
        clocks = (loop.time, loop.boot_time, loop.wall_time)

        def passed(before: list[float]) -> list[float]:
            return [round(clock() - was, 6) for clock, was in zip(clocks, before, strict=True)]

        before = [clock() for clock in clocks]
        loop.suspend(100)
        assert passed(before) == [0, 100, 100]
        loop.shift_wall_clock(-30)
        assert passed(before) == [0, 100, 70]
        late: list[float] = []
        for delay in (2.0, 1.0):
            loop.call_later(delay, lambda: late.append(loop.time() - before[0]))
        loop.stall(5)
        assert passed(before) == [5, 105, 75]
        await asyncio.sleep(0.01)
        assert all(5 <= moment < 5.1 for moment in late)
        assert len(late) == 2

    run_simulation(main, seed=1)


REPLAY = """
import asyncio
from litz.testing import run_simulation

# Memory laid out differently by each hash seed, so that addresses differ between the processes.
junk = [bytearray(hash(str(number)) % 400) for number in range(20_000)]
del junk[:: 2 + hash("step") % 5]

async def main(loop):
    async def fails():
        await asyncio.sleep(1)
        raise ValueError
    async def waits(name):
        try:
            await asyncio.sleep(2)
        except asyncio.CancelledError:
            loop.note(name)
            await asyncio.sleep(0.1)
            raise
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(30):
                group.create_task(waits(f"task {number}"))
            group.create_task(fails())
    except* ValueError:
        pass

print([run_simulation(main, seed=seed).digest for seed in range(5)])
"""


def test_the_same_seed_is_the_same_run_in_any_process() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", REPLAY],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "77")
    }
    assert len(outputs) == 1
    assert len(set(eval(outputs.pop()))) > 1


def test_notes_change_the_digest() -> None:
    def digest(*facts: int | float | str | bytes) -> str:
        async def main(loop: SimLoop) -> None:
            loop.note(*facts)

        return run_simulation(main, seed=1).digest

    digests = [digest(), digest("a"), digest("b"), digest(b"c"), digest(1), digest(1.5), digest("a", 1)]
    assert len(set(digests)) == len(digests)


def test_an_unknown_asyncio_is_refused() -> None:
    class OtherLoop(asyncio.BaseEventLoop):
        def run_forever(self) -> None:
            """Built otherwise."""

    with pytest.raises(UnknownPythonError, match=r"OtherLoop\.run_forever does not use _run_once"):
        check_loop_internals(OtherLoop)
