"""Episodes of a buffer for subscribers at other nodes: one stream for each subscription."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from litz.episode_buffer import EpisodeBuffer
from litz.episode_messages import SERVICE, decode_request, encode_end, encode_items, end_in_words
from litz.episode_parts import EpisodeParts
from litz.episodes.ends import MAX_REASON, End, Why
from litz.episodes.errors import EpisodeEndedError, EpisodeLimitError
from litz.episodes.parts import BATCH_PARTS, BATCH_SIZE
from litz.errors import ManagerStateError, MessageTooLargeError, PayloadError, ProtocolError
from litz.stream_options import StreamOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from litz.stream import Stream
    from litz.stream_port import Offer
    from litz.stream_verbs import StreamVerbs

MAX_STREAMS: Final = 65_536
PER_PEER: Final = 1_024
EARLY_PER_PEER: Final = 256


class EpisodePublisher:
    """Made by `publish`. Subscribers of other nodes are readers of the buffer like any other: what they may ask for,
    how slow they may be and how many there may be is the buffer's to say, and none of them makes a producer wait.

    `async with`, or `start` and `aclose`. `aclose` cuts the subscriptions off without an end, and does not close the
    buffer: subscribers come again by themselves, here or at the next life of this node, and go on at their cursor.
    """

    def __init__(
        self,
        manager: StreamVerbs,
        buffer: EpisodeBuffer,
        service: str,
        *,
        allow: Callable[[Offer], bool] | None,
        max_streams: int,
        per_peer: int,
        early_per_peer: int,
    ) -> None:
        self._early_per_peer = early_per_peer
        self._early: dict[str, list[EpisodeParts]] = {}
        """For each node its subscriptions that waited for a creation when they were last looked at."""
        self._buffer = buffer
        self._allow = allow
        self._per_peer = per_peer
        self._standing: Counter[str] = Counter()
        # A subscriber that goes cancels its handler, which may be waiting for a part.
        options = StreamOptions(fail_fast=True, max_streams=max_streams, max_message=_largest(buffer))
        self._listener = manager.listen_streams(service, self._serve, options=options, accept=self._accept, start=False)

    @property
    def standing(self) -> int:
        """Subscriptions of other nodes that stand now."""
        return self._standing.total()

    def start(self) -> None:
        """Take subscribers from now on. Idempotent."""
        self._listener.start()

    async def aclose(self) -> None:
        """Take no more, and cut off those that stand; they subscribe again elsewhere, or later. Idempotent."""
        await self._listener.stop("abort")

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _accept(self, offer: Offer) -> str | None:
        try:
            decode_request(offer.metadata)
        except ProtocolError as error:
            return str(error)
        return None if self._allow is None or self._allow(offer) else "not for this node"

    async def _serve(self, stream: Stream) -> None:
        sender = stream.sender
        self._standing[sender] += 1
        try:
            parts = self._subscribe(stream)
            end = parts if isinstance(parts, End) else await self._follow(parts, stream)
            await self._tell_end(stream, end)
        finally:
            self._standing[sender] -= 1
            if not self._standing[sender]:
                del self._standing[sender]
                self._early.pop(sender, None)

    def _subscribe(self, stream: Stream) -> EpisodeParts | End:
        if self._standing[stream.sender] > self._per_peer:
            return End(Why.BUSY, reason=f"{self._per_peer} subscriptions of one node stand already")
        request = decode_request(stream.metadata)
        try:
            parts = self._buffer.subscribe(request.key, request.after, behind=request.behind)
            if parts.early and not self._may_wait(stream.sender, parts):
                parts.cancel()
                return End(Why.BUSY, reason=f"{self._early_per_peer} subscriptions of one node wait for a creation")
            return parts
        except EpisodeLimitError as error:
            return End(Why.BUSY, reason=str(error)[:MAX_REASON])
        except ManagerStateError:
            return End(Why.CLOSED)

    def _may_wait(self, sender: str, parts: EpisodeParts) -> bool:
        """Whether one more of this node may wait for its creation: the others shall find a place too."""
        early = self._early.setdefault(sender, [])
        if len(early) >= self._early_per_peer:
            early[:] = [each for each in early if each.early]
        if len(early) >= self._early_per_peer:
            return False
        early.append(parts)
        return True

    async def _follow(self, parts: EpisodeParts, stream: Stream) -> End:
        def cut(end: End) -> None:
            # It ended while a message waits for room: the subscriber is slow, or the buffer was closed. There is no way
            # to send it another message.
            stream.abort(end_in_words(end))

        parts.on_end(cut)
        async with parts:
            return await self._pump(parts, stream)

    async def _tell_end(self, stream: Stream, end: End) -> None:
        try:
            async with asyncio.timeout(self._buffer.options.stall):
                await stream.send(encode_end(end))
        except TimeoutError:
            # It does not read. It hears of that when it does, and can ask again at its cursor.
            stream.abort(end_in_words(end))

    async def _pump(self, parts: EpisodeParts, stream: Stream) -> End:
        """Send what comes, as fast as the subscriber reads; returns the end."""
        while True:
            try:
                items = await parts.batch(BATCH_PARTS, BATCH_SIZE)
            except (StopAsyncIteration, EpisodeEndedError):
                assert parts.end is not None
                return parts.end
            try:
                await stream.send(encode_items(items))
            except (PayloadError, MessageTooLargeError) as error:
                return End(Why.UNFIT, reason=f"parts from {items[0][0]} on: {error}"[:MAX_REASON])


def publish(
    manager: StreamVerbs,
    buffer: EpisodeBuffer,
    *,
    service: str = SERVICE,
    allow: Callable[[Offer], bool] | None = None,
    max_streams: int = MAX_STREAMS,
    per_peer: int = PER_PEER,
    early_per_peer: int = EARLY_PER_PEER,
) -> EpisodePublisher:
    """Let other nodes subscribe to the episodes of `buffer`: `async with publish(manager, buffer): ...`. They use
    `litz.episode_subscriber.subscribe_remote`.

    allow        asked about each subscriber: whether this node may; besides what rights the manager has
    max_streams  subscriptions at once, `per_peer` those of one node, and `early_per_peer` those of one node that wait
                 for an episode that was not created; more are told to come later

    Between processes parts are bytes: encode others before they are appended. Raises `ConsumerConflictError` if the
    service is taken, `ManagerStateError`.
    """
    return EpisodePublisher(
        manager,
        buffer,
        service,
        allow=allow,
        max_streams=max_streams,
        per_peer=per_peer,
        early_per_peer=early_per_peer,
    )


def _largest(buffer: EpisodeBuffer) -> int:
    """Of a message: a batch is less than `BATCH_SIZE`, or one part."""
    return max(buffer.options.max_part, BATCH_SIZE) + (1 << 20)
