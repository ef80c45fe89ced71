"""When a `ResumablePipe` dials: one attempt at a time, backoff between those that fail, and at once when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from litz.backoff import Backoff, backoff_delay

ENDED = "the pipe has ended"


class ResumeDialler:
    """`attempt` makes one, and returns its error or None; `needed` says whether there is no connection."""

    def __init__(
        self,
        attempt: Callable[[], Awaitable[Exception | None]],
        needed: Callable[[], bool],
        rng: Random,
        backoff: Backoff,
    ) -> None:
        self._attempt = attempt
        self._needed = needed
        self._rng = rng
        self._backoff = backoff
        self._news = asyncio.Event()
        self._round: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._over = False
        self.failures = 0
        """In a row."""

    def start(self) -> None:
        """Begin. Idempotent."""
        if self._task is None and not self._over:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="litz resumable pipe")

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What dials, if it was started."""
        return [self._task] if self._task is not None else []

    def look_again(self) -> None:
        """The connection is lost."""
        self._news.set()

    async def now(self) -> None:
        """One attempt, now or the one under way, shared with all who ask meanwhile. Raises its error."""
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
            self._round.add_done_callback(_look_at)
            self._news.set()
        await asyncio.shield(self._round)

    def close(self, cause: BaseException) -> None:
        """No further attempt, and the one under way is cancelled. Who waits in `now` gets `cause`."""
        self._over = True
        self._settle(cause)
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _run(self) -> None:
        while not self._over:
            if self._round is None and not self._needed():
                await self._wait(None)
                continue
            if self._round is None and (delay := backoff_delay(self.failures, self._rng, self._backoff)):
                await self._wait(delay)
            if self._asked or self._needed():
                await self._make()

    @property
    def _asked(self) -> bool:
        return self._round is not None

    async def _wait(self, seconds: float | None) -> None:
        """Until there is news, or so long."""
        self._news.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _make(self) -> None:
        error = await self._attempt()
        if error is not None:
            self.failures += 1
        self._settle(error)

    def _settle(self, error: BaseException | None) -> None:
        done, self._round = self._round, None
        if done is not None and not done.done():
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)


def _look_at(done: asyncio.Future[None]) -> None:
    """All who asked may have gone: then nobody else looks at the error."""
    if not done.cancelled():
        done.exception()
