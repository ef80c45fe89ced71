"""The receiving side of one session: from deliveries to the inbox, and from the consumer's progress to credit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import repeat
from typing import Any

from litz.errors import NotARequestError, ProtocolError
from litz.inbox import InboxQueue
from litz.message import Detail, Message, Origin
from litz.payload import REPLY_LANE, PayloadType
from litz.requests import Correlation
from outproc.frames.records import FirstSent
from outproc.local_node import LocalNode
from outproc.session.exchange import Received
from outproc.session.fixed_lanes import INTERNAL_LANES, STREAMS
from outproc.session.receive_lane import Delivery, Finished
from outproc.session.session import LOSSY_LANE, Session

Answer = Callable[[str, int, int, bytes], None]
"""Called for each entry of the reply lane with (dest, kind, request id, body)."""

Reply = Callable[["SessionSource", int, int, Any], Awaitable[None]]
"""Called to answer a request: (source, kind, request id, data)."""


class SessionSource:
    """What the messages of one lane of one session share."""

    __slots__ = ("_reply", "payload_type", "sender", "session", "verified")

    def __init__(
        self, sender: str, payload_type: PayloadType, session: Session, reply: Reply, *, verified: bool
    ) -> None:
        self.sender = sender
        self.payload_type = payload_type
        self.session = session
        self.verified = verified
        self._reply = reply

    def origin(self, number: int) -> Origin:
        """Of a message that was first transmitted in this session."""
        assert self.session.pair is not None, "what came, came in a session that is paired"
        theirs = self.session.pair.yours
        return Origin(str(theirs.incarnation), theirs.counter, int(self.payload_type), number)

    async def reply(self, message: Message, data: Any) -> None:
        """Answer a request; None is the empty reply. A reply to a peer whose session is over has nowhere to go and
        is dropped."""
        detail = message.detail
        if detail is None or detail.request_id is None:
            raise NotARequestError(f"{self.sender} does not wait for an answer to message {message.number}")
        await self._reply(self, Correlation.REPLY, detail.request_id, b"" if data is None else data)

    async def fail(self, message: Message, error: BaseException) -> None:
        """Answer a request with an exception."""
        detail = message.detail
        if detail is not None and detail.request_id is not None:
            try:
                said = str(error)
            except Exception:
                said = ""  # what it says is not ours, and its sender waits for an answer all the same
            text = f"{type(error).__name__}\0{said}".encode("utf-8", "replace")[:8192]
            await self._reply(self, Correlation.ERROR, detail.request_id, text)


class Inbound:
    """Puts what a session delivers into the inbox and tells the session what was consumed."""

    def __init__(
        self,
        node: LocalNode,
        dest: str,
        session: Session,
        *,
        verified: bool,
        answer: Answer,
        reply: Reply,
        news: Callable[[], None],
    ) -> None:
        self._node = node
        self._dest = dest
        self._session = session
        assert session.pair is not None, "nothing comes in before the pair is complete"
        self._theirs = session.pair.yours
        self._answer = answer
        self._news = news
        self._sources: dict[int, SessionSource] = {}
        self._queues: dict[int, InboxQueue] = {}
        self._stale: dict[int, None] = {}
        self._timer = node.timers.timer(self._account)
        for payload_type in PayloadType:
            self._sources[payload_type] = SessionSource(dest, payload_type, session, reply, verified=verified)

    def take(self, received: Received) -> None:
        """Hand over all that a frame brought. Adds the violation if an internal message is malformed."""
        for delivery in received.deliveries:
            if delivery.lane >= STREAMS:
                self._node.streams.received(self._dest, delivery)
                continue
            if delivery.lane not in INTERNAL_LANES:
                if delivery.origins is not None and max(delivery.origins)[0] >= self._theirs.counter:
                    received.violation = received.violation or ProtocolError("an origin in a session that is to come")
                self.deliver(delivery)
                continue
            try:
                self._node.internal.receive(self._dest, delivery)
            except ProtocolError as error:
                received.violation = received.violation or error
            self._consumed_at_once(delivery)
        for note in received.notes:
            if note.lane >= STREAMS and isinstance(note, Finished):
                self._node.streams.ended(self._dest, note.lane)

    def deliver(self, delivery: Delivery) -> None:
        """Hand over what became whole. From here on the inbox owns it."""
        lane = delivery.lane
        if lane == REPLY_LANE:
            self._replied(delivery)
            return
        queue = self._queues.get(lane)
        if queue is None:
            queue = self._open(lane)
        source = self._sources[lane]
        first = delivery.number
        bodies = delivery.bodies
        if delivery.correlations is None and delivery.keys is None and delivery.origins is None:
            queue.put_payloads(bodies, first, source, delivery.size)
        else:
            details = self._details(delivery)
            rows = zip(bodies, range(first, first + len(bodies)), repeat(source), details, strict=False)
            queue.put(list(map(Message, rows)), delivery.size)
        if lane == LOSSY_LANE:
            self._bound(queue)
        elif lane not in self._stale:
            self._watch(lane, queue)

    def _bound(self, queue: InboxQueue) -> None:
        """Latency first has no credit: over one window the oldest that nobody has taken goes, and is counted (P5)."""
        limits = self._session.limits
        while queue.pending > limits.window_messages or queue.pending_bytes > limits.window_size:
            if not queue.drop_oldest():
                return
            self._session.lossy_in.lost += 1

    def _details(self, delivery: Delivery) -> list[Detail | None]:
        count = len(delivery.bodies)
        correlations = delivery.correlations or [(0, 0)] * count
        keys = delivery.keys or [None] * count
        details: list[Detail | None] = []
        for (kind, request_id), key in zip(correlations, keys, strict=True):
            wanted = request_id if kind == Correlation.REQUEST else None
            details.append(Detail(key, False, wanted) if key is not None or wanted is not None else None)
        if delivery.origins is not None:
            self._mark(details, delivery.lane, delivery.origins)
        return details

    def _mark(self, details: list[Detail | None], lane: int, origins: list[FirstSent]) -> None:
        """Some of them were first sent in an earlier session, and may have come then."""
        incarnation = str(self._theirs.incarnation)
        for place, (session, number) in enumerate(origins):
            if session:
                origin = Origin(incarnation, session, lane, number)
                details[place] = (details[place] or Detail())._replace(redelivered=True, origin=origin)

    def _open(self, lane: int) -> InboxQueue:
        queue = self._queues[lane] = self._node.inbox.queue(self._dest, PayloadType(lane))
        if lane != LOSSY_LANE:
            queue.on_drained = partial(self._consumed, lane)
        return queue

    def _replied(self, delivery: Delivery) -> None:
        correlations = delivery.correlations or [(0, 0)] * len(delivery.bodies)
        for (kind, request_id), body in zip(correlations, delivery.bodies, strict=True):
            if kind == Correlation.CANCEL and PayloadType.RPC_RELIABLE not in self._queues:
                # It overtook the first request of all: the inbox keeps it with the queue that the request comes to.
                self._open(PayloadType.RPC_RELIABLE)
            self._answer(self._dest, kind, request_id, body)
        self._consumed_at_once(delivery)

    def _consumed_at_once(self, delivery: Delivery) -> None:
        """Of lanes that wait for no consumer."""
        lane = self._session.receive_lanes[delivery.lane]
        messages, size = lane.consumed_messages + len(delivery.bodies), lane.consumed_size + delivery.size
        end = delivery.number + len(delivery.bodies)
        self._session.consumed(delivery.lane, messages, size, end, self._node.now())
        self._news()

    # -- progress of the consumer -------------------------------------------------------------------

    def _watch(self, lane: int, queue: InboxQueue) -> None:
        self._stale[lane] = None
        queue.watch(partial(self._progressed, lane))

    def _progressed(self, lane: int) -> None:
        self._timer.by(self._node.now() + self._session.limits.ack_delay)

    def _account(self, now: float) -> None:
        lanes = list(self._stale)
        self._stale.clear()
        for lane in lanes:
            self._consumed(lane)
            queue = self._queues[lane]
            if queue.pending:
                self._watch(lane, queue)

    def _consumed(self, lane: int) -> None:
        queue = self._queues[lane]
        self._session.consumed(
            lane, queue.processed, queue.processed_bytes, queue.last_processed_number + 1, self._node.now()
        )
        self._news()

    def pending(self, lane: int) -> tuple[int, int]:
        """Messages and bytes of `lane` that wait in the inbox."""
        queue = self._queues.get(lane)
        return (queue.pending, queue.pending_bytes) if queue is not None else (0, 0)

    def close(self) -> None:
        """The session is over: what the inbox has stays, nothing is added."""
        self._timer.at(None)
        for queue in self._queues.values():
            queue.on_drained = None
            queue.close()
