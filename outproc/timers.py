"""The timers of one node: one heap of due times behind a single timer of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from outproc.health import DueHeap


class Timer:
    """One thing to be done at a time. Set again and again by its owner; costs nothing while it is not set."""

    __slots__ = ("_timers", "callback", "due")

    def __init__(self, timers: Timers, callback: Callable[[float], None]) -> None:
        self._timers = timers
        self.callback = callback
        self.due: float | None = None

    def at(self, when: float | None) -> None:
        """Be called with the time once it is `when` (of the loop's clock); None: not at all. Replaces what
        was set."""
        if when != self.due:
            self.due = when
            self._timers.moved(self)

    def by(self, when: float | None) -> None:
        """Be called at `when` or earlier, if something earlier is set."""
        if when is not None and (self.due is None or when < self.due):
            self.at(when)


class Timers:
    """Runs the timers of one node with one handle of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: DueHeap[Timer] = DueHeap()
        # uvloop gives a plain Handle, without a time, for what is due already
        self._handle: asyncio.Handle | None = None
        self._armed_at = 0.0
        self._closed = False

    def timer(self, callback: Callable[[float], None]) -> Timer:
        """A new timer, not set. `callback(now)` must not raise."""
        return Timer(self, callback)

    def moved(self, timer: Timer) -> None:
        """For `Timer`: its time has changed."""
        if timer.due is None or self._closed:
            self._heap.cancel(timer)
            return
        self._heap.schedule(timer, timer.due)
        self._arm_by(timer.due)

    def _arm_by(self, when: float) -> None:
        """Have the loop come at `when`, if it does not come before."""
        if self._handle is not None:
            if when >= self._armed_at:
                return
            self._handle.cancel()
        self._armed_at = when
        self._handle = self._loop.call_at(when, self._run)

    def _run(self) -> None:
        self._handle = None
        now = self._loop.time()
        for timer in self._heap.pop_due(now):
            # One that ran before may have moved it.
            if timer.due is not None and timer.due <= now:
                timer.due = None
                try:
                    timer.callback(now)
                except Exception as error:
                    # A wire of the user, say: it must not cost the others their time.
                    self._loop.call_exception_handler({"message": "litz: an error in a timer", "exception": error})
        following = self._heap.next_due()
        # A callback may have armed for a later time than what else is due.
        if following is not None and not self._closed:
            self._arm_by(following)

    def close(self) -> None:
        """Forget all. Idempotent."""
        self._closed = True
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
