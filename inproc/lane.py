"""The sending side of one lane: numbers, bounds, waiters. It lives in the sender's loop.

The peer is either in the same loop (`queue` is then its inbox queue, filled directly) or in another (then
`backlog` crosses over, and `released`, `received` and `processed` are written by the peer's thread).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from litz.errors import BackpressureError, ConnectError, NotARequestError
from litz.events import LostReceipt, Outcome
from litz.inbox_queue import InboxQueue
from litz.message import Channel, Detail, Message, Origin, Receipt
from litz.payload import PayloadType
from litz.turns import payload_size

if TYPE_CHECKING:
    from inproc.transport import InprocTransport

SMALL_QUEUE: Final = 1024
"""A lane this short is watched message by message while somebody waits for space; a longer one is told
each time a batch (256 at most) is finished."""

Level = Literal["received", "processed"]


class LaneSource:
    """What the receiver knows of where a message came from. Used in the receiver's thread."""

    __slots__ = ("_transport", "payload_type", "sender", "verified")

    def __init__(self, transport: InprocTransport, payload_type: PayloadType) -> None:
        self._transport = transport
        self.sender = transport.node.local_id
        self.payload_type = payload_type
        self.verified = True  # the hub lets nobody use the id of another

    def origin(self, number: int) -> Origin:
        transport = self._transport
        return Origin(str(transport.node.incarnation), transport.session, int(self.payload_type), number)

    async def reply(self, message: Message, data: Any) -> None:
        self._transport.answer(_request_id(message), data, None)

    def fail(self, message: Message, error: BaseException) -> Awaitable[None]:
        return self._fail(message, error)

    async def _fail(self, message: Message, error: BaseException) -> None:
        self._transport.answer(_request_id(message), None, error)


def _request_id(message: Message) -> int:
    if message.detail is None or message.detail.request_id is None:
        raise NotARequestError(f"{message.sender} does not wait for an answer to {message!r}; use send")
    return message.detail.request_id


class Waiter(NamedTuple):
    """A `send` that waits for space. It is accepted in its turn, on its behalf."""

    future: asyncio.Future[Receipt | None]
    data: Any
    detail: Detail | None
    size: int


def never_reached(dest: str) -> ConnectError:
    """For a request that surely did not run."""
    return ConnectError("the request never reached it; send it again", dest=dest)


class OutLane:
    """One lane to one dest in one session."""

    __slots__ = (
        "acks",
        "backlog",
        "channel",
        "drained_bytes",
        "dropped",
        "dropped_bytes",
        "limit",
        "limit_bytes",
        "lossy",
        "next",
        "payload_type",
        "processed",
        "queue",
        "received",
        "released",
        "released_bytes",
        "sent_bytes",
        "source",
        "transport",
        "waiters",
        "wants_news",
        "watching",
    )

    def __init__(self, transport: InprocTransport, payload_type: PayloadType) -> None:
        options = transport.node.options
        self.transport = transport
        self.payload_type = payload_type
        self.channel = Channel(transport.dest, transport.session, int(payload_type))
        self.source = LaneSource(transport, payload_type)
        self.lossy = not payload_type.reliable
        self.limit = options.queue_messages
        self.limit_bytes = options.queue_bytes
        self.queue: InboxQueue | None = None
        self.backlog: deque[tuple[Message, int]] = deque()
        self.waiters: deque[Waiter] = deque()
        self.acks: list[tuple[int, Level, asyncio.Future[None]]] = []
        self.next = 0
        self.sent_bytes = 0
        self.dropped = 0
        self.dropped_bytes = 0
        self.watching = 0
        # Absolute, and written by one thread each: the peer's, when it is another one.
        self.received = 0
        self.processed = 0
        self.released_bytes = 0
        self.drained_bytes = 0
        self.wants_news = False

    # -- sending ------------------------------------------------------------------------------------------

    def has_space(self, size: int) -> bool:
        pending = self.next - self.processed
        if pending < self.limit and (self.sent_bytes - self.released_bytes + size <= self.limit_bytes or not pending):
            return True
        queue = self.queue
        if queue is None or (self.processed == queue.processed and self.released_bytes == queue.processed_bytes):
            return False
        self.processed = queue.processed
        self.released_bytes = queue.processed_bytes
        return self.has_space(size)

    def accept(self, data: Any, detail: Detail | None, size: int) -> Receipt:
        """The message is in the log from here on."""
        if detail is not None and detail.request_id is not None:
            self.transport.node.requests.enter(detail.request_id, self.channel.dest)
        number = self.next
        self.next = number + 1
        self.sent_bytes += size
        message = Message((data, number, self.source, detail))
        if self.queue is not None:
            if self.lossy:
                self._make_room(self.queue, size)
            self.queue.put([message], size)
            self.received = number + 1
        else:
            if self.lossy:
                self._make_room_in_backlog(size)
            self.backlog.append((message, size))
            self.transport.poke()
        return (self.channel, number)

    def accept_now(self, data: Any, detail: Detail | None) -> Receipt:
        size = payload_size(data)
        if not self.lossy and (self.waiters or not self.has_space(size)):
            raise BackpressureError(
                f"{self.next - self.processed} messages to {self.channel.dest} are not processed yet and the lane "
                f"takes {self.limit} ({self.limit_bytes} bytes); await send, or try again later"
            )
        return self.accept(data, detail, size)

    async def wait_accepted(self, data: Any, detail: Detail | None) -> Receipt | None:
        """Accept in turn. None: the session ended first and nothing was sent."""
        size = payload_size(data)
        seen = self._seen()
        if self.lossy or (not self.waiters and self.has_space(size)):
            return self.accept(data, detail, size)
        future: asyncio.Future[Receipt | None] = self.transport.node.loop.create_future()
        self.waiters.append(Waiter(future, data, detail, size))
        self.ask_for_news(seen)
        try:
            return await future
        finally:
            if not future.done() or future.cancelled():
                self.news()  # a cancelled waiter must not hold up those behind it

    def _make_room(self, queue: InboxQueue, size: int) -> None:
        while queue.pending >= self.limit or (queue.pending and queue.pending_bytes + size > self.limit_bytes):
            if not queue.drop_oldest():
                return
            self.dropped += 1

    def _make_room_in_backlog(self, size: int) -> None:
        while self.backlog and (
            len(self.backlog) >= self.limit
            or self.sent_bytes - self.dropped_bytes - self.drained_bytes > self.limit_bytes
        ):
            try:
                _, dropped = self.backlog.popleft()
            except IndexError:  # the peer's thread took it
                return
            self.dropped += 1
            self.dropped_bytes += dropped

    # -- news of the peer -----------------------------------------------------------------------------------

    def acked(self, target: int, level: Level) -> asyncio.Future[None]:
        """Done when the first `target` messages have come to `level`; fails when the session ends before."""
        future: asyncio.Future[None] = self.transport.node.loop.create_future()
        self.acks.append((target, level, future))
        self.news()
        return future

    def news(self) -> None:
        """Something may have changed: accept those who wait, confirm what can be, and ask again if more is
        wanted."""
        seen = self._seen()
        if self.queue is not None:
            self.processed = self.queue.processed
            self.released_bytes = self.queue.processed_bytes
        while self.waiters:
            waiter = self.waiters[0]
            if not waiter.future.done():
                if not self.has_space(waiter.size):
                    break
                waiter.future.set_result(self.accept(waiter.data, waiter.detail, waiter.size))
            self.waiters.popleft()
        if self.acks:
            left = []
            for ack in self.acks:
                target, level, future = ack
                if future.done():
                    continue
                if (self.received if level == "received" else self.processed) >= target:
                    future.set_result(None)
                else:
                    left.append(ack)
            self.acks = left
        self.ask_for_news(seen)

    def _seen(self) -> tuple[int, int, int]:
        """What is known of the peer. To be taken *before* deciding to wait: the peer's thread may change it at
        any moment, and what it changed after the decision is news."""
        return self.received, self.processed, self.released_bytes

    def ask_for_news(self, seen: tuple[int, int, int]) -> None:
        """Have `news` called when there is more than `seen`. Closely: at the next message processed."""
        if not self.waiters and not self.acks:
            return
        closely = bool(self.waiters and self.limit < SMALL_QUEUE) or any(
            level == "processed" for _, level, _ in self.acks
        )
        if self.watching >= 1 + closely:
            return
        self.watching = 1 + closely
        if self.queue is None:
            self.wants_news = True
            self.transport.ask_peer(self, seen, closely)
        elif closely:
            self.queue.watch(self.told)

    def told(self) -> None:
        """The news that was asked for."""
        self.watching = 0
        self.news()

    def drained(self) -> None:
        """A batch was finished (same loop)."""
        if self.waiters or self.acks:
            self.news()

    # -- life -------------------------------------------------------------------------------------------

    def connect(self, queue: InboxQueue) -> None:
        """The peer is in the same loop: what was kept goes over at once."""
        self.queue = queue
        queue.on_drained = self.drained
        if self.backlog:
            kept, self.backlog = self.backlog, deque()
            queue.put([message for message, _ in kept], sum(size for _, size in kept))
        self.received = self.next
        self.told()

    def lost(self) -> list[LostReceipt]:
        """What the peer never took. Only after the end of the link, or without one."""
        if self.lossy:
            return []
        return [LostReceipt((self.channel, message.number), Outcome.NEVER_ACCEPTED) for message, _ in self.backlog]

    def finish(self, failure: Callable[[tuple[LostReceipt, ...]], Exception], closed: Exception | None) -> None:
        """The session ended. Confirmations fail unless they have come; those who wait for space try the next
        session, or get `closed`. A request is of the session it was made in: it fails at once."""
        acks, self.acks = self.acks, []
        for target, level, future in acks:
            if future.done():
                continue
            if (self.received if level == "received" else self.processed) >= target:
                future.set_result(None)
            else:
                outcome = Outcome.NEVER_ACCEPTED if self.received < target else Outcome.UNKNOWN
                future.set_exception(failure((LostReceipt((self.channel, target - 1), outcome),)))
        waiters, self.waiters = self.waiters, deque()
        for waiter in waiters:
            if waiter.future.done():
                continue
            if closed is not None:
                waiter.future.set_exception(closed)
            elif waiter.detail is not None and waiter.detail.request_id is not None:
                waiter.future.set_exception(never_reached(self.channel.dest))
            else:
                waiter.future.set_result(None)
        if self.queue is not None:
            self.processed = self.queue.processed
            self.queue.on_drained = None
