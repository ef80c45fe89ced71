"""How long a session without a wire is kept. The time in which the machine slept counts, as the peer counts it."""

from __future__ import annotations

from typing import Final

from outproc.timers import Timer

AFTER_WAKE: Final = 30.0
"""Seconds that a session is kept at least after a wake: the peer, whose clock may have gone on, is asked first, for
it knows exactly what has arrived."""


class Keeping:
    """Of one session: sets `timer`, which ends it, while it has no wire. Times are of the loop's clock, in seconds,
    which stands while the machine sleeps (Linux, macOS).

    Law. A session is kept for `kept` seconds of real time from the loss of its last wire; and where that wire fell
    silent in a sleep, from the moment the machine fell asleep. But a session that was not over when the machine fell
    asleep is kept for `AFTER_WAKE` after the wake, or for `kept` if that is less.
    """

    __slots__ = ("_heard", "_kept", "_slept", "_timer", "_woke_at")

    def __init__(self, timer: Timer, kept: float) -> None:
        self._timer = timer
        self._kept = kept
        self._heard = self._woke_at = float("-inf")
        self._slept = 0.0  # since the last sign of life of any wire

    def heard(self, at: float) -> None:
        """The latest sign of life of a wire that is lost now, or is up at a wake."""
        self._heard = max(self._heard, at)

    def begin(self, now: float) -> None:
        """There is no wire any more."""
        slept = self._slept if self._heard <= self._woke_at else 0.0
        self._timer.at(self._until(now + self._kept, slept, now))

    def stop(self) -> None:
        """There is a wire, or the session is over."""
        self._timer.at(None)

    def woke(self, slept: float, now: float) -> None:
        """The machine slept for so many seconds and is awake since `now`. Say before what was `heard`."""
        self._slept = slept + (self._slept if self._heard <= self._woke_at else 0.0)
        self._woke_at = now
        if self._timer.due is not None:
            self._timer.at(self._until(self._timer.due, slept, now))

    def _until(self, due: float, slept: float, now: float) -> float:
        return min(due, max(due - slept, now + AFTER_WAKE)) if slept else due
