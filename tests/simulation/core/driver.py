"""The reference driver: what a node does with `Session` and `pairing`, written after R1 to R14 and nothing else.

No clock and no tasks: every method is one turn. The world (`world.py`) moves messages and decides what happens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from litz.errors import ProtocolError
from outproc.frames.records import Closed, LeaveReason
from outproc.session.duplicates import Strand as Joined
from outproc.session.duplicates import losers
from outproc.session.exchange import Statement
from outproc.session.fixed_lanes import INTERNAL_SIGNAL, STREAMS
from outproc.session.identity import Incarnation
from outproc.session.pairing import Halves, IncarnationGate
from outproc.session.receive_lane import Finished, Skipped
from outproc.session.session import LOSSY_LANE, Received, Session
from outproc.session.tombstones import Finals, Tombstones
from tests.simulation.core.checker import InvariantError
from tests.simulation.core.ends import Consumer, Link, Strand
from tests.simulation.core.joining import Joining
from tests.simulation.core.streams import StreamTalk

if TYPE_CHECKING:
    from tests.simulation.core.network import Message
    from tests.simulation.core.wiretap import Epochs
    from tests.simulation.core.world import World

PEER_FRAMES_PER_TURN = 64


class Node:
    """One life of a node."""

    def __init__(self, world: World, name: str, incarnation: Incarnation) -> None:
        self.world = world
        self.name = name
        self.incarnation = incarnation
        self.halves = Halves(incarnation)
        self.tombstones = Tombstones(keep=1e9, limit=64)
        self.alive = True
        self.peers: dict[str, Peer] = {}

    def peer(self, name: str) -> Peer:
        if name not in self.peers:
            self.peers[name] = Peer(self, name)
        return self.peers[name]


class Peer:
    """What a node keeps of one peer."""

    def __init__(self, node: Node, name: str) -> None:
        self.node = node
        self.world = node.world
        self.id = name
        self.gate = IncarnationGate()
        self.links: list[Link] = []
        self.sessions = 0
        self.saying_goodbye = False
        self.token = 0
        self.joining = Joining(self)
        self.streams: StreamTalk | None = None
        self.session = self._new_session()
        self._new_talk()

    def _new_session(self) -> Session:
        plan = self.world.plan
        half = self.node.halves.new()
        session = Session(half, plan.limits, index=self.sessions, overflow=plan.overflow, streams=plan.streams)
        self.sessions += 1
        self.consumer = Consumer()
        self.saying_goodbye = False
        self.world.checker.made(self.node.name, session)
        return session

    def _new_talk(self) -> None:
        if self.world.streams is not None:
            self.streams = StreamTalk(self, self.world.streams)

    @property
    def joined(self) -> bool:
        """Whether a wire of ours that reliable lanes may ride on is in the session, and the peer has answered."""
        return bool(self.dependable)

    @property
    def dependable(self) -> list[Link | Strand]:
        """The wires that reliable lanes may ride on, and their second strands."""
        wires = [wire for wire in self.session.wires if isinstance(wire, Link | Strand)]
        return [wire for wire in wires if not wire.link.wire.lossy]

    @property
    def reachable(self) -> bool:
        """Whether a frame of control alone could be written now."""
        return self.session.due is not None and all(link.writable for link in self.links)

    def ping(self, link: Link) -> None:
        self.token += 1
        link.pings[self.token] = self.world.now
        self.session.ping(link, self.token)

    def enter(self, link: Link, stated: Statement) -> None:
        if link not in self.session.wires:
            link.early = 0
        try:
            self.session.join(link, link.wire.max_frame, stated, dependable=not link.wire.lossy)
        except ProtocolError as error:
            raise InvariantError("honest-peers-never-fault", f"{link}: {error}") from error
        if stated.positions and any(ack.received.number for ack in stated.positions):
            self.world.heals += 1
        self.ping(link)
        link.carried = False
        link.heard_at = self.world.now
        if self.session.final:
            link.write("frame", b"".join(self.session.farewell(0, "", link.wire.max_frame)), {})
        joined = [wire for wire in self.links if wire in self.session.wires]
        if len(joined) > self.session.limits.max_wires:
            silent = min(self._may_go(joined, link), key=lambda wire: wire.heard_at)
            self.world.hits["wire limit"] += 1
            self.dismiss(silent, LeaveReason.DISPLACED)
        self.bind_lanes()

    def _may_go(self, joined: list[Link], newest: Link) -> list[Link]:
        """At the limit of wires: any but the newest, or the last that reliable lanes may ride on."""
        others = [link for link in joined if link is not newest]
        if newest.wire.lossy and sum(not link.wire.lossy for link in others) == 1:
            return [link for link in others if link.wire.lossy] or [newest]
        return others

    # -- wires --------------------------------------------------------------------------------------

    def bind_lanes(self) -> None:
        """Every lane without a wire gets one."""
        session = self.session
        wires = self.dependable
        for number, lane in session.send_lanes.items() if wires else ():
            if lane.wire is None:
                self.bind(number, self.world.rng.choice(wires))
        if session.lossy_out.wire is None and session.wires:
            session.bind(LOSSY_LANE, list(session.wires)[-1])
        if self.world.streams is not None and session.streams.sending:
            self.world.streams.bind(self)

    def bind(self, number: int, wire: Any) -> None:
        lane = self.session.send_lanes[number]
        if lane.acked.offset:
            self.world.hits["chunk resumed on another wire"] += 1
        if lane.acked.number < lane.high_water:
            self.world.hits["resume with replay"] += 1
        self.session.bind(number, wire)

    def drop_link(self, link: Link) -> None:
        """The wire is out of the session."""
        if link.session is not None:
            link.session.leave(link, self.world.now)
            link.session = None
            self.bind_lanes()

    def gone(self, link: Link) -> None:
        """The wire is dead."""
        link.alive = False
        link.wire.ends[link.side] = None
        self.links.remove(link)
        self.drop_link(link)

    def dismiss(self, link: Link, reason: LeaveReason) -> None:
        link.write("frame", b"".join(self.session.dismissal(reason)), {})
        link.close()

    def _settle_duplicates(self) -> None:
        joined = [link for link in self.links if link in self.session.wires]
        strands = [Joined(link.wire.kind, "here", link.dialled, link.carried) for link in joined]
        for index in losers(self.node.name, self.id, strands):
            self.world.hits["dismissed duplicate"] += 1
            others = [
                link for link in joined if link.wire.kind == joined[index].wire.kind and link is not joined[index]
            ]
            self.world.checker.dismissed(joined[index].wire.number, others)
            self.dismiss(joined[index], LeaveReason.DUPLICATE)

    # -- frames -------------------------------------------------------------------------------------

    def on_frame(self, link: Link, frame: bytes, epochs: Epochs, strand: Strand | None = None) -> None:
        session = self.session
        self.world.hits["strand before the answer"] += strand is not None and link.dialled and not link.answered
        link.heard_at = self.world.now
        stale, duplicates = session.stale_batches, _duplicates(session)
        try:
            received = session.receive(link, frame, self.world.now, strand)
        except ProtocolError as error:
            raise InvariantError("honest-peers-never-fault", f"{link}: {error}") from error
        if received.violation is not None or received.fault:
            raise InvariantError("honest-peers-never-fault", f"{link}: {received.violation or received.fault}")
        if session.stale_batches > stale:
            self.world.hits["old batch"] += 1
        self.world.hits["trimmed front"] += _duplicates(session) > duplicates
        # Between strands there is no order: what comes may be of a session that the link was in before.
        ours = link in session.wires and frame[4:8] == session.tag.to_bytes(4, "little")
        self.world.hits["strand of an earlier session"] += strand is not None and not ours and link in session.wires
        first = ours and strand is None and not link.carried
        if ours:
            self.world.wiretap.arrived(session, epochs, {item.lane: 1 for item in received.deliveries})
        self._act(link, session, received)
        if ours and link.urgent is not None and link in session.wires:
            # The peer has joined too: whatever it gets first now, it can take.
            session.join_strand(link.urgent, link)
        if first and session is self.session and link in session.wires:
            link.carried = True
            self._settle_duplicates()

    def _act(self, link: Link, session: Session, received: Received) -> None:
        checker = self.world.checker
        # Deliveries and notes of one lane are in the order of their numbers.
        for item in sorted((*received.deliveries, *received.notes), key=_number):
            if self.streams is not None and self._is_of_streams(item):
                continue
            if isinstance(item, Skipped | Finished):
                checker.note(session, item)
            elif item.lane == LOSSY_LANE:
                checker.lossy(session, item)
            else:
                checker.delivery(session, item)
                for index, body in enumerate(item.bodies):
                    self.consumer.queues[item.lane].append((item.number + index, len(body)))
        fixed = [lane for lane in received.acked if lane < STREAMS]
        checker.check_acks(session, fixed)
        for lane in fixed:
            self.world.wiretap.acked(session, lane, session.send_lanes[lane].acked)
        if self.streams is not None:
            # What the same frame says of a stream may have closed it.
            for lane in [lane for lane in received.acked if lane in session.streams.sending]:
                self.streams.walk.checker.acked(session, lane)
                self.world.wiretap.acked(session, lane, session.streams.send_lane(lane).acked)
            self.streams.roomy()
        if received.pongs:
            link.early = None
        for token in received.pongs:
            sent_at = link.pings.pop(token, None)
            if sent_at is not None:
                self.gate.answered(sent_at, self.world.now)
        if received.end is not None:
            self._ended_by_peer(link, received)
        elif received.leave is not None:
            self.world.hits["left as duplicate"] += received.leave == LeaveReason.DUPLICATE
            link.close()

    def _is_of_streams(self, item: Any) -> bool:
        """Whether it belongs to a stream, which has it now. Words about streams are of a lane like others, too."""
        assert self.streams is not None
        if item.lane >= STREAMS:
            self.streams.came(item)
        elif item.lane == INTERNAL_SIGNAL:
            for body in item.bodies:
                self.streams.heard(body)
        return bool(item.lane >= STREAMS)

    def _ended_by_peer(self, link: Link, received: Received) -> None:
        end = received.end
        assert end is not None
        finals = Finals.of(end.positions, partial=end.partial)
        self.world.hits["goodbye names not all"] += end.partial
        if isinstance(end, Closed):
            if self.saying_goodbye:
                self.world.hits["closed with finals"] += 1
                self.end_session(finals, cause=True)
            return
        if self.saying_goodbye:
            self.world.hits["goodbye crosses"] += 1
        link.write("frame", b"".join(self.session.farewell(0, "", link.wire.max_frame, answer=True)), {})
        self.end_session(finals)

    # -- the end ------------------------------------------------------------------------------------

    def say_goodbye(self) -> None:
        self.saying_goodbye = True
        for link in self.links:
            if link in self.session.wires:
                link.write("frame", b"".join(self.session.farewell(0, "bye", link.wire.max_frame)), {})
        self.world.checker.stated_final(self.session)

    def end_session(self, finals: Finals | None, *, cause: bool = False) -> None:
        """End the session loudly; every wire of it is closed, or joins again (R3)."""
        old, pair = self.session, self.session.pair
        wires = [link for link in self.links if link in old.wires]
        mine = Finals.of(old.finals())
        if pair is not None:
            self.node.tombstones.bury(pair, mine, self.world.now)
        lost = old.end(finals)
        self.world.checker.ended(old, lost, cause=cause, finals=finals)
        if self.world.streams is not None:
            self.world.streams.checker.ended(old)
        self.session = self._new_session()
        self._new_talk()
        for link in wires:
            link.session = None
            if self.world.rng.random() < self.world.plan.keep_wires:
                if link.dialled:
                    self.joining.send_join(link, early=False)
                elif pair is not None:
                    self.world.hits["mismatch unasked"] += 1
                    link.write("mismatch", link.joins, pair.mine, pair.yours, link.named_of(mine))
            else:
                link.close()

    # -- sending ------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Write what there is to the wires that take it."""
        session, world = self.session, self.world
        if self.streams is not None:
            self.streams.post()
        for wire in list(session.wires):
            assert isinstance(wire, Link | Strand)
            said_all = False
            for _ in range(PEER_FRAMES_PER_TURN):
                if not wire.writable:
                    break
                frame = session.next_frame(wire, world.now)
                if frame is None:
                    break
                if said_all:
                    raise InvariantError("said-all", f"{wire} had more to carry than the session said")
                whole = b"".join(frame)
                wire.write("frame", whole, world.wiretap.written(session, wire, whole))
                said_all = session.said_all
            self._count_blocked(session)
        if self.streams is not None:
            self.streams.roomy()

    def _count_blocked(self, session: Session) -> None:
        for lane in session.send_lanes.values():
            if lane.blocked:
                own = lane.charged_messages >= lane.credit_messages or lane.charged_size >= lane.credit_size
                self.world.hits["credit exhausted" if own else "session credit exhausted"] += 1

    def receive(self, link: Link, message: Message, strand: Strand | None = None) -> None:
        kind, *rest = message
        if strand is not None:
            frame, epochs = rest
            self.on_frame(link, frame, epochs, strand)
            return
        joining = self.joining
        handlers: dict[str, Callable[..., None]] = {
            "hello": joining.on_hello,
            "challenge": joining.on_challenge,
            "join": joining.on_join,
            "ok": joining.on_ok,
            "mismatch": joining.on_mismatch,
            "frame": self.on_frame,
            "closed": self.gone,
        }
        handlers[kind](link, *rest)


def _duplicates(session: Session) -> int:
    return sum(lane.duplicates for lane in session.receive_lanes.values())


def _number(item: Any) -> int:
    return int(item.first if isinstance(item, Skipped) else item.number)
