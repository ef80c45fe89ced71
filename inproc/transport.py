"""What a node keeps for one dest: one session, both directions of it. It lives in the node's loop; the few
methods that the peer's thread calls say so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Never

from inproc.hub import Link, post
from inproc.lane import OutLane
from litz.errors import LitzError, PeerClosedError
from litz.inbox_queue import InboxQueue
from litz.lifecycle import move
from litz.manager import Transport
from litz.message import Message
from litz.payload import PayloadType
from litz.snapshot import DestSnapshot, DestState, LaneSnapshot, WireSnapshot

if TYPE_CHECKING:
    from inproc.node import Node

CARRIED: Final = (
    PayloadType.RPC_SIGNAL,
    PayloadType.RPC_RELIABLE,
    PayloadType.STREAM_RELIABLE,
    PayloadType.STREAM_LATENCY_FIRST,
)
CHUNK: Final = 256
"""Messages handed to the inbox at once, so that senders hear of progress in time."""


class TurnedAway(dict[PayloadType, OutLane]):
    """The lanes of a transport that takes nothing new: whoever asks for one to send on gets the error."""

    def __init__(self, lanes: dict[PayloadType, OutLane], error: LitzError) -> None:
        super().__init__(lanes)
        self._error = error

    def get(self, key: object, default: object = None) -> Never:
        raise self._error.with_traceback(None)


class InprocTransport(Transport):
    """One dest of one node, for one session. A new session gets a new one."""

    def __init__(self, node: Node, dest: str, session: int) -> None:
        self.node = node
        self.session = session
        self._dest = dest
        self._state = DestState.CONNECTING
        self.link: Link | None = None
        self.peer: InprocTransport | None = None  # set when both are in one loop, and in the peer's thread
        self.out = {payload_type: OutLane(self, payload_type) for payload_type in CARRIED}
        self._lanes = tuple(self.out.values())
        self._in: dict[PayloadType, InboxQueue] = {}
        self._scheduled = False
        self.since = node.loop.time()
        self.dial: asyncio.Task[None] | None = None
        self.appeared = asyncio.Event()
        self.peer_leaves = ""  # why, once it has said that it does

    @property
    def dest(self) -> str:
        return self._dest

    @property
    def state(self) -> DestState:
        return self._state

    def __repr__(self) -> str:
        return f"<in-process transport to {self._dest}: {self._state.value}, session {self.session}>"

    # -- sending side, in the node's loop -------------------------------------------------------------------

    def connected(self, link: Link) -> None:
        """The session begins."""
        self._state = move(self._state, DestState.CONNECTED)
        self.link = link
        self.since = self.node.loop.time()
        self.appeared.set()

    def join(self, peer: InprocTransport) -> None:
        """`peer`, the other side, is in this loop: lanes lead straight into its inbox."""
        for lane in self._lanes:
            lane.connect(peer.in_queue(lane.payload_type))

    def start_crossing(self) -> None:
        """The peer is in another loop: send over what was kept."""
        for lane in self._lanes:
            lane.watching = 0
            lane.news()
            if lane.backlog:
                self.poke()

    def poke(self) -> None:
        """There is a backlog. One call crosses over for all that gathers until it runs."""
        link = self.link
        if link is None or self._scheduled:
            return
        self._scheduled = True
        peer = link.other(self.node)
        if not post(peer.loop, peer.drain, link, self):
            self.node.loop.call_soon(self.node.peer_is_dead, peer)

    def ask_peer(self, lane: OutLane, seen: tuple[int, int, int], closely: bool) -> None:
        link = self.link
        if link is not None:
            peer = link.other(self.node)
            post(peer.loop, peer.listen, link, lane, seen, closely)

    def turn_away(self, error: LitzError) -> None:
        """Take nothing new, also of those who wait for space: one of the two sides leaves. What was accepted goes."""
        self.out = TurnedAway(self.out, error)
        for lane in self._lanes:
            waiters, lane.waiters = lane.waiters, deque()
            for waiter in waiters:
                if not waiter.future.done():
                    waiter.future.set_exception(error.with_traceback(None))

    def finished(self) -> None:
        """The session is over."""
        if self._state is DestState.CONNECTED:
            self._state = move(self._state, DestState.CLOSING)
        self._state = move(self._state, DestState.CLOSED)
        self.appeared.set()
        for queue in self._in.values():
            queue.on_drained = None
            queue.close()

    # -- receiving side, in the peer's loop -----------------------------------------------------------------

    def drain(self, receiver: InprocTransport, link: Link) -> None:
        """Take the backlog over into the inbox of `receiver`. Called in the receiver's thread."""
        taken: list[tuple[OutLane, list[tuple[Message, int]]]] = []
        with link.lock:
            # Before looking: what is appended after the look then schedules the next drain.
            self._scheduled = False
            if link.ended:
                return
            for lane in self._lanes:
                items = []
                for _ in range(len(lane.backlog)):
                    try:
                        items.append(lane.backlog.popleft())
                    except IndexError:  # the sender dropped it
                        break
                if items:
                    lane.received = items[-1][0].number + 1
                    lane.drained_bytes += sum(size for _, size in items)
                    taken.append((lane, items))
        for lane, items in taken:
            receiver.take_over(lane, items)
            if lane.wants_news:
                self.tell(lane, receiver.in_queue(lane.payload_type))

    def take_over(self, lane: OutLane, items: list[tuple[Message, int]]) -> None:
        queue = self.in_queue(lane.payload_type)
        if queue.on_drained is None and lane.transport.link is not None:
            sender = lane.transport
            queue.on_drained = lambda: sender.tell(lane, queue)
        for start in range(0, len(items), CHUNK):
            chunk = items[start : start + CHUNK]
            if lane.lossy:
                while queue.pending + len(chunk) > lane.limit and queue.drop_oldest():
                    lane.dropped += 1
            queue.put([message for message, _ in chunk], sum(size for _, size in chunk))

    def tell(self, lane: OutLane, queue: InboxQueue) -> None:
        """How far the consumer has come, for the sender in the other loop. Receiver's thread."""
        lane.processed = queue.processed
        lane.released_bytes = queue.processed_bytes
        if lane.wants_news:
            lane.wants_news = False
            post(self.node.loop, lane.told)

    def answer(self, request_id: int, data: Any, error: BaseException | None) -> None:
        """Reply to a request that came from here. Called in the receiver's thread."""
        link = self.link
        if link is None or link.ended:
            raise PeerClosedError(f"{self.node.local_id} is gone; nobody waits for this reply", dest=self._dest)
        if link.same_loop:
            self.node.answered(self._dest, request_id, data, error)
        else:
            post(self.node.loop, self.node.answered, self._dest, request_id, data, error)

    @property
    def queues(self) -> Mapping[PayloadType, InboxQueue]:
        """Those that something came into, or could."""
        return self._in

    def in_queue(self, payload_type: PayloadType) -> InboxQueue:
        """Where messages from this dest go, in this node's inbox."""
        queue = self._in.get(payload_type)
        if queue is None:
            queue = self._in[payload_type] = self.node.inbox.queue(self._dest, payload_type)
        return queue

    # -- sight ------------------------------------------------------------------------------------------

    def snapshot(self) -> DestSnapshot:
        connected = self._state is DestState.CONNECTED
        lanes = tuple(
            self._lane_snapshot(lane)
            for lane in self._lanes
            if lane.next or (lane.payload_type in self._in and self._in[lane.payload_type].received)
        )
        wire = WireSnapshot(
            kind="inproc",
            path="direct",
            dialled=True,
            age=self.node.loop.time() - self.since,
            round_trip=None,
            bytes_in=0,
            bytes_out=0,
            frames_in=0,
            frames_out=0,
            buffered=0,
        )
        return DestSnapshot(
            dest=self._dest,
            state=self._state,
            session=self.session,
            verified=True,
            draining=self.peer_leaves,
            heals=0,
            replayed=0,
            duplicates_dropped=0,
            wires=(wire,) if connected else (),
            slots=(),
            lanes=lanes,
            history=self.node.events.history.of(self._dest),
            streams=self.node.streams.snapshot(self.link),
        )

    def _lane_snapshot(self, lane: OutLane) -> LaneSnapshot:
        queue = self._in.get(lane.payload_type)
        if lane.queue is not None:
            lane.processed = lane.queue.processed
        return LaneSnapshot(
            lane=int(lane.payload_type),
            sent=lane.next,
            acked=lane.received,
            processed=lane.processed,
            logged=lane.next - lane.received,
            logged_bytes=sum(size for _, size in tuple(lane.backlog)),
            received=queue.received if queue is not None else 0,
            delivered=queue.processed if queue is not None else 0,
            inbox=queue.pending if queue is not None else 0,
            inbox_bytes=queue.pending_bytes if queue is not None else 0,
            dropped=lane.dropped,
            wire="inproc" if self.link is not None else "",
        )
