"""`tests.prove.slow_clock`: a clock that goes slower, and all that waits by it."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.prove.slow_clock import SlowClockLoop

SLOWNESS = 4.0
NAP = 0.05


def test_it_begins_as_a_right_clock_and_never_jumps() -> None:
    loop = SlowClockLoop()
    try:
        assert loop.time() == pytest.approx(time.monotonic(), abs=5.0)
        before = loop.time()
        loop.slow(1e9)
        assert before <= loop.time() <= before + 5.0
        loop.slow(1.0)
        assert before <= loop.time()
    finally:
        loop.close()


def test_whoever_waits_waits_so_many_times_longer() -> None:
    async def naps() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SlowClockLoop)
        loop.slow(SLOWNESS)
        began = loop.time(), time.monotonic()
        await asyncio.sleep(NAP)
        return loop.time() - began[0], time.monotonic() - began[1]

    with asyncio.Runner(loop_factory=SlowClockLoop) as runner:
        by_its_clock, really = runner.run(naps())
    assert by_its_clock >= NAP * 0.99
    assert really >= NAP * SLOWNESS * 0.99
    assert really == pytest.approx(by_its_clock * SLOWNESS, rel=0.5, abs=1.0)


def test_what_can_go_on_at_once_does_not_wait() -> None:
    async def turns() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SlowClockLoop)
        loop.slow(1e6)
        for _ in range(3):
            await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=SlowClockLoop) as runner:
        runner.run(turns())
