"""A subscription to an episode of another node, which goes on at its cursor whatever becomes of the stream under it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from operator import length_hint
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from litz.backoff import Backoff
from litz.episode_messages import SERVICE, Request, decode, encode_request, end_of_words
from litz.episode_retrying import Retrying, Verdict
from litz.episodes.ends import MAX_REASON, End, Why
from litz.episodes.errors import EpisodeUnreachableError, error_of
from litz.episodes.keys import EpisodeKey
from litz.episodes.options import Behind
from litz.episodes.parts import Gap, Item
from litz.errors import (
    BusyError,
    ConnectError,
    ConsumerConflictError,
    EndOfStreamError,
    MessageTooLargeError,
    PeerClosedError,
    ProtocolError,
    SessionEndedError,
    StreamAbortedError,
    StreamRefusedError,
)
from litz.stream_options import StreamOptions

if TYPE_CHECKING:
    from litz.manager import TransportManager
    from litz.stream import Stream

_NOTHING: Final[Iterator[Item]] = iter(())


class RemoteParts(AsyncIterator[Item]):
    """Made by `subscribe_remote`. As `litz.episode_parts.EpisodeParts`: each part once and in order; ends with
    StopAsyncIteration only when the episode is complete, otherwise with an `EpisodeEndedError`.

    Cut wires are invisible to it. If the stream itself is lost (the session expired, the publisher restarted, or shut
    its door), it subscribes again by itself, after its cursor, with backoff; `EpisodeUnreachableError` when that fails
    for `patience` seconds, from which it can go on: ask again. It has no task of its own: all of that happens while its
    user waits for the next part. One task at a time. Cancelling a step loses nothing.
    """

    def __init__(self, manager: TransportManager, dest: str, request: Request, service: str, retry: Retrying) -> None:
        self._manager = manager
        self._dest = dest
        self._request = request
        self._service = service
        self._retry = retry
        self._iterator = _NOTHING
        self._received = request.after
        self._end: End | None = None
        self._stream: Stream | None = None
        self._busy = False
        self._opening: asyncio.Timeout | None = None
        self._closed_there = False
        self.attempts = 0
        """How often it has tried to subscribe again."""

    @property
    def key(self) -> EpisodeKey:
        return self._request.key

    @property
    def dest(self) -> str:
        return self._dest

    @property
    def cursor(self) -> int:
        """The number of the last part that was handed out (skipped ones included), or what `after` was. A plain number:
        keep it, and subscribe after it in another life."""
        return self._received - length_hint(self._iterator)

    @property
    def end(self) -> End | None:
        """How it ended, None while it has not."""
        return self._end

    async def __anext__(self) -> Item:
        try:
            return next(self._iterator)
        except StopIteration:
            pass
        batch = await self._next_batch()
        self._iterator = iter(batch)
        return next(self._iterator)

    async def batch(self) -> list[Item]:
        """Several parts at once, at least one: as they came. Raises what `__anext__` raises, StopAsyncIteration too."""
        rest = list(self._iterator)
        return rest if rest else await self._next_batch()

    def cancel(self) -> None:
        """Leave. The publisher is told; the next step, or one that waits, raises `BufferClosedError`. Idempotent."""
        self._received = self.cursor
        self._iterator = _NOTHING
        if self._end is None:
            self._end = End(Why.LEFT, self._received)
        self._retry.interrupt()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.reschedule(0.0)
        self._drop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()

    # -- steps ----------------------------------------------------------------------------------------

    async def _next_batch(self) -> list[Item]:
        if self._busy:
            raise ConsumerConflictError(f"two tasks read one subscription of {self.key}; give each its own")
        self._busy = True
        try:
            while True:
                if self._end is not None:
                    if self._end.complete:
                        raise StopAsyncIteration
                    raise error_of(self.key, self._end, self.cursor)
                try:
                    items = await self._step()
                except _PASSING as error:
                    if self._end is None:
                        self._failed(error)
                else:
                    if items:
                        return items
        finally:
            self._busy = False

    async def _step(self) -> list[Item]:
        """One message, from a stream that is opened if there is none. Raises what `_PASSING` names."""
        stream = self._stream
        if stream is None:
            # Also after a step that was cancelled while it waited for its turn.
            await self._retry.turn()
            if self._end is not None:
                return []
            stream = await self._open()
        try:
            message = await stream.receive()
        except StreamAbortedError:
            # Somebody may have left while it waited: then `_end` is set.
            ending = stream.stats.ending
            end = end_of_words(ending.reason) if ending is not None else None
            if end is None or self._end is not None:
                raise
            self._over(end)
            return []
        items, end = decode(self.key, message)
        if end is not None:
            self._over(end)
            return []
        self._check_order(items)
        self._retry.proved()
        return items

    async def _open(self) -> Stream:
        request = Request(self._request.key, self._received, self._request.behind)
        try:
            async with asyncio.timeout(None) as self._opening:  # `cancel` lets it expire
                stream = await self._manager.open_stream(
                    self._dest,
                    self._service,
                    metadata=encode_request(request),
                    options=self._retry.options,
                    # It said goodbye. A subscription is a standing wish to hear of it when it is back.
                    reopen=self._closed_there,
                )
        finally:
            self._opening = None
        if self._end is not None:  # left meanwhile
            stream.abort("left")
            raise StreamAbortedError("left")
        self._stream = stream
        self._closed_there = False
        self._retry.opened()
        await stream.send_eof()
        return stream

    def _check_order(self, items: list[Item]) -> None:
        first, last = items[0], items[-1]
        if first[0] != self._received + 1:
            raise ProtocolError(f"{self._dest} sends part {first[0]} of {self.key} after part {self._received}")
        self._received = last.last if isinstance(last, Gap) else last.number

    def _over(self, end: End) -> None:
        """The publisher has said how it ended."""
        if end.why is Why.BUSY:
            raise BusyError(f"{self._dest} is busy: {end.reason}", retry_after=1.0)
        if end.complete and end.last != self._received:
            raise ProtocolError(f"{self._dest} says that {self.key} is complete with {end.last}, at {self._received}")
        self._end = end
        self._drop()

    def _drop(self) -> None:
        """Nothing is wanted any more of the stream there is."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort("left")

    def _failed(self, error: Exception) -> None:
        """The stream is gone, or could not be had."""
        had = self._stream is not None
        self._closed_there = self._closed_there or isinstance(error, PeerClosedError)
        self._drop()
        verdict = self._retry.failed(error, had=had)
        if verdict is Verdict.AGAIN:
            self.attempts += 1
        elif isinstance(error, ProtocolError):
            self._end = End(Why.UNFIT, self._received, str(error)[:MAX_REASON])
        else:
            self._retry.begin()
            if verdict is Verdict.POINTLESS:
                raise error
            raise EpisodeUnreachableError(self.key, self._dest, self.cursor) from error


_PASSING: Final = (
    StreamRefusedError,
    StreamAbortedError,
    SessionEndedError,
    ConnectError,
    BusyError,
    ProtocolError,
    MessageTooLargeError,
    EndOfStreamError,
    TimeoutError,
)
"""What may be over soon, or at least says something of the peer."""


def subscribe_remote(
    manager: TransportManager,
    dest: str,
    key: EpisodeKey,
    *,
    after: int = 0,
    behind: Behind = Behind.FAIL,
    service: str = SERVICE,
    patience: float = 300.0,
    backoff: Backoff | None = None,
    rng: Random | None = None,
    options: StreamOptions | None = None,
) -> RemoteParts:
    """The parts of the episode `key` that `dest` publishes (`litz.episode_publisher.publish`), behind the part `after`:
    `async with subscribe_remote(manager, "bob", key) as parts: async for part in parts`. Nothing happens before the
    first step.

    behind    what happens if what comes next cannot be had: `Behind`
    patience  seconds without a word from the publisher after which a step raises `EpisodeUnreachableError`; while it
              is there and has no news there is no limit
    backoff   between attempts to subscribe again, with full jitter drawn from `rng`

    A step raises besides: `StreamRefusedError` (nobody publishes there, or not for this node), `UnknownDestError`,
    `PublisherUnfitError`, `ManagerStateError`, and at its end what `RemoteParts` says. Raises ValueError.
    """
    if after < 0:
        raise ValueError(f"a cursor is the number of a part, or 0, not {after}")
    if not patience > 0:
        raise ValueError(f"patience is a time in seconds above 0, not {patience!r}")
    retrying = Retrying(backoff or Backoff(), patience, rng or Random(), options)
    return RemoteParts(manager, dest, Request(key, after, behind), service, retrying)
