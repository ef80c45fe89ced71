"""Work that may wait, done a little at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

SPACE: Final = 0.001
"""Seconds between two jobs. Between them the loop serves everything else *and sleeps*, so that programs on the same
core, such as the one that waits for a reply of this one, get their turn too."""

MANY: Final = 16
"""For each so many that wait, one more is done at a time: a thousand honest peers that come back together are held up
by a fraction of a second, and the loop is never lost in them."""


class Spaced:
    """Does jobs in the order they came, `SPACE` apart, more at a time when `MANY` wait.

    A job that comes when none was done lately is done at once. For the loop's thread only. Deterministic: it asks
    neither a clock nor chance. Nothing here is bounded: whoever gives jobs bounds how many of them there are.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: deque[Callable[[], None]] = deque()
        self._handle: asyncio.Handle | None = None

    def do(self, job: Callable[[], None]) -> None:
        """Do `job` now, or when its turn comes. It should take well below a millisecond. What it raises is raised here
        if it is done now, and goes to the loop's exception handler later."""
        if self._handle is not None:
            self._jobs.append(job)
            return
        self._rest()
        job()

    async def turn(self) -> None:
        """Return when the caller's turn has come. May be cancelled."""
        came: asyncio.Future[None] = self._loop.create_future()
        self.do(lambda: None if came.done() else came.set_result(None))
        await came

    def _rest(self) -> None:
        self._handle = self._loop.call_later(SPACE, self._next)

    def _next(self) -> None:
        self._handle = None
        if not self._jobs:
            return
        self._rest()
        for _ in range(1 + len(self._jobs) // MANY):
            self._jobs.popleft()()

    def finish(self) -> None:
        """Do at once what waits, and leave no timer. Idempotent; jobs given later are done all the same."""
        jobs, self._jobs = self._jobs, deque()
        for job in jobs:
            job()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def __len__(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)
