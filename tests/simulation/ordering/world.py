"""Senders in order of keys, and a node whose consumers are killed again and again, on both managers, over wires that
break. The checker stands outside: it knows what was sent in which turn, and what handlers began and finished.

Invariants
  turns      of one sender, lane and key handlers begin in the order in which the senders had their turns, each after
             all before it are finished, and never two at once
  finished   what was finished never comes again, and all that was sent is finished in the end
  marked     a message is marked as redelivered exactly if its handler had begun before
  confirmed  what is confirmed as processed is finished, with all before it in its lane
  parallel   a key that is blocked stops no other: it is let go when all others are finished
  permits    no more runs at once than was admitted, and in the end nothing is held
  alive      nobody waits for ever
  closed     no task or timer is left
  typed-errors  no other error gets out
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from random import Random
from typing import Any, Final, Literal

from inproc import Hub, InprocTransportManager
from litz import Message, PayloadType, PerKey, TransportManager
from litz.admission import Amount, Queue
from litz.limiter import Limiter
from litz.ordered_sending import OrderedSending
from litz.testing import Link, Nemesis, SimLoop, SimNetwork
from litz.testing.sim_network import SimHost
from outproc import OutprocTransportManager, TransportOptions
from outproc.local_node import Environment
from tests.simulation import seeds
from tests.simulation.seeds import invariant_names

INVARIANTS = invariant_names(__doc__)
LANES: Final = (PayloadType.RPC_RELIABLE, PayloadType.STREAM_RELIABLE, PayloadType.RPC_SIGNAL)
KEYS: Final = "abcdef"
FAULTS: Final = {"reset": 3.0, "reset one side": 2.0, "half open": 1.0, "delay": 2.0, "slow link": 1.0}
STANDSTILL: Final = 150.0
"""Seconds in which nothing is finished: longer than any wire takes to heal."""
HITS: Final = (
    "in process", "between processes", "reset", "killed", "begun before a kill", "finished behind one that was not",
    "more than there is room for", "permit waited for", "parallel", "blocked key", "read by messages", "raised",
    "confirmed", "cancelled sender",
)  # fmt: skip
"""What many seeds must have hit."""


def _wall_clock(host: SimHost) -> int:
    return int(host.wall_time() * 1e9)


class InvariantError(seeds.InvariantError):
    """One of those above does not hold."""

    names = INVARIANTS


class Work:
    """One message, as its sender made it."""

    __slots__ = ("begun", "finished", "key", "lane", "sender", "sent")

    def __init__(self, sender: str, lane: PayloadType, key: str) -> None:
        self.sender = sender
        self.lane = lane
        self.key = key
        self.sent = False
        self.begun = 0
        self.finished = False

    def __repr__(self) -> str:
        return f"<one of {self.sender}, {self.lane.name}, key {self.key}>"


@contextmanager
def quiet() -> Iterator[None]:
    """Handlers raise on purpose, which `serve` logs."""
    log = logging.getLogger("litz.serve")
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = False


class World:
    """Of one seed. `bob` consumes, the others send to him."""

    def __init__(self, seed: int, loop: SimLoop) -> None:
        self.seed = seed
        self.loop = loop
        self.rng = rng = Random(f"ordering {seed}")
        self.hits: Counter[str] = Counter()
        self.total = rng.randrange(20, 90)
        permits = Queue(Amount(rng.randrange(1, 6), 10_000), waiting=Amount(4096))
        self.limiter = Limiter(permits)
        blocked = rng.random() < 0.4
        self.order = (
            PerKey(key_messages=4096)
            if blocked
            else PerKey(keys=rng.randrange(1, 7), messages=rng.randrange(1, 30), key_messages=rng.randrange(1, 12))
        )
        self.concurrency = rng.randrange(2, 7)
        # Of one sender at most one key is blocked, so one of its places is enough for the others, and one permit.
        self.blocked = (rng.choice(("alice", "carol")), rng.choice(KEYS)) if blocked else None
        self.admission = self.limiter if not blocked and rng.random() < 0.6 else None
        self.permits = permits.limit.count
        self.works: list[Work] = []
        self.lanes: dict[tuple[str, PayloadType], dict[int, Work]] = {}
        self.keys: dict[tuple[str, PayloadType, str], list[Work]] = {}
        self.running: dict[tuple[str, str], Work] = {}
        self.failures: list[InvariantError] = []
        self.to_come: dict[str, int] = {"alice": self.total, "carol": self.total}
        self.under_way = 0
        self.progress = loop.time()
        """When a handler finished last."""
        self.managers: dict[str, TransportManager] = {}

    def _fail(self, name: str, detail: str) -> None:
        """Handlers cannot end the run themselves: `serve` would log what they raise."""
        self.failures.append(InvariantError(name, detail))

    def _judge(self) -> None:
        if self.failures:
            raise self.failures[0]

    # -- the run ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            stack.enter_context(quiet())
            nemesis = await (self._in_process(stack) if self.seed % 2 else self._between_processes(stack))
            users = [self.loop.create_task(self._user(name)) for name in ("alice", "carol")]
            if nemesis is not None:
                users.append(self.loop.create_task(nemesis.run(20, every=1.0, weights=FAULTS)))
            while not all(user.done() for user in users):
                await self._consume(self.rng.random() * 4)
                self._judge()
                if self.loop.time() - self.progress > 2 * STANDSTILL:
                    raise InvariantError("alive", "users wait, and nothing is finished any more")
            for user in users:
                user.result()
            await self._consume(None)
            self._judge()
            self._judge_end()
            if nemesis is not None:
                self.hits.update({name: nemesis.hits[name] for name in FAULTS})

    async def _in_process(self, stack: AsyncExitStack) -> None:
        self.hits["in process"] += 1
        hub = Hub()
        for name in ("bob", "alice", "carol"):
            self.managers[name] = await stack.enter_async_context(InprocTransportManager(name, hub))

    async def _between_processes(self, stack: AsyncExitStack) -> Nemesis:
        self.hits["between processes"] += 1
        network = SimNetwork(self.loop, seed=self.seed, link=Link(latency=0.005, jitter=0.003))
        url = "sim://bob:1"
        options = TransportOptions(window_messages=self.rng.choice((4, 30, 16_384)) if self.blocked is None else 16_384)
        for name in ("bob", "alice", "carol"):
            host = network.host(name)
            chance = Random(f"{self.seed} {name}")
            environment = Environment(partial(_wall_clock, host), chance.randbytes, chance)
            self.managers[name] = manager = OutprocTransportManager(
                name,
                builders=[host.builder()],
                environment=environment,
                options=options,
                directory={"bob": [url]} if name != "bob" else None,
            )
            await stack.enter_async_context(manager)
            if name == "bob":
                await manager.listen(url)
        return Nemesis(network, seed=self.seed)

    # -- senders ------------------------------------------------------------------------------------------

    async def _user(self, name: str) -> None:
        """Sends in turns of keys, many tasks at once."""
        sending = OrderedSending()
        rng = self.rng
        tasks: list[asyncio.Task[None]] = []
        for left in range(self.total, 0, -1):
            self.to_come[name] = left
            lane, key = rng.choice(LANES), rng.choice(KEYS)
            tasks.append(self.loop.create_task(self._send_in_turn(sending, name, lane, key)))
            if rng.random() < 0.1:
                tasks.append(self.loop.create_task(self._send_confirmed(name, lane)))
            if rng.random() < 0.3:
                await asyncio.sleep(rng.random() * 0.5)
            if rng.random() < 0.15:
                self.hits["cancelled sender"] += rng.choice(tasks[-4:]).cancel()
        self.to_come[name] = 0
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
        if sending.waiting:
            raise InvariantError("turns", f"{sending!r} keeps places")

    async def _send_in_turn(self, sending: OrderedSending, name: str, lane: PayloadType, key: str) -> None:
        self.under_way += 1
        work = Work(name, lane, key)
        line = self.keys.setdefault((name, lane, key), [])
        line.append(work)  # it begins to ask for its turn now
        try:
            async with sending.turn((lane, key)):
                await asyncio.sleep(self.rng.random() * 0.1)  # what asked later, of another key, may overtake here
                await self._send(work)
        finally:
            self.under_way -= 1
            if not work.sent:
                line.remove(work)

    async def _send_confirmed(self, name: str, lane: PayloadType) -> None:
        work = Work(name, lane, f"confirmed {len(self.works)}")
        self.keys[name, lane, work.key] = [work]
        number = await self._send(work, confirm="processed")
        self.hits["confirmed"] += 1
        works = self.lanes[name, lane]
        for earlier in range(number + 1):
            if not works[earlier].finished:
                raise InvariantError(
                    "confirmed", f"{works[number]!r} was confirmed, {works[earlier]!r} is not finished"
                )

    async def _send(self, work: Work, confirm: Literal["processed"] | None = None) -> int:
        """Send one, to its end also when cancelled, so that its number is known; a cancel counts then."""
        data = b"%d" % len(self.works) + b" " * self.rng.choice((5, 2_000))
        self.works.append(work)
        work.sent = True
        how: dict[str, Any] = {"key": work.key, "confirm": confirm, "when_down": "queue"}
        task = self.loop.create_task(self.managers[work.sender].send("bob", data, payload_type=work.lane, **how))
        try:
            await asyncio.shield(task)
        finally:
            while not task.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
        return task.result()[1]

    # -- the consumer -------------------------------------------------------------------------------------

    async def _consume(self, seconds: float | None) -> None:
        """Consume for so long and be killed, or until all is finished."""
        bob = self.managers["bob"]
        if seconds is not None and self.blocked is None and self.rng.random() < 0.2:
            await self._read(seconds)
            return
        serving = self.loop.create_task(
            bob.serve(self._handle, order=self.order, concurrency=self.concurrency, admission=self.admission)
        )
        if seconds is not None:
            await asyncio.sleep(seconds)
            self.hits["killed"] += 1
        else:
            while not (self.failures or all(work.finished for work in self.works)):
                await asyncio.sleep(0.5)
                if self.loop.time() - self.progress > 2 * STANDSTILL:
                    raise InvariantError(
                        "alive", f"{next(work for work in self.works if not work.finished)!r} never ran"
                    )
        serving.cancel()
        await asyncio.wait([serving])
        if not serving.cancelled():
            serving.result()
        if self.running:
            raise InvariantError("finished", f"{self.running} run, and serve has ended")
        if self.limiter.used.count or self.limiter.queued.count:
            raise InvariantError("permits", f"after a kill: {self.limiter!r}")

    async def _read(self, seconds: float) -> None:
        """Another kind of consumer takes over, one by one; it is killed in the middle too."""
        try:
            async with asyncio.timeout(seconds), self.managers["bob"].messages() as stream:
                async for message in stream:
                    self.hits["read by messages"] += 1
                    await self._run(message, may_raise=False)
        except TimeoutError:
            pass

    async def _handle(self, message: Message) -> None:
        running = [work for work in self.running.values() if work.sender == message.sender]
        if len(running) >= self.concurrency:
            self._fail("permits", f"{running} run already")
        if self.admission is not None:
            if len(self.running) >= self.permits:
                self._fail("permits", f"{self.running} run already")
            self.hits["permit waited for"] += self.limiter.queued.count > 0
        self.hits["parallel"] += bool(running)
        await self._run(message, may_raise=True)

    async def _run(self, message: Message, *, may_raise: bool) -> None:
        work = self.works[int(message.data)]
        self._judge_begin(work, message)
        self.lanes.setdefault((work.sender, work.lane), {})[message.number] = work
        work.begun += 1
        self.running[work.sender, work.key] = work
        try:
            if (work.sender, work.key) == self.blocked:
                await self._blocked(work)
            elif self.rng.random() < 0.6:
                await asyncio.sleep(self.rng.random() * 0.4)
            work.finished = True
            self.progress = self.loop.time()
            earlier = self.lanes[work.sender, work.lane].get(message.number - 1)
            self.hits["finished behind one that was not"] += earlier is not None and not earlier.finished
        finally:
            del self.running[work.sender, work.key]
        if may_raise and self.rng.random() < 0.05:
            self.hits["raised"] += 1
            raise LookupError("on purpose")

    def _judge_begin(self, work: Work, message: Message) -> None:
        if work.finished:
            self._fail("finished", f"{work!r} was finished, and comes again")
        if message.redelivered != bool(work.begun):
            self._fail("marked", f"{work!r} had begun {work.begun} times, and is marked {message.redelivered}")
        self.hits["begun before a kill"] += message.redelivered
        line = self.keys[work.sender, work.lane, work.key]
        for earlier in line[: line.index(work)]:
            if not earlier.finished:
                self._fail("turns", f"{work!r} begins, and {earlier!r}, sent before it, is not finished")
        if (work.sender, work.key) in self.running:
            self._fail("turns", f"{work!r} begins beside {self.running[work.sender, work.key]!r}")
        waiting = sum(not other.finished for other in self.works if other.sender == work.sender)
        self.hits["more than there is room for"] += waiting > self.order.messages

    async def _blocked(self, work: Work) -> None:
        """Until all others are finished: they can be, for this key stops no other."""
        self.hits["blocked key"] += 1
        while self.under_way or any(self.to_come.values()) or any(self._others()):
            await asyncio.sleep(0.25)
            if self.loop.time() - self.progress > STANDSTILL:
                self._fail("parallel", f"{work!r} is blocked, and {next(self._others(), None)!r} does not run")
                return

    def _others(self) -> Iterator[Work]:
        return (work for work in self.works if not work.finished and (work.sender, work.key) != self.blocked)

    def _judge_end(self) -> None:
        for work in self.works:
            if not work.finished:
                raise InvariantError("finished", f"{work!r} never came")
