"""Looks whether the machine slept, and what follows: for a whole node at once."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from litz.events import Woke
from outproc.retry.wake import THRESHOLD, WakeDetector

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport
    from outproc.local_node import LocalNode

LOOKS: Final = 5
"""Looks at the clocks in the time after which silent wires are pinged."""
EVERY: Final = 1.0
"""The most seconds between two looks."""


ADJUSTED: Final = 10.0
"""Seconds by which a wall clock is set forward without anybody taking that for a sleep."""


@dataclass(frozen=True, slots=True)
class SleepClocks:
    """Two clocks, in seconds, that a sleep of the machine drives apart: `standing` stands, `going` goes on.

    threshold  seconds of difference below which nothing is reported
    exact      whether nothing else drives them apart. A wall clock is also set; then it is only a suspicion: wires are
               probed and backoffs end, but no session is ended for it
    """

    standing: Callable[[], float]
    going: Callable[[], float]
    threshold: float = THRESHOLD
    exact: bool = True


def system_clocks() -> SleepClocks:
    """Those of this system: a pair made for it on Linux, macOS and Windows, and the wall clock elsewhere."""
    going: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    if going is not None:
        return SleepClocks(time.monotonic, partial(time.clock_gettime, going))
    standing: int | None = getattr(time, "CLOCK_UPTIME_RAW", None)  # macOS, where the other goes on
    if standing is not None:
        return SleepClocks(partial(time.clock_gettime, standing), partial(time.clock_gettime, time.CLOCK_MONOTONIC_RAW))
    unbiased = unbiased_time(getattr(ctypes, "WinDLL", None))
    if unbiased is not None:
        return SleepClocks(unbiased, time.monotonic)
    return SleepClocks(time.monotonic, time.time, threshold=ADJUSTED, exact=False)


def unbiased_time(load: Callable[[str], Any] | None) -> Callable[[], float] | None:
    """The clock of Windows that stands while the machine sleeps, in seconds (QueryUnbiasedInterruptTime, which counts
    100 ns); `time.monotonic` goes on there. `load` is `ctypes.WinDLL`; None where there is no such clock."""
    if load is None:
        return None
    try:
        query = load("kernel32").QueryUnbiasedInterruptTime
    except (OSError, AttributeError):
        return None

    def read() -> float:
        ticks = ctypes.c_ulonglong()
        query(ctypes.byref(ticks))
        return ticks.value / 1e7

    return read


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
        self._detector = WakeDetector(clocks.threshold)
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
    """The machine slept so many seconds: tell it, doubt every wire, count that time as kept, and dial at once what is
    not up. No storm comes of it: `stagger` and `max_dials` hold for these dials as for all."""
    node.emit(Woke("", slept))
    now, clocks = node.now(), node.environment.clocks
    for transport in transports:
        for link in transport.links:
            transport.keeping.heard(link.heard_at)
            link.liveness.woke(node.options.wake_timeout)
            node.health.schedule(link, now)
        if clocks is not None and clocks.exact:
            transport.keeping.woke(slept, now)
        transport.dialler.woke()
