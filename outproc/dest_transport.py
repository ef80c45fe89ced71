"""All there is for one dest: its session, the wires in it, and both directions of traffic.

Decides in synchronous methods, in the turn in which something is heard. Which session a wire joins is decided in
`joining`; dialling is `dialler`'s; this file keeps the wires and the session's life.
"""

from __future__ import annotations

from litz.errors import ConnectError, ProtocolError, SessionEndedError, UnauthenticatedError
from litz.events import EndReason, LostReceipt, MessagesSkipped, WireDown, WireUp
from litz.lifecycle import move
from litz.manager import Transport
from litz.snapshot import DestState
from outproc.dest_counters import Counters
from outproc.dial_attempt import Resolver
from outproc.dial_gate import DialGate
from outproc.dialler import Dialler
from outproc.ended_error import ended_error
from outproc.farewell import Farewell
from outproc.frames.records import LeaveReason
from outproc.goodbyes import came_back, ended_by_peer
from outproc.handshake import PeerInfo
from outproc.inbound import Inbound
from outproc.joining import decide
from outproc.keeping import Keeping
from outproc.link import Link, Step
from outproc.local_node import LocalNode
from outproc.once import Once
from outproc.outbound import Outbound
from outproc.requesting import Requests
from outproc.resending import carry_over, drop_unmarkable, ended_event, started_event
from outproc.session.leaving import reason_of
from outproc.session.pairing import IncarnationGate
from outproc.session.receive_lane import Skipped
from outproc.session.session import Received, Session
from outproc.session.tombstones import Finals
from outproc.shown_half import ShownHalf
from outproc.transport_owner import TransportOwner
from outproc.urgent_strand import UrgentStrand
from outproc.violations import look_at_end, violated
from outproc.wire_set import links_of, makes_room, superfluous


class DestTransport(Transport):
    """One dest. Outlives every wire and every session; closed, it stays closed."""

    def __init__(
        self,
        node: LocalNode,
        dest: str,
        owner: TransportOwner,
        requests: Requests,
        *,
        resolver: Resolver,
        dial_gate: DialGate,
    ) -> None:
        self.node = node
        self.owner = owner
        self.requests = requests
        self._dest = dest
        self._state = DestState.CONNECTING
        self.session = node.new_session(node.session_numbers.first(dest))
        self.gate = IncarnationGate()
        self.shown_half = ShownHalf()
        self.links: list[Link] = []
        self.outbound = Outbound(
            node, dest, self.session, write=self.write, overflowed=self._overflowed, dropped=requests.dropped
        )
        self.inbound: Inbound | None = None
        self.dialler = Dialler(node, dest, resolver=resolver, owner=self, gate=dial_gate)
        self.counters = Counters()
        self.verified = False
        self.faulted_until = float("-inf")
        """Until then nothing joins: the peer broke the rules of the last session again and again."""
        self._ack_timer = node.timers.timer(self._ack_due)
        self.keeping = Keeping(node.timers.timer(self._expired), node.options.session_kept)
        self.gone_for_good = Once()
        self.lost: tuple[LostReceipt, ...] = ()
        """What was not confirmed in the end: the same list for all who close it at once."""
        self.farewell, self.peer_leaves = Farewell(), ""  # why it leaves, once it has said that it does

    @property
    def dest(self) -> str:
        return self._dest

    @property
    def state(self) -> DestState:
        return self._state

    @property
    def closing(self) -> bool:
        return self._state in (DestState.CLOSING, DestState.CLOSED)

    def _move(self, state: DestState) -> None:
        self._state = move(self._state, state)
        self.owner.state_changed(self)

    # -- wires --------------------------------------------------------------------------------------

    def paired(self, peer: PeerInfo) -> None:
        """The session's pair of halves has become complete."""
        self.outbound.peer_takes(peer.limits.max_message)
        drop_unmarkable(self.outbound, peer)
        self.inbound = Inbound(
            self.node,
            self._dest,
            self.session,
            verified=self.verified,
            answer=self.requests.answered,
            reply=self.requests.reply,
            news=self.news,
        )
        came_back(self)
        self.node.emit(started_event(self))
        self.node.internal.session_began(self._dest, peer.features)

    def enter(self, link: Link) -> None:
        """The link has joined the session: it is up."""
        if link.in_session:
            return
        link.in_session = True
        link.settled()
        self.links.append(link)
        self.keeping.stop()
        self.node.emit(WireUp(self._dest, link.wire.kind, repr(link.wire), link.dialled))
        if self._state is DestState.DETACHED:
            self.counters.heals += 1
        if self._state is not DestState.CONNECTED:
            self._move(DestState.CONNECTED)
        self.dialler.joined(link)
        self.probe()  # at once: its answer settles ties (R12), and all round trips are measured beside each other
        if len(self.links) > self.node.options.max_wires:
            goes = makes_room(self.node.local_id, self._dest, self.links, link)
            self._dismiss(goes, LeaveReason.DISPLACED)
        self.bind_lanes()
        self.outbound.arm()
        self.node.internal.wires_changed(self._dest)

    def leave(self, link: Link) -> None:
        """The link is out of the session, dead or not. The session lives on."""
        self.session.leave(link, self.node.now())
        if not link.in_session:
            # It had resumed ahead of the peer's answer, so lanes may have been on it.
            self.bind_lanes()
            self.outbound.arm()
            return
        link.in_session = False
        self.links.remove(link)
        self.keeping.heard(link.heard_at)
        dismissed = f"dismissed as {link.dismissed.name.lower()}" if link.dismissed is not None else ""
        cause = str(link.failure or dismissed or link.cause or "left the session")
        self.node.emit(WireDown(self._dest, link.wire.kind, repr(link.wire), cause, len(self.links)))
        if self.links:
            self.bind_lanes()
            self.outbound.arm()
        elif self._state is DestState.CONNECTED:
            self.await_wires()
            self._move(DestState.DETACHED)
        self.dialler.lost(link)
        self.node.internal.wires_changed(self._dest)

    def is_full(self) -> bool:
        # With no wire for reliable lanes it goes on dialling: the next one makes one go that is of no use to them.
        return len(self.links) >= self.node.options.max_wires and any(link.dependable for link in self.links)

    def provided_kinds(self) -> frozenset[str]:
        return frozenset(link.wire.kind for link in self.links if not link.dialled)

    def bind_lanes(self) -> None:
        """Wires have changed, or a lane is new: give lanes the best wires there are."""
        self.node.mover.news(self)

    def _dismiss(self, link: Link, reason: LeaveReason) -> None:
        link.dismissed = reason
        link.write(self.session.dismissal(reason))
        self.leave(link)
        link.close()

    # -- traffic ------------------------------------------------------------------------------------

    def frame(self, link: Link, frame: bytes, strand: UrgentStrand | None = None) -> None:
        """A binary frame came on one of our links, or on its second strand."""
        first = link.in_session and link.frames_in == link.frames_at_join + 1
        try:
            received = self.session.receive(link, frame, self.node.now(), strand)
        except ProtocolError as error:
            violated(self, link, error)
            return
        self._act(link, received)
        if first and len(self.links) > 1:
            for loser in superfluous(self.node.local_id, self._dest, self.links):
                self._dismiss(loser, LeaveReason.DUPLICATE)

    def _act(self, link: Link, received: Received) -> None:
        inbound = self.inbound
        if inbound is not None:
            inbound.take(received)
        for note in received.notes:
            if isinstance(note, Skipped):
                self.node.emit(MessagesSkipped(self._dest, note.lane, note.first, note.last, note.reason))
        for token in received.pongs:
            now = self.node.now()
            if link.ponged(now, token):
                self.gate.answered(link.liveness.pinged, now)
                # Sooner than the answer had to be there, where silence is to be noticed sooner than that.
                self.node.health.schedule(link, link.liveness.next_check())
                self.dialler.proved(link)
                if link.urgent is not None and link in self.session.wires:
                    self.session.join_strand(link.urgent, link)
                self.bind_lanes()
        if received.acked:
            self.dialler.proved(link)
            self.outbound.acked(received.acked)
            self.node.mover.acked(self)
        if received.end is not None:
            ended_by_peer(self, link, received.end)
            return
        if received.leave is not None:
            link.dismissed = LeaveReason(received.leave)
            self.leave(link)
            link.close()
        if received.violation is not None or received.fault:
            violated(self, link, received.violation or ProtocolError(received.fault))
        self.news() if received.only_data else self.outbound.arm()

    def write(self, now: float) -> None:
        """Hand frames to the wires while they take them."""
        session = self.session
        session.receive_credit.squeezed = self.node.narrowed
        if len(self.links) > 1:
            self.node.mover.wrote(self)
        for link in links_of(self.session):
            if link.urgent is not None:
                link.urgent.fill(session, now)
            wire = link.wire
            while wire.writable:
                frame = session.next_frame(link, now, wire.frame_size)
                if frame is None:
                    break
                link.write(frame)
                if session.said_all:
                    break
        due = session.due
        if due is not None:
            # What is overdue waits for a wire that is not writable: look again, but do not spin.
            self._ack_timer.by(due if due > now else now + session.limits.ack_delay)
        self.node.wrote(self)

    def _ack_due(self, now: float) -> None:
        self.outbound.flush()

    def news(self) -> None:
        """The consumer made progress."""
        due = self.session.due
        if due is None:
            return
        if due <= self.node.now():
            self.outbound.arm()
        else:
            self._ack_timer.by(due)

    def writable(self, link: Link) -> None:
        if link in self.session.wires:
            self.outbound.arm()

    # -- the end of a session -----------------------------------------------------------------------

    def end_session(
        self, reason: EndReason, detail: str, finals: Finals | None, *, then_close: bool = False
    ) -> SessionEndedError:
        """End the session loudly and begin a new, unpaired one (or close the transport). Its wires are closed; a wire
        that is to live on must have left it before. Returns the error that tells what was not confirmed."""
        links, node = list(self.links), self.node
        following = None
        if not then_close:
            following = node.new_session(self.session.index + 1)
        error = self._settle(reason, detail, finals, following)
        if following is None:
            self._finish(error)
        else:
            self.session = following
            self.outbound.use(following)
            self.owner.state_changed(self)
        for link in links:
            self.leave(link)
            link.close()
        if not then_close and not self.links:
            self.await_wires()
        return error

    def await_wires(self) -> None:
        """There is no wire: what is here is kept for a while only."""
        self.keeping.begin(self.node.now())

    def _overflowed(self, detail: str) -> SessionEndedError:
        return self.end_session(EndReason.OVERFLOW, detail, None)

    def _settle(
        self, reason: EndReason, detail: str, finals: Finals | None, following: Session | None
    ) -> SessionEndedError:
        """Tell everybody concerned that the current session is over. `following` gets what is to be sent again."""
        session, now = self.session, self.node.now()
        was_paired = session.pair is not None
        if session.pair is not None:
            self.node.tombstones.bury(session.pair, Finals.of(session.finals()), now)
        carried = carry_over(self, reason, session.end(finals), following)
        ended = ended_event(self, reason, detail, carried)
        error = ended_error(self._dest, reason, detail, ended.lost)
        self.counters.add(session)
        self.outbound.session_ended(error, finals, carried)
        self.requests.session_ended(self._dest, error)
        if self.inbound is not None:
            self.inbound.close()
            self.inbound = None
        self._ack_timer.at(None)
        self.keeping.stop()
        if was_paired:
            self.node.session_ended(self, error)
        self.node.note_lost(ended.lost)
        if was_paired or ended.lost or ended.resent:
            self.node.emit(ended)
        return error

    def _finish(self, error: SessionEndedError) -> None:
        self.lost = error.lost
        if self._state in (DestState.CONNECTED, DestState.DETACHED):
            self._move(DestState.CLOSING)
        self._move(DestState.CLOSED)
        self.dialler.close()
        self.outbound.close(error)
        self.node.session_numbers.closed(self._dest, self.session.index)
        self.gone_for_good.happen()
        self.owner.closed(self)

    def gave_up(self, why: str) -> None:
        if self.session.pair is None:  # one that stands may yet go on, if the peer comes; it expires by itself
            self.end_session(EndReason.EXPIRED, f"given up: {why}", None)

    def _expired(self, now: float) -> None:
        # A peer that came by itself and vanished is forgotten; what this side asked for is dialled for ever.
        wanted = self.dialler.asked_for or self.outbound.is_wanted
        if self.session.pair is not None or not wanted:
            kept = f"no wire for {self.node.options.session_kept:g} s"
            self.end_session(EndReason.EXPIRED, kept, None, then_close=not wanted)

    async def close(self, reason: str, back_in: float | None = None, most: float = 60.0) -> tuple[LostReceipt, ...]:
        """Say goodbye, learn what the peer has, and close for good: in half the close deadline, or `most` seconds."""
        if self.closing:
            await self.gone_for_good.wait()
            return self.lost
        if self._state is DestState.CONNECTING:
            ended = self.end_session(EndReason.CLOSED_HERE, reason or "closed", None, then_close=True)
            self.outbound.close(ConnectError(f"{self._dest} was closed before it was up", dest=self._dest))
            return ended.lost
        self._move(DestState.CLOSING)
        again = "it is being closed; send again when close_transport() has returned"
        self.outbound.refuse(ended_error(self._dest, EndReason.CLOSED_HERE, again, ()))
        finals = None
        try:
            most = min(most, self.node.options.close_timeout / 2)
            finals = await self.farewell.say(self.session, self.links, (reason_of(back_in), reason), most)
        finally:
            ended = self.end_session(EndReason.CLOSED_HERE, reason or "closed", finals, then_close=True)
        return ended.lost

    # -- links --------------------------------------------------------------------------------------

    def step(self, link: Link, step: Step) -> None:
        """The handshake of a link wants a decision."""
        decide(self, link, step)

    def ping(self, link: Link, token: int) -> None:
        self.session.ping(link, token)
        self.outbound.arm()

    def probe(self) -> None:
        """Ask every wire for a sign of life now."""
        for link in self.links:
            link.liveness.probe()
            self.node.health.schedule(link, self.node.now())

    def silent(self, link: Link) -> None:
        self.leave(link)

    def gone(self, link: Link) -> None:
        """A wire that leads to this dest is dead."""
        was_up = link.in_session
        look_at_end(self, link)
        if link in self.session.wires:
            self.leave(link)
        if isinstance(link.failure, UnauthenticatedError):
            self.shown_half.refused(link.shown)  # it does not take us for who we are, so it has not taken our half
        if link.dialled and not was_up:
            # Also one that had resumed ahead of the peer's answer: whoever waits for its dial must hear of its end.
            self.dialler.lost(link)
        if not self.links:
            self.farewell.answered(None)

    def __repr__(self) -> str:
        return f"<transport to {self._dest}: {self._state.value}, {len(self.links)} wires>"
