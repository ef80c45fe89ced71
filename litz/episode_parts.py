"""The parts of one episode, as one subscriber reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from operator import length_hint
from types import TracebackType
from typing import Final, Self

from litz.episodes.core import EpisodeCore
from litz.episodes.ends import End
from litz.episodes.errors import error_of
from litz.episodes.keys import EpisodeKey
from litz.episodes.options import Behind
from litz.episodes.parts import BATCH_PARTS, BATCH_SIZE, Gap, Item
from litz.episodes.reader import Reader
from litz.errors import ConsumerConflictError

_NOTHING: Final[Iterator[Item]] = iter(())


class _Bell:
    """What the core rings. It knows the future of the step that waits, not the subscription: so one that nobody holds
    any more is noticed, and one that waits is held."""

    __slots__ = ("on_end", "reader", "waiter")

    def __init__(self) -> None:
        self.waiter: asyncio.Future[None] | None = None
        self.reader: Reader | None = None
        self.on_end: Callable[[End], None] | None = None

    def ring(self) -> None:
        if self.waiter is not None:
            if not self.waiter.done():
                self.waiter.set_result(None)
        elif self.on_end is not None and self.reader is not None and self.reader.end is not None:
            self.on_end(self.reader.end)


class EpisodeParts(AsyncIterator[Item]):
    """Made by `EpisodeBuffer.subscribe`: an async iterator of `Part` (and of `Gap`, for those who asked to skip), and
    an async context manager around one. Each part comes once and in order, those that were there before and those that
    come later alike.

    Ends with StopAsyncIteration only when the episode is complete. Otherwise it raises, after all parts that can be
    had, an `EpisodeEndedError`: `EpisodeSupersededError` (a newer key), `EpisodeGoneError`, `EpisodeTrimmedError`,
    `SlowSubscriberError`, `BufferClosedError`, or itself (the producer failed, or was cancelled). `end` says which; it
    is raised again by each further step.

    One task at a time. Cancelling a step loses nothing. Parts are taken in batches, and what was handed to the user is
    read off the iterator: a step costs one call in C while a batch lasts. One that is dropped without being left is
    left then.
    """

    def __init__(self, core: EpisodeCore, now: Callable[[], float], arm: Callable[[], None]) -> None:
        self._core = core
        self._now = now
        self._arm = arm
        self._iterator = _NOTHING
        self._last: Item | None = None
        self._bell = _Bell()
        self._reader: Reader

    def begin(self, key: EpisodeKey, after: int, behind: Behind | None) -> None:
        """Called once, by the buffer."""
        self._loop = asyncio.get_running_loop()
        self._start = after
        self._reader = self._bell.reader = self._core.subscribe(self._now(), key, after, self._bell.ring, behind)

    def on_end(self, callback: Callable[[End], None]) -> None:
        """Call `callback(end)`, from the verb that causes it, when this subscription ends while its user does not wait
        for parts: because it is too slow, or the buffer is closed. Cheap, does not raise, does not hold this object."""
        self._bell.on_end = callback

    @property
    def key(self) -> EpisodeKey:
        return self._reader.key

    @property
    def cursor(self) -> int:
        """The number of the last part that was handed out (skipped ones included), or what `after` was: subscribe after
        this one to go on."""
        if self._last is None:
            return self._start
        if type(self._last) is Gap:
            return self._last.last
        return self._last[0] - length_hint(self._iterator)

    @property
    def early(self) -> bool:
        """Whether it waits for its episode to be created."""
        return self._reader.episode is None and self._reader.end is None

    @property
    def end(self) -> End | None:
        """How it ended, None while it has not."""
        return self._reader.end

    async def __anext__(self) -> Item:
        try:
            return next(self._iterator)
        except StopIteration:
            pass
        batch = await self._next_batch(BATCH_PARTS, BATCH_SIZE)
        self._iterator = self._reader.held = iter(batch)
        return next(self._iterator)

    async def batch(self, limit: int = BATCH_PARTS, size: int = BATCH_SIZE) -> list[Item]:
        """Several parts at once: at least one, at most `limit`, and at most `size` bytes unless that is less than one
        part. Raises what `__anext__` raises, StopAsyncIteration too."""
        rest = list(self._iterator)
        return rest if rest else await self._next_batch(limit, size)

    def cancel(self) -> None:
        """Leave: the next step, or the one that waits, raises `BufferClosedError`. Idempotent."""
        self._bell.on_end = None
        self._start, self._last = self.cursor, None
        self._core.cancel(self._now(), self._reader)
        self._iterator = self._reader.held = _NOTHING
        self._bell.ring()
        self._arm()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()

    async def _next_batch(self, limit: int, size: int) -> list[Item]:
        reader, bell = self._reader, self._bell
        if bell.waiter is not None:
            raise ConsumerConflictError(f"two tasks read one subscription of {reader.key}; give each its own")
        while True:
            batch = self._core.take(self._now(), reader, limit, size)
            if batch:
                self._last = batch[-1]
                return batch
            if reader.end is not None:
                self._arm()
                if reader.end.complete:
                    raise StopAsyncIteration
                raise error_of(reader.key, reader.end, self.cursor)
            bell.waiter = self._loop.create_future()
            try:
                await bell.waiter
            finally:
                bell.waiter = None

    def __del__(self) -> None:
        reader = self._bell.reader
        if reader is not None and reader.end is None and not self._loop.is_closed():
            # Whoever collects garbage may be in any thread, and in the middle of anything.
            self._loop.call_soon_threadsafe(_leave, self._core, self._now, reader)


def _leave(core: EpisodeCore, now: Callable[[], float], reader: Reader) -> None:
    core.cancel(now(), reader)
