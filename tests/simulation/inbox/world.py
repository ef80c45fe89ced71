"""One inbox, senders that put and drop, and consumers that come, claim senders, and leave in every way there is.

Much faster than nodes with wires, and so nearer to what only many steps reach. The checker stands outside: it knows
what was put, what it was handed, and how each consumer left.

Invariants
  exactly-once  what is processed, or in somebody's hands, is not handed out, and what was dropped never
  in-order      of one lane messages are handed out as they were put, but for those that were dropped
  marked        a message is marked as redelivered exactly if somebody has seen it before
  serial        of one sender no two are in hand at once, unless that was asked for
  claimed       a sender's messages go to the stream that has claimed it
  counted       counts of a queue never run ahead of what is processed; in the end they are exact, and no byte is left
  told          who watches a queue is told once of what is processed
  alive         what was put is handed out in the end
  closed        no task or timer is left
  typed-errors  no other error gets out
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from litz.inbox import Inbox
from litz.inbox_queue import InboxQueue
from litz.message import Detail, Message, Origin
from litz.payload import PayloadType
from litz.testing import SimLoop
from tests.simulation import seeds
from tests.simulation.seeds import invariant_names

INVARIANTS = invariant_names(__doc__)
SENDERS: Final = ("a", "b")
LOSSY: Final = PayloadType.STREAM_LATENCY_FIRST
LANES: Final = (PayloadType.RPC_SIGNAL, PayloadType.RPC_RELIABLE, LOSSY)
HITS: Final = (
    "dropped", "dropped behind a consumer", "claimed behind a hand", "left with an error", "left", "cancelled",
    "handed out again", "served at once", "new session", "sender dropped", "watched", "joined",
)  # fmt: skip
"""What many seeds must have hit."""


class InvariantError(seeds.InvariantError):
    """One of those above does not hold."""

    names = INVARIANTS


class LeaveError(Exception):
    """A consumer leaves its stream with an error."""


@dataclass(eq=False, slots=True)
class Put:
    """One message. `state`: waiting, in hand, done, or gone (dropped with its sender)."""

    uid: int
    lane: Lane
    queue: InboxQueue
    state: str = "waiting"
    seen: bool = False
    anywhere: bool = False
    """It was in the hands of a stream whose sender had moved away: it comes again, but others may come first."""


class Lane:
    """One lane of one sender, as it should be. Also the source of its messages."""

    verified = False

    def __init__(self, inbox: Inbox, sender: str, payload_type: PayloadType) -> None:
        self.inbox = inbox
        self.sender = sender
        self.payload_type = payload_type
        self.next = 0
        self.waiting: deque[Put] = deque()
        self.queues: list[InboxQueue] = []
        self.begin()

    def begin(self) -> None:
        """A new session."""
        self.queue = self.inbox.queue(self.sender, self.payload_type)
        self.queues.append(self.queue)

    def origin(self, number: int) -> Origin:
        raise AssertionError("nobody asks")

    async def reply(self, message: Message, data: Any) -> None:
        raise AssertionError("nobody asks")

    async def fail(self, message: Message, error: BaseException) -> None:
        raise AssertionError("nobody asks")


@dataclass(eq=False, slots=True)
class Hands:
    """What one consumer holds. `at_once`: how many it may of one sender."""

    at_once: int = 1
    claims: str = ""
    held: dict[Put, None] = field(default_factory=dict)
    returned: list[Put] = field(default_factory=list)


class World:
    """Of one seed."""

    def __init__(self, seed: int, loop: SimLoop) -> None:
        self.rng = Random(f"inbox {seed}")
        self.loop = loop
        self.inbox = Inbox()
        self.lanes = [Lane(self.inbox, sender, each) for sender in SENDERS for each in LANES]
        self.puts: list[Put] = []
        self.dropped: Counter[InboxQueue] = Counter()
        self.done: Counter[InboxQueue] = Counter()
        self.watches: list[tuple[InboxQueue, int, list[int]]] = []
        self.consumers: list[Hands] = []
        self.hits: Counter[str] = Counter()
        self.failure: InvariantError | None = None

    def fail(self, name: str, detail: str) -> None:
        """Also where an error would only be logged."""
        self.failure = self.failure or InvariantError(name, detail)
        raise self.failure

    # -- what is put ------------------------------------------------------------------------------------

    def put(self, lane: Lane) -> None:
        """Some messages, as payloads or with details."""
        rng, count = self.rng, self.rng.choice((1, 1, 2, 5, 300 if self.rng.random() < 0.05 else 3))
        puts = [Put(len(self.puts) + index, lane, lane.queue) for index in range(count)]
        self.puts += puts
        lane.waiting += puts
        payloads = [each.uid.to_bytes(4, "big") * rng.choice((1, 1, 50)) for each in puts]
        size, first = sum(map(len, payloads)), lane.next
        lane.next += count
        before = len(lane.queue._open)
        if rng.random() < 0.8:
            lane.queue.put_payloads(payloads, first, lane, size)
        else:
            detail = Detail(key="k") if rng.random() < 0.5 else None
            rows = [Message((data, first + index, lane, detail)) for index, data in enumerate(payloads)]
            lane.queue.put(rows, size)
        self.hits["joined"] += len(lane.queue._open) == before

    def drop_oldest(self, lane: Lane) -> None:
        """As the receiving half of a lane does that wants the latest first."""
        for _ in range(self.rng.choice((1, 1, 2, 10))):
            in_hand = any(put.queue is lane.queue for hands in self.consumers for put in hands.held)
            if not lane.queue.drop_oldest():
                return
            self.dropped[lane.queue] += 1
            self.hits["dropped"] += 1
            self.hits["dropped behind a consumer"] += in_hand

    def new_session(self, sender: str) -> None:
        for lane in self.lanes:
            if lane.sender == sender:
                lane.queue.close()
                lane.begin()
        self.hits["new session"] += 1

    def drop(self, sender: str) -> None:
        if any(hands.at_once > 1 for hands in self.consumers):
            return  # it may have a message in hand whose handler has not begun
        if any(put.lane.sender == sender and not hands.claims for hands in self.consumers for put in hands.held):
            return  # it may have moved away from who has it in hand: then that comes again
        self.inbox.drop(sender)
        self.hits["sender dropped"] += 1
        for lane in self.lanes:
            if lane.sender == sender:
                lane.waiting.clear()
                lane.begin()
        for put in self.puts:
            if put.lane.sender == sender and put.state != "done":
                put.state = "gone"
                self.dropped[put.queue] = -1  # nothing is counted of it any more

    def watch(self, lane: Lane) -> None:
        queue, told = lane.queue, [0]

        def tell() -> None:
            told[0] += 1

        self.watches.append((queue, queue.processed, told))
        queue.watch(tell)
        self.hits["watched"] += 1

    async def produce(self, sender: str) -> None:
        """What comes from one sender."""
        rng, mine = self.rng, [lane for lane in self.lanes if lane.sender == sender]
        for _ in range(rng.randint(20, 120)):
            what = rng.random()
            if what < 0.6:
                self.put(rng.choice(mine))
            elif what < 0.8:
                self.drop_oldest(mine[-1])
            elif what < 0.83:
                self.new_session(sender)
            elif what < 0.84:
                self.drop(sender)
            elif what < 0.9:
                self.watch(rng.choice(mine))
            if rng.random() < 0.6:
                await asyncio.sleep(rng.random() ** 3 * 0.1)

    # -- what is handed out -----------------------------------------------------------------------------

    def hand(self, hands: Hands, message: Message) -> Put:
        """`message` was handed out."""
        put = self.puts[int.from_bytes(message.data[:4], "big")]
        lane, sender = put.lane, put.lane.sender
        if put.state != "waiting":
            self.fail("exactly-once", f"{message} is handed out, and it is {put.state}")
        if message.redelivered != put.seen:
            self.fail("marked", f"{message}: seen {put.seen}, marked {message.redelivered}")
        held = sum(each.lane.sender == sender for each in hands.held)
        if held >= hands.at_once:
            self.fail("serial", f"{message} is handed out beside {held} others of {sender}")
        if any(each.claims == sender for each in self.consumers) and hands.claims != sender:
            self.fail("claimed", f"{message} is handed to the stream of everybody")
        self._skip_dropped(put, message)
        lane.waiting.remove(put)
        self.hits["handed out again"] += put.seen
        self.hits["served at once"] += held > 0
        put.state, put.seen, put.anywhere = "in hand", True, False
        hands.held[put] = None
        self._check_counts(put.queue)
        return put

    def _skip_dropped(self, put: Put, message: Message) -> None:
        for earlier in list(put.lane.waiting):
            if earlier is put or put.anywhere:
                return
            if earlier.anywhere:
                continue
            if not self.dropped[earlier.queue]:
                self.fail("in-order", f"{message} is handed out, and {earlier.uid} waits before it")
            self.dropped[earlier.queue] -= 1
            put.lane.waiting.remove(earlier)
            earlier.state = "gone"

    def processed(self, hands: Hands, put: Put) -> None:
        del hands.held[put]
        if put.state == "in hand":
            put.state = "done"
            self.done[put.queue] += 1

    def give_back(self, hands: Hands) -> None:
        """What it held was not processed: it comes again, before all others."""
        for put in sorted(hands.held, key=lambda each: -each.uid):
            if put.state != "in hand":
                continue
            put.state = "waiting"
            sender = put.lane.sender
            put.anywhere = any(each.claims == sender and each is not hands for each in self.consumers)
            put.lane.waiting.appendleft(put)
        hands.held.clear()

    def _check_counts(self, queue: InboxQueue) -> None:
        if self.dropped[queue] >= 0 and queue.processed > self.done[queue]:
            self.fail("counted", f"{queue.processed} count as processed, {self.done[queue]} are")

    # -- who reads --------------------------------------------------------------------------------------

    async def think(self) -> None:
        if self.rng.random() < 0.5:
            await asyncio.sleep(self.rng.random() ** 2 * 0.05)

    async def read(self, claims: str) -> None:
        """`messages`, of all or of one sender, until it has enough."""
        hands = Hands(claims=claims)
        try:
            async with self.inbox.messages(sender=claims or None) as stream:
                self.consumers.append(hands)
                held = any(put.lane.sender == claims for each in self.consumers for put in each.held)
                self.hits["claimed behind a hand"] += held
                async for message in stream:
                    put = self.hand(hands, message)
                    await self.think()
                    if self.rng.random() < 0.02:
                        self.hits["left with an error"] += 1
                        raise LeaveError
                    self.processed(hands, put)
                    if self.rng.random() < 0.02:
                        self.hits["left"] += 1
                        break
        except LeaveError:
            pass
        finally:
            if hands in self.consumers:
                self.consumers.remove(hands)
            self.give_back(hands)

    async def serve(self, at_once: int) -> None:
        """`serve`, until it is cancelled."""
        hands = Hands(at_once=at_once)
        self.consumers.append(hands)

        async def handler(message: Message) -> None:
            put = self.hand(hands, message)
            await self.think()
            self.processed(hands, put)

        try:
            await self.inbox.serve(handler, concurrency=at_once)
        finally:
            self.consumers.remove(hands)
            self.give_back(hands)

    async def consume(self) -> None:
        """One sort of consumer after the other."""
        rng = self.rng
        for _ in range(rng.randint(3, 12)):
            readers: list[asyncio.Task[None]] = []
            how = rng.choice(("all", "one", "apart", "apart", "serve", "wide"))
            if how in ("serve", "wide"):
                readers.append(self.loop.create_task(self.serve(1 if how == "serve" else rng.choice((2, 5)))))
            if how in ("all", "apart"):
                readers.append(self.loop.create_task(self.read("")))
            for _ in range({"one": 1, "apart": rng.choice((1, 2, 4))}.get(how, 0)):
                await asyncio.sleep(rng.random() * 0.2)
                readers.append(claim := self.loop.create_task(self.read(rng.choice(SENDERS))))
                await asyncio.sleep(rng.random() * 0.2)
                await self.stop([claim])
            await asyncio.sleep(rng.random() * 0.3)
            await self.stop(readers)
            if rng.random() < 0.5:
                await asyncio.sleep(rng.random() * 0.1)

    async def stop(self, readers: list[asyncio.Task[None]]) -> None:
        for reader in readers:
            self.hits["cancelled"] += reader.cancel()
        for reader in readers:
            await asyncio.wait([reader])
            if not reader.cancelled():
                reader.result()

    # -- the run ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        producing = [self.loop.create_task(self.produce(sender)) for sender in SENDERS]
        try:
            await self.consume()
        finally:
            await asyncio.wait(producing)
        for each in producing:
            each.result()
        if self.failure is not None:
            raise self.failure
        last = self.loop.create_task(self.read_the_rest())
        await asyncio.sleep(60.0)
        self.inbox.close()
        await self.stop([last])
        self.finish()

    async def read_the_rest(self) -> None:
        hands = Hands()
        self.consumers.append(hands)
        async for message in self.inbox.messages():
            self.processed(hands, self.hand(hands, message))

    def finish(self) -> None:
        for put in self.puts:
            if put.state == "waiting":
                self.dropped[put.queue] -= 1
                if self.dropped[put.queue] < 0:
                    self.fail("alive", f"{put.uid} of {put.lane.sender} was put, and never handed out")
        for queue, told_from, told in self.watches:
            if self.dropped[queue] >= 0 and told[0] != (queue.processed > told_from):
                self.fail("told", f"told {told[0]} times, and {queue.processed} are processed, {told_from} were")
        for lane in self.lanes:
            for queue in lane.queues:
                if self.dropped[queue] >= 0 and (queue.processed, queue.pending) != (self.done[queue], 0):
                    self.fail("counted", f"{queue.processed} and {queue.pending}, of {self.done[queue]}")
        if self.inbox.pending_bytes:
            self.fail("counted", f"{self.inbox.pending_bytes} bytes are left of nothing")
