"""A random walk of the pure parts of relaying: circuits at both nodes, the hub between, and lanes that are often full.

Invariants
  in-order              every frame arrives once and in order, up to the end of its circuit
  delivered-in-the-end  what was written on a circuit that lives, or was closed after it, arrives once everybody reads
  passed-on             when all is said, a circuit is there at both nodes and at the hub, or nowhere
  bounded               the hub holds no more than it may, nor grants more
  fair                  a pair that could send waits at most one turn of each other, and so do the circuits of a pair
  impossible-state      nothing honest is taken for a violation
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from zlib import crc32

from outproc.wires.relay.circuit import WINDOW, Circuit
from outproc.wires.relay.messages import (
    FRAME_COST,
    MAX_FRAME,
    Accept,
    Close,
    Data,
    Open,
    Refuse,
    Window,
    decode,
    encode_accept,
    encode_open,
)
from outproc.wires.relay.switch import FIRST_WINDOW, Leg, Switch, SwitchLimits
from tests.simulation import seeds
from tests.simulation.seeds import SeedResult

PACKAGE = "tests.simulation.relay"
SIZES = (1, 100, 9_000, MAX_FRAME)


class InvariantError(seeds.InvariantError):
    """See the module."""


InvariantError.names = seeds.invariant_names(__doc__)


@dataclass(eq=False, slots=True)
class End:
    """One end of a circuit at a node."""

    peer: Peer
    circuit: Circuit
    other: End | None = None
    written: list[bytes] = field(default_factory=list)
    got: list[bytes] = field(default_factory=list)
    unread: deque[bytes] = field(default_factory=deque)
    open: bool = False
    closing: bool = False
    aborted: bool = False


class Peer:
    """A node: its ends, what it says to the hub, and what the hub has posted to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made = -1
        self.ends: dict[int, End] = {}
        self.to_hub: deque[bytes] = deque()
        self.from_hub: deque[bytes] = deque()
        self.room = 4


class Walk:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(f"switch {seed}")
        self.limits = SwitchLimits(
            max_circuits=rng.choice((2, 100)),
            max_circuits_per_peer=rng.choice((2, 100)),
            max_circuits_per_pair=Random(f"pairs {seed}").choice((1, 3, 100)),
            window=rng.choice((2, 4, 16)) * FRAME_COST,
            max_buffered=1 << 20,
        )
        self.switch = Switch(self.limits)
        self.peers = {name: Peer(name) for name in "abc"}
        self.waited: dict[Leg | tuple[str, str], int] = {}
        """By circuits, and by pairs (the peer that is shared, and the other end)."""
        self.digest = 0
        self.delivered = 0

    def run(self) -> None:
        """Everything at random, then everything to its end."""
        acts: list[tuple[Callable[[Peer], None], int]] = [
            (self.opens, 2), (self.writes, 12), (self.reads, 8), (self.speaks, 14), (self.hears, 14),
            (self.closes, 1), (self.restarts, 1 if self.rng.random() < 0.5 else 0),
        ]  # fmt: skip
        for _ in range(self.rng.choice((100, 400, 900))):
            act = self.rng.choices([act for act, _ in acts], [weight for _, weight in acts])[0]
            act(self.rng.choice(list(self.peers.values())))
            self.pump()
        for _ in range(5_000):
            if not self.busy():
                break
            for peer in self.peers.values():
                for act in (self.reads, self.speaks, self.hears):
                    act(peer)
            self.pump()
        self.finish()

    def busy(self) -> bool:
        ends = [end for peer in self.peers.values() for end in peer.ends.values()]
        return any(p.to_hub or p.from_hub for p in self.peers.values()) or any(
            end.unread or (end.open and end.circuit.queued) for end in ends
        )

    # -- nodes ----------------------------------------------------------------------------------------

    def opens(self, peer: Peer) -> None:
        other = self.rng.choice([each for each in self.peers if each != peer.name])
        peer.made += 1
        peer.ends[peer.made] = End(peer, Circuit(peer.made))
        peer.to_hub.append(encode_open(peer.made, WINDOW, other))

    def _some(self, peer: Peer) -> End | None:
        ends = [end for end in peer.ends.values() if end.open and not end.closing]
        return self.rng.choice(ends) if ends else None

    def writes(self, peer: Peer) -> None:
        end = self._some(peer)
        if end is not None:
            for _ in range(self.rng.choice((1, 1, 5, 30))):
                frame = self.rng.randbytes(4) * (self.rng.choice(SIZES) // 4) + b"."
                frame = frame[:MAX_FRAME]
                end.written.append(frame)
                end.circuit.write([frame], len(frame))
            self.post(end)

    def post(self, end: End) -> None:
        while end.circuit.cost() is not None:
            end.peer.to_hub.append(b"".join(end.circuit.next_bulk()))
            end.circuit.posted()

    def reads(self, peer: Peer) -> None:
        for end in peer.ends.values():
            while end.unread:
                frame = end.unread.popleft()
                end.got.append(frame)
                self.delivered += 1
                self.digest = crc32(frame, self.digest)
                if end.circuit.consume(len(frame)):
                    peer.to_hub.append(end.circuit.next_window())
            if end.other is not None and end.got != end.other.written[: len(end.got)]:
                raise InvariantError("in-order", f"{peer.name} got other frames than were written")

    def closes(self, peer: Peer) -> None:
        end = self._some(peer)
        if end is not None:
            end.closing = True
            if self.rng.random() < 0.4:
                end.aborted = True
                end.circuit.abort()
            else:
                end.circuit.finish()
            self.post(end)

    def restarts(self, peer: Peer) -> None:
        self.switch.session_ended(peer.name)
        for end in peer.ends.values():
            end.aborted = True
        self.peers[peer.name] = Peer(peer.name)

    def speaks(self, peer: Peer) -> None:
        """The hub hears the next thing from `peer`."""
        if not peer.to_hub:
            return
        message = decode(memoryview(peer.to_hub.popleft()))
        if isinstance(message, Open):
            self.switch.open(peer.name, message, None)
        else:
            self.switch.receive(peer.name, message)

    def hears(self, peer: Peer) -> None:
        """`peer` hears the next thing from the hub."""
        if not peer.from_hub:
            return
        message = decode(memoryview(peer.from_hub.popleft()))
        if isinstance(message, Open):
            self._called(peer, message)
            return
        end = peer.ends.get(message.circuit)
        if end is None:
            return
        match message:
            case Accept():
                end.open = True
                end.circuit.allow(message.credit)
            case Window():
                end.circuit.allow(message.credit)
                self.post(end)
            case Data():
                end.circuit.take(len(message.frame))
                end.unread.append(bytes(message.frame))
            case Close() | Refuse():
                self.reads(peer)
                self._closed(end, message)
                del peer.ends[message.circuit]

    def _called(self, peer: Peer, message: Open) -> None:
        caller = self.peers[message.name]
        waiting = [end for end in caller.ends.values() if end.other is None and not end.aborted]
        leg = self.switch._peers[peer.name].legs.get(message.circuit)
        number = leg.other.circuit if leg is not None and leg.other is not None else None
        other = next((end for end in waiting if end.circuit.number == number), None)
        end = peer.ends[message.circuit] = End(peer, Circuit(message.circuit), other, open=True)
        if other is not None:
            other.other = end
        end.circuit.allow(message.credit)
        peer.to_hub.append(encode_accept(message.circuit, WINDOW))

    def _closed(self, end: End, message: Close | Refuse) -> None:
        other = end.other
        graceful = isinstance(message, Close) and message.code == 0 and other is not None
        if graceful and other is not None and not other.aborted and end.got != other.written:
            raise InvariantError("in-order", f"{end.peer.name} was told of the end before all had come")

    # -- the hub --------------------------------------------------------------------------------------

    def pump(self) -> None:
        for name in (*self.switch.take_due(), *self.peers):
            peer, switch = self.peers[name], self.switch
            while (signal := switch.next_signal(name)) is not None:
                peer.from_hub.append(signal)
                switch.signal_posted(name)
            while len(peer.from_hub) < peer.room and (bulk := switch.next_bulk(name)) is not None:
                self._check_turn(name)
                peer.from_hub.append(b"".join(bulk))
                switch.bulk_posted(name)
        self._check_bounds()
        self._check_pairs()

    def _check_turn(self, name: str) -> None:
        peer = self.switch._peers[name]
        if peer.refusals:
            return
        ready = [leg for leg in peer.legs.values() if leg.cost() is not None]
        serving = peer.rotation.next(Leg.cost)
        assert serving is not None
        self.waited.pop(serving, None)
        self.waited.pop((name, serving.far), None)
        brothers = [leg for leg in ready if leg.far == serving.far and leg is not serving]
        all_pairs = {leg.far for leg in peer.legs.values()}
        self._wait(brothers, serving, sum(leg.far == serving.far for leg in peer.legs.values()))
        self._wait([(name, far) for far in {leg.far for leg in ready} - {serving.far}], serving, len(all_pairs))

    def _wait(self, waiting: Sequence[Leg | tuple[str, str]], serving: Leg, turns: int) -> None:
        for each in waiting:
            self.waited[each] = waited = self.waited.get(each, 0) + (serving.cost() or 0)
            if waited > turns * FRAME_COST:
                raise InvariantError("fair", f"{each} waited for {waited} bytes of others")

    def _check_pairs(self) -> None:
        for name, peer in self.switch._peers.items():
            for far, circuits in Counter(leg.far for leg in peer.legs.values()).items():
                if circuits > self.limits.max_circuits_per_pair:
                    raise InvariantError("bounded", f"{circuits} circuits between {name} and {far}")

    def _check_bounds(self) -> None:
        switch = self.switch
        legs = [leg for peer in switch._peers.values() for leg in peer.legs.values()]
        held = sum(leg.queued for leg in legs)
        if held != switch.buffered or switch.unused < 0:
            raise InvariantError(
                "bounded", f"it counts {switch.buffered} bytes, {switch.unused} to come; it holds {held}"
            )
        if switch.buffered + switch.unused > self.limits.max_buffered + len(legs) * FIRST_WINDOW:
            raise InvariantError("bounded", f"{switch.buffered} bytes wait, {switch.unused} may come")
        window = max(self.limits.window, FIRST_WINDOW)
        if any(leg.granted - leg.passed > window for leg in legs if leg.other is not None):
            raise InvariantError("bounded", "more than a window was granted")
        if switch.circuits > self.limits.max_circuits:
            raise InvariantError("bounded", f"{switch.circuits} circuits")

    def finish(self) -> None:
        """All is said."""
        at_hub = {(leg.peer, leg.circuit) for peer in self.switch._peers.values() for leg in peer.legs.values()}
        at_nodes = {(peer.name, number) for peer in self.peers.values() for number, end in peer.ends.items()
                    if not end.closing}  # fmt: skip
        if at_hub != at_nodes:
            raise InvariantError("passed-on", f"hub: {sorted(at_hub)}, nodes: {sorted(at_nodes)}")
        for peer in self.peers.values():
            for end in peer.ends.values():
                if not end.closing and end.other is not None and end.other.written != end.got:
                    raise InvariantError("delivered-in-the-end", f"{peer.name}: {len(end.got)} frames came")


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One walk; raises `SeedFailedError`."""
    walk = Walk(seed)
    try:
        walk.run()
    except InvariantError as error:
        raise seeds.SeedFailedError(PACKAGE, seed, error.name, error.detail) from error
    except Exception as error:
        raise seeds.SeedFailedError(PACKAGE, seed, "impossible-state", f"{type(error).__name__}: {error}") from error
    return SeedResult(seed, walk.digest, Counter(), delivered=walk.delivered)
