"""How a node of the command line ends: a final drain, which a second signal cuts short, and what was not confirmed."""

from __future__ import annotations

import argparse
import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from litz.events import LostReceipt, Outcome
from litz.manager import TransportManager
from outproc.cli.outcome import DONE, FAILED, INTERRUPTED
from outproc.cli.running import Stop

DRAIN_TIMEOUT: Final = 10.0
"""Seconds, unless told otherwise. Supervisors wait longer before they kill: systemd 90 s, Docker 10 s, Kubernetes 30 s
(Docker's is this one: give it more, or this less)."""


def add_leaving_options(parser: Any) -> None:
    """`--drain-timeout` and `--returning-in`."""
    parser.add_argument(
        "--drain-timeout",
        type=_seconds,
        default=DRAIN_TIMEOUT,
        metavar="SECONDS",
        help=f"on Ctrl-C or SIGTERM: how long what was accepted may take to be confirmed (default: {DRAIN_TIMEOUT:g})",
    )
    parser.add_argument(
        "--returning-in",
        type=_seconds,
        default=None,
        metavar="SECONDS",
        help="tell peers that this node is back after about so long: they keep what is for it, and dial it again then",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds from 0 up")
    return seconds


async def leave(
    manager: TransportManager, stop: Stop, timeout: float, returning_in: float | None, say: Callable[[str], None]
) -> int:
    """Drain for the last time, at most `timeout` seconds, and close at once when a further signal comes. Says what was
    not confirmed. Returns the exit code: 0, 1 if something was not confirmed, 130 after a further signal."""
    loop = asyncio.get_running_loop()
    draining = loop.create_task(
        manager.drain(final=True, timeout=timeout, reason="stopped", returning_in=returning_in), name="litz final drain"
    )
    again = loop.create_task(stop.wait_again(), name="litz second signal")
    try:
        await asyncio.wait([draining, again], return_when=asyncio.FIRST_COMPLETED)
        interrupted = not draining.done()
        if interrupted:
            say("a second signal: closing at once")
            await manager.aclose()
        lost = await draining
    finally:
        again.cancel()
    for line in lines_of(lost):
        say(line)
    return INTERRUPTED if interrupted else FAILED if lost else DONE


def lines_of(lost: Iterable[LostReceipt]) -> list[str]:
    """What was not confirmed, for people: a line for each dest and lane."""
    lanes: dict[tuple[str, int], list[LostReceipt]] = {}
    for entry in lost:
        lanes.setdefault((entry.channel.dest, entry.channel.lane), []).append(entry)
    lines = []
    for (dest, lane), entries in lanes.items():
        never = sum(entry.outcome is Outcome.NEVER_ACCEPTED for entry in entries)
        counts = [f"{never} never accepted"] * (never > 0)
        counts += [f"{len(entries) - never} with unknown outcome"] * (never < len(entries))
        numbers = [entry.number for entry in entries]
        span = f"number {numbers[0]}" if len(numbers) == 1 else f"numbers {min(numbers)} to {max(numbers)}"
        lines.append(f"not confirmed by {dest}: {', '.join(counts)} ({span} of lane {lane})")
    return lines
