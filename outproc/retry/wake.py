"""Noticing that the machine slept.

After a sleep every connection may be dead and every backoff is out of date. During a sleep the boot-time clock goes
on and the monotonic one stands (Linux: clock_gettime(2), CLOCK_BOOTTIME). A process that only stood still (SIGSTOP, a
busy loop) has not slept: both clocks went on, its connections were kept alive by the kernel, and its timers come due
at once. A wall clock cannot tell a sleep from an adjustment. Where there is nothing better it takes the place of the
boot-time clock, with a threshold above what clocks are set by; slewing, and being set back, never count.
"""

from __future__ import annotations

from typing import Final

THRESHOLD: Final = 2.0
"""Seconds that must be missing; below it nothing is reported."""

MAX_APART: Final = 0.5
"""Seconds between the readings of one look beyond which it proves nothing."""


class WakeDetector:
    """Compares two clocks each time it is asked. Ask about once a second.

    The caller interrupts every backoff (`Pool.interrupt`) and probes every wire (`Liveness.probe`) after a sleep.
    """

    __slots__ = ("_missing", "_threshold")

    def __init__(self, threshold: float = THRESHOLD) -> None:
        """`threshold`: seconds that must be missing between two looks."""
        self._threshold = threshold
        self._missing: float | None = None  # how far the clock that goes on was ahead of the one that stands

    def observe(self, before: float, boottime: float, after: float) -> float:
        """The seconds that the machine slept since the last look that counted; 0.0 if it did not. Each sleep is
        reported once.

        before, after  the clock that stands during a sleep, read just before and just after `boottime`
        boottime       the clock that goes on

        A look between whose readings the process stood still is passed over: the next one tells.
        """
        if after - before > MAX_APART:
            return 0.0
        missing = boottime - after
        known, self._missing = self._missing, missing
        slept = missing - known if known is not None else 0.0
        return slept if slept >= self._threshold else 0.0
