"""The lines about a transfer where there is no terminal."""

from __future__ import annotations

import asyncio

import pytest

from outproc.cli.transfer_progress import Standing, line_of, show_progress
from tests.unit.outproc.town import virtual


def test_a_line_tells_how_far_it_is_and_what_is_the_matter() -> None:
    assert line_of(Standing("a", 512 << 10, 1 << 20)) == "a: 512.0 KiB of 1.0 MiB (50 %) acknowledged"
    assert line_of(Standing("a", 5, None, "nothing came for 9 s")) == "a: 5 B acknowledged (nothing came for 9 s)"


def test_a_transfer_that_stands_still_fills_no_log_and_is_told_of_at_once_when_it_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It was a line every two seconds: 43,200 a day of a sender that waits for its standard input."""
    done = 0

    async def scenario() -> None:
        nonlocal done
        showing = asyncio.get_running_loop().create_task(show_progress(lambda: Standing("log", done, None)))
        for _ in range(10):
            done += 1
            await asyncio.sleep(2.0)
        assert 9 <= len(capsys.readouterr().err.splitlines()) <= 11
        await asyncio.sleep(86_400.0)
        still = len(capsys.readouterr().err.splitlines())
        assert 86_400 / 70 < still < 86_400 / 60
        done += 1
        await asyncio.sleep(3.0)
        assert f"log: {done} B acknowledged" in capsys.readouterr().err.splitlines()
        showing.cancel()
        await asyncio.wait([showing])

    virtual(scenario, max_time=100_000.0)
