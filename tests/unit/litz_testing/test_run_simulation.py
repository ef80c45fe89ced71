"""Running one coroutine in a simulation: what it tells, and that nothing stays behind, also when it fails."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from litz.testing import SimLeakError, SimLoop, run_simulation


def test_it_tells_what_came_of_it() -> None:
    async def main(loop: SimLoop) -> str:
        for _ in range(10):
            await asyncio.sleep(1)
        return "done"

    run = run_simulation(main, seed=1, shuffle=False)
    assert (run.value, run.elapsed) == ("done", 10.0)
    assert 20 <= run.steps <= 60
    assert run.digest == run_simulation(main, seed=1, shuffle=False).digest


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_collection_is_off_inside_and_as_before_after(collecting: bool) -> None:
    inside: list[bool] = []

    async def main(loop: SimLoop) -> None:
        inside.append(gc.isenabled())
        raise KeyError("also then")

    before = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        with pytest.raises(KeyError):
            run_simulation(main, seed=1)
        after = gc.isenabled()
    finally:
        (gc.enable if before else gc.disable)()
    assert (inside, after) == ([False], collecting)


def test_what_a_failed_run_leaves_is_ended_and_its_unseen_errors_are_told() -> None:
    loops: list[SimLoop] = []
    ended: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            ended.append("generator")

    generator = numbers()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    async def main(loop: SimLoop) -> None:
        loops.append(loop)
        _unwatched = loop.create_task(waits())
        await anext(generator)
        loop.call_exception_handler({"message": "nobody saw this"})
        raise KeyError("first")

    with pytest.raises(KeyError) as caught:
        run_simulation(main, seed="of this run")
    notes = "\n".join(caught.value.__notes__)
    assert "seed 'of this run', at 0.0" in notes
    assert "unseen: nobody saw this" in notes
    assert sorted(ended) == ["generator", "task"]
    assert loops[0].is_closed()


def test_a_task_that_will_not_end_does_not_hide_the_first_error() -> None:
    kept: list[asyncio.Event] = []  # what nobody holds would be collected with its task

    async def stubborn() -> None:
        while True:
            kept.append(asyncio.Event())
            try:
                await kept[-1].wait()
            except asyncio.CancelledError:
                continue

    async def main(loop: SimLoop) -> None:
        _unwatched = loop.create_task(stubborn(), name="stubborn")
        await asyncio.sleep(1)

    with pytest.raises(SimLeakError, match="stubborn"):
        run_simulation(main, seed=1)


def test_an_error_in_a_callback_is_a_leak() -> None:
    async def main(loop: SimLoop) -> None:
        loop.call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    with pytest.raises(SimLeakError, match="ZeroDivisionError"):
        run_simulation(main, seed=1)


def test_timers_may_be_allowed_but_not_tasks() -> None:
    async def main(loop: SimLoop) -> None:
        loop.call_later(60, print)

    with pytest.raises(SimLeakError, match="timers"):
        run_simulation(main, seed=1)
    run_simulation(main, seed=1, allow_timers=True)
