"""One inbox, senders that put and drop, and consumers that come, claim senders, and leave in every way there is.

Much faster than nodes with wires, and so nearer to what only many steps reach. The checker stands outside: it knows
what was put, what it was handed, and how each consumer left. Its invariants: `record.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from random import Random
from typing import Final

from litz.inbox import Inbox
from litz.inbox_queue import InboxQueue
from litz.message import Detail, Message
from litz.order import PerKey
from litz.payload import PayloadType
from litz.testing import SimLoop
from tests.simulation.inbox.record import Hands, InvariantError, Lane, LeaveError, Put

SENDERS: Final = ("a", "b")
LOSSY: Final = PayloadType.STREAM_LATENCY_FIRST
LANES: Final = (PayloadType.RPC_SIGNAL, PayloadType.RPC_RELIABLE, LOSSY)
HITS: Final = (
    "dropped", "dropped behind a consumer", "claimed behind a hand", "left with an error", "left", "cancelled",
    "handed out again", "served at once", "new session", "sender dropped", "watched", "joined",
    "served by key", "all done", "gone for good",
)  # fmt: skip
"""What many seeds must have hit."""


class World:
    """Of one seed."""

    def __init__(self, seed: int, loop: SimLoop) -> None:
        self.rng = Random(f"inbox {seed}")
        self.loop = loop
        self.inbox = Inbox()
        self.lanes = [Lane(self.inbox, sender, each) for sender in SENDERS for each in LANES]
        self.puts: list[Put] = []
        self.count: Counter[InboxQueue] = Counter()
        """Messages that were put and not dropped."""
        self.dropped: Counter[InboxQueue] = Counter()
        """Those that were dropped, and it is not known yet which; -1: its sender was dropped."""
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
        self.count[lane.queue] += count
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
            self.count[lane.queue] -= 1
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
                self._check_all_done()
            elif rng.random() < 0.1:
                await asyncio.sleep(0)  # in the middle of what others do
        if rng.random() < 0.5:
            self.hits["gone for good"] += 1
            for lane in mine:
                lane.queue.close()

    # -- what is handed out -----------------------------------------------------------------------------

    def hand(self, hands: Hands, message: Message) -> Put:
        """`message` was handed out."""
        put = self.puts[_uid(message)]
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
        if hands.keys and any(each.lane.sender == sender and hands.same_key(each, put) for each in hands.held):
            self.fail("serial", f"{message} is handed out beside another of its key")
        self._skip_dropped(hands, put, message)
        lane.waiting.remove(put)
        self.hits["handed out again"] += put.seen
        self.hits["served at once"] += held > 0
        self.hits["served by key"] += hands.keys > 0
        put.state, put.seen, put.anywhere = "in hand", True, False
        hands.held[put] = None
        self._check_counts(put.queue)
        return put

    def _skip_dropped(self, hands: Hands, put: Put, message: Message) -> None:
        for earlier in list(put.lane.waiting):
            if earlier is put or put.anywhere:
                return
            if earlier.anywhere or (hands.keys and not hands.same_key(earlier, put)):
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
        """What it held was not processed: it comes again, in its place."""
        for put in hands.held:
            if put.state == "in hand":
                sender, lane = put.lane.sender, put.lane
                put.state = "waiting"
                put.anywhere = any(each.claims == sender and each is not hands for each in self.consumers)
                lane.waiting = deque(sorted((*lane.waiting, put), key=lambda each: each.uid))
        hands.held.clear()

    def _check_counts(self, queue: InboxQueue) -> None:
        if self.dropped[queue] >= 0 and queue.processed > self.done[queue]:
            self.fail("counted", f"{queue.processed} count as processed, {self.done[queue]} are")

    def _check_all_done(self) -> None:
        """Where all that was not dropped is processed, that is known at once."""
        for queue in (queue for lane in self.lanes for queue in lane.queues):
            if self.dropped[queue] < 0 or self.done[queue] != self.count[queue]:
                continue
            self.hits["all done"] += self.done[queue] > 0
            # What was finished behind others that were dropped counts when somebody looks there.
            if queue.pending and not any(batch.hidden or not batch.items for batch in queue._open):
                self.fail("counted", f"{queue.pending} count as not processed, and all {self.done[queue]} are")

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

    async def serve(self, at_once: int, keys: int = 0) -> None:
        """`serve`, until it is cancelled. `keys`: messages of each of so many keys one after the other."""
        hands, rng = Hands(at_once=at_once, keys=keys), self.rng
        order = PerKey(by=lambda message: _uid(message) % keys, messages=rng.choice((3, 100))) if keys else None
        self.consumers.append(hands)

        async def handler(message: Message) -> None:
            put = self.hand(hands, message)
            await self.think()
            self.processed(hands, put)

        try:
            await self.inbox.serve(handler, concurrency=at_once, order=order)
        finally:
            self.consumers.remove(hands)
            self.give_back(hands)

    async def consume(self) -> None:
        """One sort of consumer after the other."""
        rng = self.rng
        for _ in range(rng.randint(3, 12)):
            readers: list[asyncio.Task[None]] = []
            how = rng.choice(("all", "one", "apart", "apart", "serve", "wide", "keyed"))
            if how in ("serve", "wide"):
                readers.append(self.loop.create_task(self.serve(1 if how == "serve" else rng.choice((2, 5)))))
            if how == "keyed":
                readers.append(self.loop.create_task(self.serve(rng.choice((2, 5)), rng.choice((2, 3, 7)))))
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
        for lane in self.lanes:
            lane.queue.close()
        if self.inbox._senders:
            self.fail("closed", f"senders are remembered that have neither sessions nor messages: {self.inbox}")


def _uid(message: Message) -> int:
    return int.from_bytes(message.data[:4], "big")
