"""The world of one seed: nodes, wires, virtual time, and what happens at random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from zlib import crc32

from litz.events import DropReason
from outproc.frames.layout import ACK_NOW
from outproc.session.fixed_lanes import INTERNAL_LANES
from outproc.session.identity import Incarnation
from outproc.session.internal_lanes import InternalSendLane, lane_out
from outproc.session.log import EntryDetail
from outproc.session.send_lane import Admission, SendLane
from outproc.session.session import FIXED_LANES, LOSSY_LANE, PRIORITY_LANES
from tests.simulation.core.checker import Checker
from tests.simulation.core.driver import Node, Peer
from tests.simulation.core.ends import ALL_LANES, Link
from tests.simulation.core.network import SimWire
from tests.simulation.core.plan import FRAME_SIZES, make_plan
from tests.simulation.core.streams import StreamWalk, has_streams
from tests.simulation.core.wiretap import Wiretap

TICK = 0.005


class World:
    """One walk. `trace` is called with one line per event, or is None."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self.rng = Random(seed)
        self.hits: Counter[str] = Counter()
        self.now = 0.0
        self.digest = 0
        self.trace = trace
        self.checker = Checker(self.hits)
        # Chance of its own, so that the other seeds are what they were before.
        self.loss = Random(f"loss {seed}")
        self.plan = make_plan(self.rng, self.hits, lossy=self.loss.choice((0.0, 0.0, 0.3)))
        self.streams = StreamWalk(self, seed) if has_streams(seed) else None
        self.wires: list[SimWire] = []
        self.made = 0
        self.clock = 1_000
        self.nodes = {name: self._start(name, self.clock) for name in self.plan.names}
        self.wiretap = Wiretap(self.hits, self.checker, self.streams.checker if self.streams is not None else None)
        self.heals = 0

    def log(self, *what: object) -> None:
        line = " ".join(map(str, what))
        self.digest = crc32(line.encode(), self.digest)
        if self.trace is not None:
            self.trace(f"{self.now:8.3f} {line}")

    # -- nodes and wires ----------------------------------------------------------------------------

    def _start(self, name: str, started: int) -> Node:
        node = Node(self, name, Incarnation(started, self.rng.getrandbits(32)))
        for other in self.plan.names:
            if other != name:
                node.peer(other)
        return node

    def peers(self) -> list[Peer]:
        return [peer for node in self.nodes.values() for peer in node.peers.values()]

    def restart(self, name: str, *, higher: bool) -> None:
        old = self.nodes[name]
        old.alive = False
        for peer in old.peers.values():
            self.checker.died(peer.session)
            for link in list(peer.links):
                link.alive = False
                link.wire.ends[link.side] = None
                for index, way in enumerate(link.wire.ways[link.side :: 2]):
                    if not way.silent:
                        way.lose_suffix(self.rng, self.hits)
                        if index == 0 and self.rng.random() < 0.7:
                            way.queue.append(("closed",))
                        way.silent = True
        self.clock += 10
        started = self.clock if higher else old.incarnation.started - self.rng.randint(1, 5)
        self.hits["restart higher" if higher else "restart lower"] += 1
        self.nodes[name] = self._start(name, started)

    def dial(self, peer: Peer, *, may_be_lossy: bool = True) -> None:
        far = self.nodes[peer.id].peers[peer.node.name]
        handshakes = [link for link in peer.links if link not in peer.session.wires]
        self.hits["dial"] += 1
        self.hits["dial overlaps"] += any(link.dialled for link in handshakes)
        self.hits["dials cross"] += any(not link.dialled for link in handshakes)
        self.made += 1
        rng = self.rng
        kind, max_frame = rng.choice(self.plan.kinds), rng.choice(FRAME_SIZES)
        lossy = may_be_lossy and self.loss.random() < self.plan.lossy
        wire = SimWire(self.made, "udp" if lossy else kind, max_frame, self.plan.capacity, lossy=lossy)
        self.wires.append(wire)
        link = Link(peer, wire, 0)
        Link(far, wire, 1)
        link.write("hello")
        self.log("dial", link, wire.kind, wire.max_frame)

    def deliver(self, wire: SimWire, index: int) -> None:
        """One message leaves the way of that index."""
        if not wire.disturb(index, self.loss, self.hits):
            return
        message = wire.ways[index].queue.popleft()
        link = wire.ends[1 - index % 2]
        if link is None:
            return
        strand = link.urgent if index > 1 else None
        self.log("deliver", strand or link, *_describe(message))
        peer = link.peer
        peer.receive(link, message, strand)
        if self.after(peer) and message[0] == "frame" and message[1][1] & ACK_NOW:
            asked = link in peer.session.wires and link.writable and not peer.session.final
            self.checker.check_ack_now(peer.session, message[2], asked=asked)

    def after(self, peer: Peer) -> bool:
        """The end of the turn in which something happened at `peer`. Returns whether it wrote."""
        pumps = self.rng.random() < 0.8
        if pumps:
            peer.pump()
        return pumps

    # -- what happens -------------------------------------------------------------------------------

    def step(self) -> None:
        rng = self.rng
        if self.streams is not None:
            self.streams.step()
        names = list(self.plan.weights)
        op = rng.choices(names, list(self.plan.weights.values()))[0]
        getattr(self, f"op_{op}")()

    def any_peer(self) -> Peer:
        return self.rng.choice(self.peers())

    def op_deliver(self) -> None:
        ways = [(wire, index) for wire in self.wires for index, way in enumerate(wire.ways) if way.queue]
        if ways:
            self.deliver(*self.rng.choice(ways))
        self.wires = [wire for wire in self.wires if any(wire.ends) or not wire.quiet]

    def op_tick(self) -> None:
        self.now += TICK
        for peer in self.peers():
            due = peer.session.due
            if due is not None and due <= self.now:
                peer.pump()
            self.checker.check_deadlines(peer.session, self.now, 2 * TICK, writable=peer.reachable)
            if self.streams is not None:
                self.streams.checker.check_deadlines(peer.session, self.now, 2 * TICK, writable=peer.reachable)

    def op_dial(self) -> None:
        peer = self.any_peer()
        if len(peer.links) < self.plan.limits.max_wires + 1:
            self.dial(peer)

    def op_send(self) -> None:
        peer = self.any_peer()
        number = self.rng.choice(ALL_LANES)
        for _ in range(self.rng.choice((1, 1, 2, 5))):
            self.send(peer, number)
        self.after(peer)

    def send(self, peer: Peer, number: int) -> None:
        session, rng = peer.session, self.rng
        if number in INTERNAL_LANES:
            self._post(peer, number)
            return
        lane = session.send_lanes[number]
        if session.final or lane.log.finished:
            return
        body = rng.randbytes(min(rng.choice(self.plan.sizes), self.plan.limits.max_message))
        if rng.random() < 0.3:
            self._offer(peer, lane, body)
            return
        detail = None
        if rng.random() < 0.4:
            key = f"k{rng.randrange(3)}" if rng.random() < 0.7 else None
            detail = EntryDetail((rng.randint(1, 4), rng.getrandbits(32)) if rng.random() < 0.4 else None, key)
        decision, dropped = lane.admit(len(body), detail.key if detail is not None else None)
        self.hits[f"policy {decision.name}"] += 1
        self._dropped(peer, number, dropped)
        if decision in (Admission.ACCEPT, Admission.DROP):
            entry = lane.append(body, detail)
            self.log("send", peer.node.name, peer.id, number, entry, len(body))
            self.checker.accepted(session, number, entry, body, detail)
            if decision is Admission.DROP:
                lane.discard(entry, DropReason.NEWEST)
                self._dropped(peer, number, [(entry, DropReason.NEWEST)])
        elif decision is Admission.FAIL:
            peer.end_session(None, cause=True)
            return
        self.checker.check_log(session, number)

    def _post(self, peer: Peer, number: int) -> None:
        session = peer.session
        if session.pair is None or session.final:
            return
        lane = lane_out(session.send_lanes, number)
        assert isinstance(lane, InternalSendLane)
        if not lane.has_room:
            self.hits["internal refused"] += 1
            return
        self.hits["internal posted"] += 1
        body = self.rng.randbytes(min(self.rng.choice(self.plan.sizes), self.plan.limits.max_message))
        entry = lane.log.next_number
        lane.post(body)
        self.log("post", peer.node.name, peer.id, number, entry, len(body))
        self.checker.accepted(session, number, entry, body, None)
        peer.bind_lanes()
        self.checker.check_log(session, number)

    def _offer(self, peer: Peer, lane: SendLane, body: bytes) -> None:
        """The fast path: append what a quota allows, without asking for each."""
        quota = lane.open_quota(self.rng.choice((1, 4, 1_024)), self.rng.choice((100, 65_536)), max(1, len(body)))
        if quota is None:
            self.hits["quota refused"] += 1
            return
        self.hits["quota opened"] += 1
        for entry in quota.numbers[:3]:
            quota.bodies.append(body)
            self.log("push", peer.node.name, peer.id, lane.lane, entry, len(body))
            self.checker.accepted(peer.session, lane.lane, entry, body, None)
        lane.close_quota()
        self.checker.check_log(peer.session, lane.lane)

    def _dropped(self, peer: Peer, lane: int, dropped: list[tuple[int, DropReason]]) -> None:
        for number, reason in dropped:
            self.hits[f"dropped {reason.name}"] += 1
            self.wiretap.dropping(peer.session, lane, number)
            self.checker.dropped(peer.session, lane, number, reason)

    def op_lossy(self) -> None:
        peer = self.any_peer()
        body = self.rng.randbytes(20)
        if not peer.session.final:
            peer.session.lossy_out.append(body)
            self.checker.sides[peer.session].lossy_sent.append(body)
            if peer.session.wires:
                peer.session.bind(LOSSY_LANE, self.rng.choice(list(peer.session.wires)))
            self.after(peer)

    def op_finish(self) -> None:
        peer = self.any_peer()
        number = self.rng.choice(FIXED_LANES)
        lane = peer.session.send_lanes[number]
        if not peer.session.final and not lane.log.finished:
            self.checker.finished(peer.session, number, lane.finish())
            self.after(peer)

    def op_consume(self) -> None:
        peer = self.any_peer()
        if self.rng.random() >= self.plan.consume:
            self.hits["slow consumer"] += any(peer.consumer.queues.values())
            return
        self.consume(peer, self.rng.choice((1, 1, 3, 100)), self.rng.choice(((0,), (2,), PRIORITY_LANES, ALL_LANES)))
        self.after(peer)

    def consume(self, peer: Peer, count: int, lanes: Sequence[int] = ALL_LANES) -> None:
        consumer = peer.consumer
        for lane in lanes:
            queue = consumer.queues[lane]
            for _ in range(min(count, len(queue))):
                number, size = queue.popleft()
                consumer.messages[lane] += 1
                consumer.size[lane] += size
                messages, total = consumer.messages[lane], consumer.size[lane]
                self.checker.consumed(peer.session, lane, messages, total, number + 1)
                peer.session.consumed(lane, messages, total, number + 1, self.now)

    def op_move(self) -> None:
        peer = self.any_peer()
        wires = peer.dependable
        if len(wires) > 1:
            number = self.rng.choice(list(peer.session.send_lanes))
            wire = self.rng.choice(wires)
            if peer.session.send_lanes[number].wire is not wire:
                self.send(peer, number)
                peer.pump()
            if wire in peer.session.wires:
                peer.bind(number, wire)
                self.log("move", number, wire)
                self.after(peer)

    def op_ping(self) -> None:
        peer = self.any_peer()
        for wire in list(peer.session.wires)[:1]:
            assert isinstance(wire, Link)
            peer.ping(wire)

    # -- faults -------------------------------------------------------------------------------------

    def op_cut(self) -> None:
        wires = [wire for wire in self.wires if not wire.sick]
        if wires:
            wire, how = self.rng.choice(wires), self.rng.choice(("reset", "half open", "one way"))
            self.log("cut", wire.number, how)
            wire.cut(self.rng, self.hits, how)

    def op_verdict(self) -> None:
        """A node finds out that a wire of its own is half open."""
        wires = [wire for wire in self.wires if wire.sick]
        if wires:
            self.verdict(self.rng.choice(wires))

    def verdict(self, wire: SimWire) -> None:
        ends = [link for link in wire.ends if link is not None]
        if ends:
            link = self.rng.choice(ends)
            self.log("verdict", link)
            link.close()
            self.after(link.peer)

    def op_discard(self) -> None:
        peer = self.any_peer()
        if peer.session.pair is not None:
            self.hits["discard"] += 1
            far = self.checker.other(self.checker.sides[peer.session])
            self.hits["discard on one side"] += far is not None and not far.ended
            self.log("discard", peer.node.name, peer.id)
            peer.end_session(None, cause=True)

    def op_expire(self) -> None:
        peer = self.any_peer()
        if peer.session.pair is not None and not peer.session.wires:
            self.hits["expiry"] += 1
            self.log("expire", peer.node.name, peer.id)
            peer.end_session(None, cause=True)

    def op_goodbye(self) -> None:
        peer = self.any_peer()
        if peer.saying_goodbye:
            self.hits["goodbye unanswered"] += 1
            self.log("goodbye unanswered", peer.node.name, peer.id)
            peer.end_session(None, cause=True)
        elif peer.session.wires:
            self.hits["goodbye"] += 1
            self.log("goodbye", peer.node.name, peer.id)
            peer.say_goodbye()

    def op_restart(self) -> None:
        name = self.rng.choice(self.plan.names)
        higher = self.rng.random() < 0.5
        pongs = self.rng.random() < 0.5
        if pongs:
            self._last_pongs(name)
        self.log("restart", name, higher)
        self.restart(name, higher=higher)
        if pongs:
            # And the next life is quicker than they are.
            for peer in self.nodes[name].peers.values():
                self.dial(peer)
                wire = self.wires[-1]
                for side in (0, 1, 0):
                    if wire.ways[side].queue:
                        self.deliver(wire, side)

    def _last_pongs(self, name: str) -> None:
        """The node answers pings just before it dies: its pongs outlive it."""
        for link in [link for peer in self.nodes[name].peers.values() for link in peer.links]:
            far = link.wire.ends[1 - link.side]
            if far is not None and far in far.peer.session.wires:
                far.peer.ping(far)
                far.peer.pump()
                way = link.wire.ways[far.side]
                while way.queue and link.alive:
                    self.deliver(link.wire, far.side)
                link.peer.pump()


def _describe(message: tuple[object, ...]) -> list[object]:
    if message[0] == "frame":
        frame = message[1]
        assert isinstance(frame, bytes)
        return ["frame", len(frame), crc32(frame)]
    return [message[0], *(item for item in message[1:] if isinstance(item, int | tuple | None))]
