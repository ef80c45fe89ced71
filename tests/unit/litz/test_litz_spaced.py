"""Work of strangers: done at once when it comes alone, a little at a time when it comes in crowds, never lost."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from litz.spaced import MANY, SPACE, Spaced
from litz.testing import SimLoop, run_simulation


def spaced(jobs: int, seconds: float) -> list[float]:
    """When each of so many jobs, given together, was done, looked at for so long; in spaces."""
    done: list[float] = []

    async def main(loop: SimLoop) -> None:
        work = Spaced(loop)
        begun = loop.time()
        for _ in range(jobs):
            work.do(lambda: done.append((loop.time() - begun) / SPACE))
        assert len(work) == jobs - 1
        await asyncio.sleep(seconds)

    run_simulation(main, seed=1)
    return done


def test_a_job_that_comes_alone_is_done_at_once() -> None:
    assert spaced(1, 1) == [0]


def test_a_few_are_done_one_at_a_time_with_space_between_them() -> None:
    assert spaced(4, 1) == pytest.approx([0, 1, 2, 3])


def test_a_crowd_is_not_held_up_for_long() -> None:
    done = spaced(1000, 1)
    assert len(done) == 1000
    assert 1000 / MANY < done[-1] < 150, "the more that wait, the more are done at a time"


def test_an_error_in_a_job_that_waited_goes_to_the_loop_and_costs_no_other() -> None:
    told: list[str] = []
    done: list[str] = []

    def fail() -> None:
        raise ValueError("no number")

    async def main(loop: SimLoop) -> None:
        loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))
        work = Spaced(loop)
        work.do(lambda: done.append("first"))
        for _ in range(MANY):
            work.do(fail)
        work.do(lambda: done.append("last"))
        await asyncio.sleep(1)

    run_simulation(main, seed=1)
    assert done == ["first", "last"]
    assert told == ["no number"] * MANY


def test_finish_does_what_waits_and_leaves_no_timer() -> None:
    done: list[int] = []

    async def main(loop: SimLoop) -> None:
        work = Spaced(loop)
        for number in range(3):
            work.do(partial(done.append, number))
        work.finish()
        assert (done, len(work)) == ([0, 1, 2], 0)
        cancelled = asyncio.ensure_future(work.turn())
        await asyncio.sleep(0)
        waits = asyncio.ensure_future(work.turn())
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, cancelled, return_exceptions=True)
        work.finish()

    run_simulation(main, seed=1)
