"""Streams in the walk: a reference driver for the words about them, and what happens to them at random.

Only seeds in a range of their own have any, with chance of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from random import Random
from struct import Struct
from typing import TYPE_CHECKING, Final

from outproc.session.fixed_lanes import INTERNAL_SIGNAL, STREAMS
from outproc.session.internal_lanes import InternalSendLane, lane_out
from outproc.session.limits import StreamLimits
from outproc.session.log import Parts
from outproc.session.receive_lane import Delivery, Finished
from tests.simulation.core.plan import Plan
from tests.simulation.core.stream_checker import StreamChecker

if TYPE_CHECKING:
    from tests.simulation.core.driver import Peer
    from tests.simulation.core.world import World

RANGE: Final = range(800_000, 900_000)
"""Of each million: the seeds with streams."""

WORD: Final = Struct("<BI")
MARK: Final = b"\xf7str"
WORDS: Final = 7
"""In one message, which has 40 bytes in a tiny walk."""
OPEN, ACCEPT, REFUSE, ABORT, DONE = range(1, 6)
MOST: Final = 6
"""Streams of one opener that stand at once."""


def has_streams(seed: int) -> bool:
    """Whether the walk of this seed has streams."""
    return seed % 1_000_000 in RANGE


def with_streams(plan: Plan, rng: Random) -> Plan:
    """The plan of a walk with streams; their limits are mostly tiny."""
    first = rng.choice((1, 8, 40, 200, 600, 600))
    most = first * rng.choice((1, 4, 16))
    limits = StreamLimits(
        first_size=first,
        first_entries=rng.choice((1, 2, 8)),
        max_entry=rng.choice((1, first, first)),
        most_size=most,
        budget=rng.choice((1, 3 * first, 6 * most)),
        log_size=rng.choice((1, 50, 400)),
        log_entries=rng.choice((1, 3, 16)),
    )
    # Less of all else, and more steps: before anything travels on a stream, words went to and fro.
    weights = {**plan.weights, "deliver": 90, "send": 8}
    return replace(plan, streams=limits, weights=weights, steps=plan.steps * 2)


def with_large_entries(plan: Plan, rng: Random) -> Plan:
    """The plan of a walk in which entries may be larger than is always allowed, or never."""
    assert plan.streams is not None
    large = plan.streams.max_entry * rng.choice((1, 1, 2, 8, 1_000))
    return replace(plan, streams=replace(plan.streams, large_entry=large))


@dataclass(slots=True)
class StreamEnd:
    """One end of one stream."""

    number: int
    mine: bool
    slow: bool
    """Its reader takes nothing until all else is over."""
    open: bool
    """The other side has its lanes."""
    sending: bool = True
    receiving: bool = True
    finished: bool = False
    """Our half is complete."""
    ended: bool = False
    """Theirs is."""
    refused_room: bool = False
    last_words: bool = False
    waiting: deque[int] = field(default_factory=deque)
    """Sizes of entries that its reader has not taken."""


class StreamTalk:
    """The streams of one session at one end."""

    def __init__(self, peer: Peer, walk: StreamWalk) -> None:
        self.peer = peer
        self.session = peer.session
        self.walk = walk
        self.ends: dict[int, StreamEnd] = {}
        self.offers: list[int] = []
        self.words: deque[tuple[int, int]] = deque()
        self._next = STREAMS + (peer.node.name > peer.id)

    def _log(self, *what: object) -> None:
        self.peer.world.log("stream", self.peer.node.name, self.peer.id, *what)

    # -- words --------------------------------------------------------------------------------------

    def say(self, word: int, number: int) -> None:
        self._log("says", word, number)
        self.words.append((word, number))

    def post(self) -> None:
        """Hand out the words as far as there is room."""
        session = self.session
        if not self.words or session.pair is None or session.final or session.ended:
            return
        lane = lane_out(session.send_lanes, INTERNAL_SIGNAL)
        assert isinstance(lane, InternalSendLane)
        while self.words and lane.has_room:
            some = [self.words.popleft() for _ in range(min(WORDS, len(self.words)))]
            body = MARK + b"".join(WORD.pack(*each) for each in some)
            self.peer.world.checker.accepted(session, INTERNAL_SIGNAL, lane.log.next_number, body, None)
            lane.post(body)
        self.peer.bind_lanes()

    def heard(self, body: bytes) -> None:
        """An internal message came."""
        if body.startswith(MARK):
            for word, number in WORD.iter_unpack(body[len(MARK) :]):
                self._hear(word, number)

    def _hear(self, word: int, number: int) -> None:
        self._log("hears", word, number)
        end = self.ends.get(number)
        if word == OPEN:
            self.offers.append(number)
        elif word == ABORT and number in self.offers:
            self.walk.hits["stream given up before its answer"] += 1
            self.offers.remove(number)
        elif end is None:
            self.walk.hits["stream word for one that is gone"] += 1
        elif word == ACCEPT:
            end.open = True
        elif word in (REFUSE, ABORT):
            self.walk.hits["stream refused" if word == REFUSE else "stream aborted"] += 1
            self.forget(end)
        else:
            self.walk.checker.done(self.session, number)
            end.sending = False
            self.session.streams.drop_sending(number)
            self._settle(end)

    # -- what a user does -----------------------------------------------------------------------------

    def open(self) -> None:
        number, self._next = self._next, self._next + 2
        self._made(number, mine=True)
        self.say(OPEN, number)

    def _made(self, number: int, *, mine: bool) -> StreamEnd:
        self.session.streams.open(number)
        slow = self.walk.rng.random() < self.walk.slow
        end = self.ends[number] = StreamEnd(number, mine, slow, open=not mine)
        self.walk.bind(self.peer)
        return end

    def answer(self, *, accept: bool) -> None:
        number = self.offers.pop(self.walk.rng.randrange(len(self.offers)))
        if accept:
            self._made(number, mine=False)
        self.say(ACCEPT if accept else REFUSE, number)

    def write(self, end: StreamEnd) -> bool:
        """One entry, if there is room. Who was refused room waits to be told."""
        streams, rng, limits = self.session.streams, self.walk.rng, self.session.streams.limits
        if end.refused_room:
            return False
        body = rng.randbytes(rng.choice((0, 1, limits.max_entry // 2, limits.max_entry)))
        most, large = streams.max_entry(end.number), self.walk.large
        if len(body) == limits.max_entry < most:
            body = large.randbytes(large.choice((most, large.randint(limits.max_entry, most))))
            self.walk.hits["stream entry larger than always allowed"] += 1
        if not streams.has_room(end.number, len(body)):
            self.walk.hits["stream without room"] += 1
            end.refused_room = True
            return False
        cut = len(body) // 3
        entry = streams.append(end.number, Parts((body[:cut], body[cut:])) if cut else body)
        self._log("write", end.number, entry, len(body))
        self.walk.checker.accepted(self.session, end.number, entry, body)
        return True

    def finish(self, end: StreamEnd) -> None:
        end.finished = True
        self._log("finish", end.number)
        entry = self.session.streams.finish(end.number)
        self.walk.checker.accepted(self.session, end.number, entry, None)

    def abort(self, end: StreamEnd) -> None:
        self.say(ABORT, end.number)
        self.forget(end)

    def forget(self, end: StreamEnd) -> None:
        """Both halves are over now."""
        del self.ends[end.number]
        self.session.streams.drop_sending(end.number)
        self._drop_receiving(end)

    def read(self, end: StreamEnd, count: int) -> None:
        """The reader takes some."""
        taken = [end.waiting.popleft() for _ in range(min(count, len(end.waiting)))]
        for size in taken:
            self.walk.checker.consumed(self.session, end.number, size)
        if taken:
            self.session.streams.consumed(end.number, len(taken), sum(taken), self.peer.world.now)
        self._settle(end)

    def _drop_receiving(self, end: StreamEnd) -> None:
        self.session.streams.drop_receiving(end.number)
        self.walk.checker.record(self.session, end.number).dropped = True

    def _settle(self, end: StreamEnd) -> None:
        if end.receiving and end.ended and not end.waiting:
            end.receiving = False
            self._drop_receiving(end)
        if not (end.sending or end.receiving) and end.number in self.ends:
            self.walk.hits["stream complete"] += 1
            del self.ends[end.number]

    # -- what comes -----------------------------------------------------------------------------------

    def came(self, item: Delivery | Finished) -> None:
        end = self.ends[item.lane]
        if isinstance(item, Finished):
            self.walk.checker.finished(self.session, item)
            end.ended = True
            self.say(DONE, item.lane)
            self._settle(end)
            return
        self.walk.hits["stream data before its accept"] += not end.open
        self.walk.checker.delivery(self.session, item)
        end.waiting += map(len, item.bodies)

    def roomy(self) -> None:
        """Those who were refused room may write again."""
        for lane in self.session.streams.sending.values():
            self.walk.hits["stream credit exhausted"] += lane.blocked
            self.walk.hits["stream entry acknowledged in part"] += lane.acked.offset > 0
        for number in self.session.streams.take_roomy():
            if number in self.ends:
                self.ends[number].refused_room = False

    def writers(self) -> list[StreamEnd]:
        return [end for end in self.ends.values() if end.open and end.sending and not end.finished]


class StreamWalk:
    """What happens to streams in one walk."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = Random(f"streams {seed}")
        self.hits = world.hits
        self.checker = StreamChecker(world.checker, world.hits)
        self.slow = self.rng.choice((0.0, 0.3, 0.6))
        self.eager = self.rng.choice((0.4, 0.7, 0.9))
        self.large = Random(f"large entries {seed}")
        world.plan = with_large_entries(with_streams(world.plan, self.rng), self.large)

    def bind(self, peer: Peer) -> None:
        """All streams get a wire, if they have none."""
        streams, wires = peer.session.streams, peer.dependable
        if streams.wire is None and wires:
            self._bind(peer, self.rng.choice(wires))

    def _bind(self, peer: Peer, wire: Hashable) -> None:
        lanes = peer.session.streams.sending.values()
        self.hits["stream entry goes on on another wire"] += any(lane.acked.offset for lane in lanes)
        peer.session.bind(STREAMS, wire)

    def step(self) -> None:
        """Some of it, before something else happens."""
        while self.rng.random() < self.eager:
            peer = self.rng.choice(self.world.peers())
            talk = peer.streams
            if talk is None or peer.session.pair is None or peer.session.final:
                return
            self._act(talk)
            self.world.after(peer)

    def _act(self, talk: StreamTalk) -> None:
        rng, ends, writers = self.rng, list(talk.ends.values()), talk.writers()
        if any(lane.acked.offset for lane in talk.session.streams.sending.values()) and rng.random() < 0.2:
            self._move(talk.peer)  # the rest of an entry in pieces of another size
        match rng.choice((*"ooanwwwwwwwwwwwwwwfxrrrrrrrrrpcmk",)):
            case "o" if len([end for end in ends if end.mine]) < MOST:
                talk.open()
            case "a" if talk.offers:
                talk.answer(accept=True)
            case "n" if talk.offers:
                talk.answer(accept=rng.random() < 0.7)
            case "w" if writers:
                end = rng.choice(writers)
                for _ in range(rng.choice((1, 1, 4))):
                    talk.write(end)
            case "f" if writers:
                talk.finish(rng.choice(writers))
            case "x" if ends and rng.random() < 0.4:
                talk.abort(rng.choice(ends))
            case "r" if ends:
                end = rng.choice(ends)
                self.hits["stream reader waits"] += end.slow
                if not end.slow:
                    talk.read(end, rng.choice((1, 3, 100)))
            case "p" if ends:
                talk.session.streams.pause(rng.choice(ends).number)
            case "c" if ends:
                talk.session.streams.resume(rng.choice(ends).number, self.world.now)
            case "k" if writers:
                self.hits["stream wants acks"] += not talk.session.streams.want_acks(rng.choice(writers).number)
            case "m":
                self._move(talk.peer)

    def _move(self, peer: Peer) -> None:
        """All streams go on on another wire."""
        streams, wires = peer.session.streams, peer.dependable
        if len(wires) > 1 and streams.sending:
            wire = self.rng.choice(wires)
            self.hits["streams moved"] += wire is not streams.wire
            self.hits["streams moved with data in flight"] += bool(streams.sent_size)
            self._bind(peer, wire)

    # -- after the last fault -------------------------------------------------------------------------

    def heal_turn(self, *, slow: bool) -> None:
        """Every user does what is left to do; the `slow` ones too, or not yet."""
        for peer in self.world.peers():
            talk = peer.streams
            if talk is None:
                continue
            while talk.offers:
                talk.answer(accept=True)
            for end in list(talk.ends.values()):
                talk.session.streams.resume(end.number, self.world.now)
                if slow or not end.slow:
                    talk.read(end, 1_000)
                if end.number in talk.ends and end in talk.writers():
                    end.last_words = end.last_words or talk.write(end)
                    if end.last_words:
                        talk.finish(end)

    def left(self, *, slow: bool) -> list[str]:
        """The streams that are not complete; those with a slow reader, or not these."""
        found = []
        for peer in self.world.peers():
            talk = peer.streams
            if talk is None:
                continue
            far = self.world.nodes[peer.id].peers[peer.node.name].streams
            for end in talk.ends.values():
                there = far.ends.get(end.number) if far is not None else None
                waits = end.slow or (there is not None and there.slow)
                if slow or not waits:
                    found.append(f"{peer.node.name} towards {peer.id}, {end}")
            found += [f"{peer.node.name} has words"] * bool(talk.words)
        return found
