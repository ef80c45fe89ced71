"""Looks whether the machine slept, and what follows: for a whole node at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from litz.events import Woke
from outproc.retry.wake import WakeDetector

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport
    from outproc.local_node import LocalNode

LOOKS: Final = 5
"""Looks at the clocks in the time after which silent wires are pinged."""
EVERY: Final = 1.0
"""The most seconds between two looks."""


@dataclass(frozen=True, slots=True)
class SleepClocks:
    """Two clocks, in seconds, that only a sleep of the machine drives apart: `standing` stands, `going` goes on."""

    standing: Callable[[], float]
    going: Callable[[], float]


def system_clocks() -> SleepClocks | None:
    """Those of this system; None where it has no such pair, and a sleep is noticed by unanswered pings only."""
    going: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    if going is not None:
        return SleepClocks(time.monotonic, partial(time.clock_gettime, going))
    standing: int | None = getattr(time, "CLOCK_UPTIME_RAW", None)  # macOS, where the other goes on
    if standing is not None:
        return SleepClocks(partial(time.clock_gettime, standing), partial(time.clock_gettime, time.CLOCK_MONOTONIC_RAW))
    return None


class WakeWatch:
    """Owned by the health checker, which asks it to `look` whenever it is up and at the latest when told.

    clocks      what to compare
    ping_after  seconds after which silent wires are pinged: how closely this node watches
    woke        called with the seconds that were slept, once for each sleep. Must not raise
    """

    def __init__(self, clocks: SleepClocks, ping_after: float, woke: Callable[[float], None]) -> None:
        self.ping_after = ping_after
        self._clocks = clocks
        self._woke = woke
        self._detector = WakeDetector()
        self._next = float("-inf")

    def look(self, now: float) -> float:
        """Compare the clocks if it is time to. Returns when to look again."""
        if now >= self._next:
            self._next = now + min(EVERY, self.ping_after / LOOKS)
            before = self._clocks.standing()
            going = self._clocks.going()
            slept = self._detector.observe(before, going, self._clocks.standing())
            if slept:
                self._woke(slept)
        return self._next


def rouse(node: LocalNode, transports: Iterable[DestTransport], slept: float) -> None:
    """The machine slept so many seconds: tell it, doubt every wire, and dial at once what is not up. No storm comes of
    it: `stagger` and `max_dials` hold for these dials as for all."""
    node.emit(Woke("", slept))
    now = node.now()
    for transport in transports:
        for link in transport.links:
            link.liveness.woke(node.options.wake_timeout)
            node.health.schedule(link, now)
        transport.dialler.woke()
