"""Noticing that the machine slept, or that this process stood still.

After a sleep every connection may be dead and every backoff is out of date. Wall clocks cannot tell a sleep
from an adjustment, so they are not asked: during a sleep the boot-time clock goes on and the monotonic one
stands (Linux: clock_gettime(2), CLOCK_BOOTTIME); during a stop of the process a timer comes too late.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wake:
    """Time that went by unnoticed, in seconds: the machine slept, or this process did not run.

    The caller clears every backoff (`Pool.interrupt`), probes every wire (`Liveness.probe`), and gives no
    verdict before the answers had time to come.
    """

    slept: float
    stalled: float


class WakeDetector:
    """Compares two clocks each time it is asked. Ask about once a second.

    threshold  seconds that must be missing; below it nothing is reported
    """

    __slots__ = ("_boottime", "_monotonic", "_threshold")

    def __init__(self, threshold: float = 2.0) -> None:
        if not threshold > 0:
            raise ValueError(f"the threshold must be above 0 seconds, not {threshold}")
        self._threshold = threshold
        self._monotonic: float | None = None
        self._boottime: float | None = None

    def observe(self, monotonic: float, boottime: float | None, lag: float) -> Wake | None:
        """Look at the clocks. Each sleep is reported once.

        monotonic  the clock that stands during sleep
        boottime   the clock that goes on, or None where the system has none; then only `lag` can tell
        lag        seconds that the timer which led to this call was late

        The caller does what `Wake` says, when there is one, and asks again after its next timer.
        """
        slept = 0.0
        if boottime is not None and self._boottime is not None and self._monotonic is not None:
            slept = (boottime - self._boottime) - (monotonic - self._monotonic)
        self._monotonic, self._boottime = monotonic, boottime
        if max(slept, lag) < self._threshold:
            return None
        return Wake(max(slept, 0.0), max(lag, 0.0))
