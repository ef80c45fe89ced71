"""The state of one in-process manager: its dests, and what hub and peers call. One loop's thread each."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from inproc.hub import Goodbye, Hub, Link, post
from inproc.lame_duck import Leaving, leave, peer_draining
from inproc.lane import OutLane, never_reached
from inproc.options import InprocOptions
from inproc.resending import keep, received
from inproc.streams import InprocStreams
from inproc.transport import InprocTransport
from litz.departures import Departure, Departures
from litz.dest import validate_dest
from litz.dest_watch import DestWatch
from litz.errors import (
    BackpressureError,
    ConnectError,
    ManagerStateError,
    OutcomeUnknownError,
    PeerClosedError,
    PeerRestartedError,
    RemoteError,
    SessionEndedError,
    UnknownDestError,
)
from litz.event_log import EventLog
from litz.events import (
    ConnectFailed,
    Connecting,
    EndReason,
    Event,
    LostReceipt,
    SessionEnded,
    SessionStarted,
    WireDown,
    WireUp,
)
from litz.inbox import Inbox
from litz.requests import RequestTable
from litz.snapshot import DestState

DEPARTURES_KEPT: Final = 600.0
MAX_DEPARTURES: Final = 4_096
"""Seconds, and number, of the goodbyes that are remembered: as the outproc options `tombstones_kept` and
`max_tombstones` have them by default."""

SESSIONS_KEPT: Final = 65_536
"""Dests whose sessions are counted; the longest unused is forgotten."""


class Node:
    """One entered manager."""

    def __init__(self, local_id: str, hub: Hub, options: InprocOptions) -> None:
        self.local_id = local_id
        self.hub = hub
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.inbox = Inbox()
        self.events = EventLog(self._state_events)
        self.requests: RequestTable[asyncio.Future[Any]] = RequestTable(
            secrets.randbits(63), limit=options.pending_requests
        )
        self.transports: dict[str, InprocTransport] = {}
        self.closed = False
        self.links: dict[Link, None] = {}  # the hub's, under its lock
        self.dials: dict[asyncio.Task[None], None] = {}
        self._sessions: OrderedDict[str, int] = OrderedDict()
        self.watch = DestWatch()
        self.departures = Departures(keep=DEPARTURES_KEPT, limit=MAX_DEPARTURES)
        self.said = Goodbye()
        """What is said to peers whose link this node ends."""
        self.leaving: Leaving | None = None
        self.streams = InprocStreams(self, options.max_streams)
        self.incarnation = hub.join(self)

    # -- dests --------------------------------------------------------------------------------------------

    def connected(self, dest: str) -> InprocTransport | None:
        """The transport of `dest` if its session lives, made now if the dest is on the hub."""
        transport = self.transports.get(dest)
        if transport is not None:
            link = transport.link
            if link is not None:
                if not link.ended:
                    return transport
                self.detach(link)
        return self._try_connect(dest)

    def queueing(self, dest: str) -> InprocTransport:
        """The transport of `dest`; if it is not on the hub, one that keeps messages until it is."""
        transport = self.connected(dest)
        if transport is None:
            transport = self.transports.get(dest) or self._new_transport(dest)
            link, new = self.hub.connect(self, dest, wait=True)
            if link is not None:
                self._attached(link, dest, new=new)
        return transport

    def comes_back(self, dest: str) -> bool:
        """Whether `dest` has left and said that it will be back: until then it counts as detached."""
        gone = self.departures.find(dest, self.loop.time())
        return gone is not None and gone.returning_in is not None

    def _try_connect(self, dest: str) -> InprocTransport | None:
        if dest not in self.transports:
            validate_dest(dest)
            self._check_room()
        if self.leaving is not None:
            raise self.leaving.error.with_traceback(None)
        self.departures.check(dest, self.loop.time())
        if (why := self.hub.leaves(dest)) is not None:
            raise peer_draining(dest, why)
        link, new = self.hub.connect(self, dest, wait=False)
        if link is None:
            return None
        self._attached(link, dest, new=new)
        return None if link.ended else self.transports.get(dest)

    def _new_transport(self, dest: str) -> InprocTransport:
        self._check_room()
        session = self._sessions.pop(dest, 0) + 1
        self._sessions[dest] = session
        if len(self._sessions) > SESSIONS_KEPT:
            self._sessions.popitem(last=False)
        transport = self.transports[dest] = InprocTransport(self, dest, session)
        self.events.emit(Connecting(dest))
        return transport

    def _check_room(self) -> None:
        if len(self.transports) >= self.options.max_dests:
            raise BackpressureError(
                f"{len(self.transports)} dests are in use and max_dests allows no more; close some of them"
            )

    def _attached(self, link: Link, dest: str, *, new: bool) -> None:
        """This side found or made the link."""
        other = link.other(self)
        # The other thread must know the link before anything that we post to it in `attach`.
        if new and not link.same_loop and not post(other.loop, other.attach, link):
            self.peer_is_dead(other)
        self.attach(link)

    def attach(self, link: Link) -> bool:
        """`link` is this node's session with the other side now. Idempotent. False: refused."""
        if link.ended:
            return False
        other = link.other(self)
        dest = other.local_id
        transport = self.transports.get(dest)
        full = len(self.transports) >= self.options.max_dests
        if transport is None and (full or self.leaving is not None):
            why = "has no room for more dests (max_dests)" if full else "leaves"
            self._end_link(link, f"{self.local_id} {why}")
            return False
        if transport is not None and transport.link is not None:
            if transport.link is link:
                return True
            self.detach(transport.link)
            return self.attach(link)  # looking anew: what was kept of the old session may have come here already
        transport = transport or self._new_transport(dest)
        transport.connected(link)
        self.departures.back(dest)
        leave(self, transport)
        if link.same_loop:
            if not other.attach(link):
                return False
            transport.join(other.transports[self.local_id])
        else:
            transport.start_crossing()
        self.hub.stop_waiting(self, dest)
        self.events.emit(SessionStarted(dest, transport.session, True, str(other.incarnation)))
        self.events.emit(WireUp(dest, "inproc", "inproc", True))
        self.watch.tell(dest)
        return True

    def peer_appeared(self, dest: str) -> None:
        """Somebody with the id `dest` entered the hub."""
        if not self.closed and dest in self.transports:
            self.queueing(dest)

    def detach(self, link: Link, closed: Exception | None = None) -> tuple[LostReceipt, ...]:
        """`link` has ended. Late news of an older link is dropped."""
        dest = link.other(self).local_id
        transport = self.transports.get(dest)
        if transport is None or transport.link is not link:
            return ()
        reason, detail = link.reason_for(self)
        if reason is EndReason.CLOSED_BY_PEER and link.said is not None:
            now, said = self.loop.time(), detail or "no reason given"
            self.departures.left(dest, Departure(said, now, link.said.returning_in))
        return self._end(transport, reason, detail, closed)

    def _end(
        self, transport: InprocTransport, reason: EndReason, detail: str, closed: Exception | None
    ) -> tuple[LostReceipt, ...]:
        dest = transport.dest
        del self.transports[dest]
        link = transport.link
        kept = keep(transport, reason)
        lost = tuple(receipt for lane in transport.out.values() for receipt in lane.lost())
        refused = {
            message.detail.request_id
            for lane in transport.out.values()
            for message, _ in lane.backlog
            if message.detail is not None and message.detail.request_id is not None
        }

        def failure(unconfirmed: tuple[LostReceipt, ...]) -> SessionEndedError:
            kind = PeerRestartedError if reason is EndReason.PEER_RESTARTED else PeerClosedError
            text = f"the session with {dest} ended: {reason.value}" + (f" ({detail})" if detail else "")
            return kind(text, dest=dest, lost=lost or unconfirmed)

        if self.leaving is not None:
            self.leaving.lost += lost
            self.leaving.awaited.pop(transport.link, None)
        transport.finished()
        for lane in transport.out.values():
            lane.finish(failure, closed)
        if link is not None:
            self.streams.link_ended(link, failure(()), closed)
        for request_id, future in self.requests.sweep(dest):
            if future.done():
                continue
            if request_id in refused:
                future.set_exception(never_reached(dest))
            else:
                future.set_exception(OutcomeUnknownError(f"{dest} is gone ({reason.value}); the request may have run"))
        if link is not None:
            self.events.emit(WireDown(dest, "inproc", "inproc", reason.value, 0))
        incarnation = str(link.other(self).incarnation) if link is not None else ""
        resent = kept.receipts(transport, self._sessions.get(dest, 0) + 1)
        ended = SessionEnded(dest, transport.session, reason, detail, lost, resent, received(transport), incarnation)
        self.events.emit(ended)
        self.watch.tell(dest)
        if resent:
            kept.give(self.queueing(dest))
        return lost

    def close_dest(self, dest: str, detail: str, closed: Exception) -> tuple[LostReceipt, ...]:
        """End what there is with `dest`, tell the peer, and forget it."""
        transport = self.transports.get(dest)
        if transport is None:
            return ()
        if transport.dial is not None:
            transport.dial.cancel()
        link = transport.link
        if link is None:
            self.hub.stop_waiting(self, dest)
            return self._end(transport, EndReason.CLOSED_HERE, detail, closed)
        return self._end_link(link, detail, closed, self.said)

    def _end_link(
        self, link: Link, detail: str, closed: Exception | None = None, said: Goodbye | None = None
    ) -> tuple[LostReceipt, ...]:
        other = link.other(self)
        ours = self.hub.end(link, self, None, detail, said)
        lost = self.detach(link, closed)
        if ours and other is not self:
            if link.same_loop:
                other.detach(link)
            else:
                post(other.loop, other.detach, link)
        return lost

    def peer_is_dead(self, peer: Node) -> None:
        """Its loop was closed without a goodbye."""
        self.hub.evict(peer, EndReason.UNKNOWN_TO_PEER, "its event loop was closed without aclose")

    def shut(self, returning_in: float | None = None) -> None:
        """Leave the hub and end everything, for good or to be back after so many seconds. Nothing is awaited."""
        if self.closed:
            return
        self.closed = True
        reason, self.said = "closing", Goodbye(returning_in)
        if self.leaving is not None:
            reason, self.said = self.leaving.goodbye(reason, returning_in)
        self.inbox.close()
        # First, so that no peer in another thread makes a link that nobody would end.
        links = self.hub.leave(self)
        error = ManagerStateError(f"the manager of {self.local_id} was closed")
        for dest in list(self.transports):
            self.close_dest(dest, reason, error)
        for link in links:
            self._end_link(link, reason, error, self.said)
        if self.leaving is not None:
            self.leaving.closed()
        self.events.close()
        self.watch.tell_all()

    # -- what peers call: always in this node's thread -------------------------------------------------------

    def drain(self, link: Link, sender: InprocTransport) -> None:
        """`sender`, the other side of `link`, has a backlog for us."""
        receiver = self.transports.get(sender.node.local_id)
        if receiver is not None and receiver.link is link:
            sender.drain(receiver, link)

    def listen(self, link: Link, lane: OutLane, seen: tuple[int, int, int], closely: bool) -> None:
        """The sender of `lane` wants news beyond what it has seen."""
        sender = lane.transport
        receiver = self.transports.get(sender.node.local_id)
        if receiver is None or receiver.link is not link:
            return
        queue = receiver.in_queue(lane.payload_type)
        if (lane.received, queue.processed, queue.processed_bytes) != seen:
            sender.tell(lane, queue)
        elif closely:
            queue.watch(lambda: sender.tell(lane, queue))

    def answered(self, dest: str, request_id: int, data: Any, error: BaseException | None) -> None:
        """A reply came."""
        future = self.requests.answered(dest, request_id)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(data)
        else:
            future.set_exception(RemoteError(type(error).__name__, str(error), dest=dest))

    def give_up(self, dest: str, request_id: int) -> None:
        """Nobody waits for the reply any more: the peer should stop."""
        if not self.requests.forget(request_id):
            return
        transport = self.transports.get(dest)
        if transport is not None and transport.link is not None:
            peer = transport.link.other(self)
            if transport.link.same_loop:
                peer.inbox.cancel_request(self.local_id, request_id)
            else:
                post(peer.loop, peer.inbox.cancel_request, self.local_id, request_id)

    # -- waiting ------------------------------------------------------------------------------------------

    async def connect(self, dest: str) -> InprocTransport:
        """The session with `dest`; waits at most `connect_timeout` for it to come to the hub."""
        transport = self.connected(dest)
        if transport is not None:
            return transport
        if self.options.connect_timeout <= 0:
            error = self._unknown(dest)
            self.events.emit(ConnectFailed(dest, error, None))
            raise error
        transport = self.queueing(dest)
        if transport.dial is None or transport.dial.done():
            transport.dial = self.loop.create_task(self._dial(transport), name=f"litz connect {dest}")
            transport.dial.add_done_callback(self._dial_ended)
            self.dials[transport.dial] = None
        dial = transport.dial
        await asyncio.wait([dial])
        if self.closed:
            raise ManagerStateError(f"the manager of {self.local_id} was closed")
        if not dial.cancelled() and (failure := dial.exception()) is not None:
            raise failure.with_traceback(None)  # one error for all who wait
        if transport.state is not DestState.CONNECTED:
            raise ConnectError(f"connecting to {dest} was stopped: it was closed here", dest=dest)
        return transport

    async def _dial(self, transport: InprocTransport) -> None:
        try:
            async with asyncio.timeout(self.options.connect_timeout):
                await transport.appeared.wait()
        except TimeoutError:
            error = self._unknown(transport.dest)
            self.events.emit(ConnectFailed(transport.dest, error, None))
            if not any(lane.next for lane in transport.out.values()):
                self.close_dest(transport.dest, "nobody came", error)
            raise error from None

    def _unknown(self, dest: str) -> UnknownDestError:
        waited = f" within {self.options.connect_timeout} s" if self.options.connect_timeout else ""
        return UnknownDestError(
            f"nobody with the id {dest!r} is on this hub{waited} ({self.hub.node_count} others are known to it, "
            f"this one included); enter that manager first, raise connect_timeout, or use when_down='queue'",
            dest=dest,
        )

    def _dial_ended(self, task: asyncio.Task[None]) -> None:
        self.dials.pop(task, None)
        if not task.cancelled():
            task.exception()  # nobody may be waiting for it any more

    def _state_events(self) -> Iterator[Event]:
        for dest, transport in self.transports.items():
            if transport.link is None:
                yield Connecting(dest)
            else:
                incarnation = str(transport.link.other(self).incarnation)
                yield SessionStarted(dest, transport.session, True, incarnation)
                yield WireUp(dest, "inproc", "inproc", True)
