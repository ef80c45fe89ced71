"""A node whose log spills into its outbox, and the peer that it sends to, while wires break and processes die.

The checker stands outside: it knows what `send` returned and where it went, what the peer's handler got, and what the
sender was told of as lost.

Invariants
  in-order     what one life sends is handled first in the order of `send`, whichever way each message went
  once         what went through memory is handled at most once, and what was spilled again only with a mark
  none-lost    what was spilled is handled; what went through memory is handled, or told as lost, or its sender died
  never-waits  `send` waits for its disk, and for no reader
  takes-over   once everything is handled, the next message goes through memory
  settles      after the last fault everything is handled soon
  typed-errors every error that gets out is typed, and none reaches the loop
"""
# on virtual time, looking again costs nothing and needs no hook in what is watched

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from litz.errors import BackpressureError, LitzError, SessionEndedError
from litz.events import SessionEnded
from litz.manager import EventStream
from litz.message import Message, Receipt
from litz.payload import PayloadType
from litz.snapshot import DestState
from litz.testing import Nemesis, SimHost, SimLoop, SimNetwork
from outproc import OutprocTransportManager, Overflow, TransportOptions
from outproc.local_node import Environment
from outproc.outbox import Inbox, InboxOptions, Outbox, OutboxFullError, OutboxOptions
from tests.simulation import seeds
from tests.simulation.durable.disks import Disk
from tests.simulation.durable.memory_stores import InboxContent, MemoryInboxStore, MemoryOutboxStore, OutboxContent
from tests.simulation.durable.store_runner import SimRunner
from tests.simulation.seed_world import SeedWorld
from tests.simulation.seeds import invariant_names

INVARIANTS: Final = invariant_names(__doc__)

MEMORY: Final = int(PayloadType.RPC_RELIABLE)
FAULTS: Final = (
    "reset", "half open", "partition", "one-way loss", "freeze", "delay", "dial: refuse", "kill sender", "kill reader",
    "reader stops",
)  # fmt: skip
REQUIRED: Final = (
    *(name for name in FAULTS if not name.startswith("dial")),
    "memory", "spilled", "memory took over", "marked", "told as lost", "outbox full", "cancelled",
)  # fmt: skip
SETTLE: Final = 400.0
SLOWEST: Final = 2.0
"""Virtual seconds of the slowest commit, with those that are before it."""


class InvariantError(seeds.InvariantError):
    """One of those above does not hold."""

    names = INVARIANTS


@dataclass(slots=True)
class Sent:
    """One message: which life of the sender sent it, when, where it went (None: not known), and how it was handled."""

    uid: int
    life: int
    at: float
    lane: int | None = None
    receipt: Receipt | None = None
    handled: list[bool] = field(default_factory=list)
    """Whether it was marked, each time."""
    lost: bool = False


class Life:
    """One process of a node, until it is killed."""

    def __init__(self, world: World, name: str, number: int) -> None:
        self.world, self.name, self.number = world, name, number
        self.host: SimHost = world.network.host(name)
        self.runners: list[SimRunner] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.alive = True
        self.says_no_more = False
        self.died_at = 0.0
        rng = Random(f"spill {world.seed} {name} {number}")
        other = "bob" if name == "alice" else "alice"
        self.manager = OutprocTransportManager(
            name,
            directory={other: [f"sim://{other}:1"]},
            builders=[self.host.builder(max_frame=4_096)],
            options=world.options,
            outbox=Outbox(
                MemoryOutboxStore(world.outboxes[name]),
                OutboxOptions(revisit=0.5, max_bytes=world.max_bytes),
                runner=self._runner,
            ),
            inbox=Inbox(
                MemoryInboxStore(world.inboxes[name]), InboxOptions(window_messages=world.window), runner=self._runner
            ),
            environment=Environment(
                lambda: int(self.host.wall_time() * 1_000_000_000), rng.randbytes, Random(rng.random())
            ),
        )

    def _runner(self, _name: str, loop: asyncio.AbstractEventLoop) -> SimRunner:
        self.runners.append(SimRunner(loop, self.world.disk, self.world.failed))
        return self.runners[-1]

    async def begin(self) -> None:
        await self.manager.__aenter__()
        if self.alive:
            await self.manager.listen(f"sim://{self.name}:1")

    def spawn(self, work: Any) -> None:
        task = self.world.loop.create_task(work, name=f"{self.name}{self.number}")
        self.tasks.append(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and self.alive and (error := task.exception()) is not None:
            self.world.failed(error)

    def kill(self) -> None:
        """Without a word."""
        self.alive = False
        self.died_at = self.world.loop.time()
        for runner in self.runners:
            runner.kill(keep=self.world.rng.random() < 0.5)
        self.host.crash(tell_peers=None)

    async def bury(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.manager.aclose()


class World(SeedWorld):
    """One run. `trace` is called with one line per event, or is None."""

    broken = InvariantError

    def __init__(self, loop: SimLoop, seed: int, trace: Callable[[str], None] | None = None) -> None:
        super().__init__(loop, seed, trace)
        self.rng = rng = Random(f"spill {seed}")
        self.network = SimNetwork(loop, seed=seed)
        self.hits: Counter[str] = self.network.hits
        self.nemesis = Nemesis(self.network, seed=seed, longest=1.0)
        self.nemesis.add("kill sender", lambda: self._kill("alice"))
        self.nemesis.add("kill reader", lambda: self._kill("bob"))
        self.nemesis.add("reader stops", self._reader_stops)
        self.faults = rng.sample(FAULTS, 4)
        self.options = TransportOptions(
            overflow={PayloadType.RPC_RELIABLE: Overflow.SPILL},
            log_messages=rng.choice((1, 4, 16)),
            window_messages=rng.choice((1, 2, 8)),
            session_kept=rng.choice((0.5, 5.0, 60.0)),
            backoff_base=0.02,
            backoff_cap=0.5,
            ping_after=0.4,
            dead_after=0.4,
            close_timeout=2.0,
        )
        self.max_bytes = rng.choice((4_000, 1 << 30, 1 << 30))
        self.window = rng.choice((1, 3, 100))
        self.pace = rng.choice((0.001, 0.01, 0.05))
        self.disk = Disk(Random(f"spill disk {seed}"), rng.choice((0.002, 0.05)))
        self.outboxes = {name: OutboxContent() for name in ("alice", "bob")}
        self.inboxes = {name: InboxContent() for name in ("alice", "bob")}
        self.sent: list[Sent] = []
        self.lives: dict[str, Life] = {}
        self.dead: list[Life] = []
        self.count = 0
        self.restarting = 0
        self.healed = False
        self.reads_again = 0.0
        self.latest: dict[int, int] = {}
        """Of each life of the sender the last message that was handled for the first time."""

    # -- lives ----------------------------------------------------------------------------------------

    async def _start(self, name: str) -> None:
        life = Life(self, name, self.count)
        self.count += 1
        await life.begin()
        self.lives[name] = life
        self.log(name, "starts")
        life.spawn(self._watch(life, life.manager.events(limit=100_000)))
        if name == "alice":
            life.spawn(self._use(life))
        else:
            life.spawn(self._read(life))

    def _kill(self, name: str) -> bool:
        life = self.lives.pop(name, None)
        if life is None:
            return False
        self.log(name, "is killed")
        life.kill()
        self.dead.append(life)
        self.restarting += 1
        self.later(self._restart(name, life))
        return True

    async def _restart(self, name: str, old: Life) -> None:
        await old.bury()
        await asyncio.sleep(self.rng.random())
        await self._start(name)
        self.restarting -= 1

    async def _watch(self, life: Life, events: EventStream) -> None:
        async for _, event in events:
            if isinstance(event, SessionEnded) and life.name == "alice":
                lost = {entry.receipt for entry in event.lost}
                self.hits["told as lost"] += len(lost)
                for sent in self.sent:
                    sent.lost |= sent.life == life.number and sent.receipt in lost

    # -- the sender -----------------------------------------------------------------------------------

    async def _use(self, life: Life) -> None:
        rng = Random(f"spill user {self.seed} {life.number}")
        while not self.healed:
            await asyncio.sleep(rng.expovariate(3.0))
            count, at_once = rng.choice((1, 1, 5, 20, 40)), rng.random() < 0.3
            if at_once and life.manager.is_connected("bob"):
                await asyncio.gather(*[self.loop.create_task(self._send(life, rng)) for _ in range(count)])
                continue
            for _ in range(count):
                if not self.healed:
                    await self._send(life, rng)
        life.says_no_more = True

    async def _send(self, life: Life, rng: Random) -> None:
        sent = Sent(len(self.sent), life.number, self.loop.time())
        self.sent.append(sent)
        data = b"%d " % sent.uid + bytes(rng.choice((0, 10, 300)))
        began, known = self.loop.time(), life.manager.has_dest("bob")
        try:
            async with asyncio.timeout(rng.random() * 0.02 if rng.random() < 0.05 else None):
                sent.receipt = await life.manager.send("bob", data)
        except TimeoutError:
            self.hits["cancelled"] += 1
            return
        except OutboxFullError:
            self.hits["outbox full"] += 1
            sent.lost = True
            await asyncio.sleep(0.5)
            return
        except (BackpressureError, LitzError) as error:
            self.hits[type(error).__name__] += 1
            sent.lost = True
            return
        waited_for_peer = known in (None, DestState.CONNECTING)
        if self.loop.time() - began > SLOWEST and not waited_for_peer:
            raise InvariantError("never-waits", f"send of {sent.uid} took {self.loop.time() - began:.3f} s")
        sent.lane = sent.receipt[0].lane
        self.hits["memory" if sent.lane == MEMORY else "spilled"] += 1
        before = self.sent[sent.uid - 1] if sent.uid else sent
        self.hits["memory took over"] += (
            before.life == sent.life and before.lane not in (None, MEMORY) and sent.lane == MEMORY
        )

    # -- the reader -----------------------------------------------------------------------------------

    def _reader_stops(self) -> bool:
        self.reads_again = self.loop.time() + self.rng.random() * 3.0
        return True

    async def _read(self, life: Life) -> None:
        rng = Random(f"spill reader {self.seed} {life.number}")

        async def handle(message: Message) -> None:
            self._handled(message)
            pause = 0.0 if self.healed else max(0.0, self.reads_again - self.loop.time())
            await asyncio.sleep(pause + rng.random() * self.pace)

        await life.manager.serve(handle)

    def _handled(self, message: Message) -> None:
        uid = int(bytes(message.data).partition(b" ")[0])
        sent, marked = self.sent[uid], message.redelivered
        self.log("handles", uid, message.payload_type.name, "again" if marked else "")
        self.hits["marked"] += marked
        spilled = message.payload_type is PayloadType.RPC_DURABLE
        if sent.handled and not (marked and spilled):
            self.failed(InvariantError("once", f"{uid} was handled again, {marked=}, {spilled=}"))
        if not sent.handled and uid < self.latest.get(sent.life, -1):
            self.failed(InvariantError("in-order", f"{uid} was handled after {self.latest[sent.life]}"))
        sent.handled.append(marked)
        self.latest[sent.life] = max(uid, self.latest.get(sent.life, -1))

    # -- the run --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Faults, healing, the end. Raises what went wrong first."""
        story = self.loop.create_task(self._story(), name="story")
        await asyncio.wait([story, self._failure], return_when=asyncio.FIRST_COMPLETED)
        try:
            if self._failure.done():
                await self._failure
            await story
        finally:
            self._failure.cancel()
            story.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(story, *self._tasks, return_exceptions=True)
            for life in [*self.lives.values(), *self.dead]:
                await life.bury()

    async def _story(self) -> None:
        for name in ("bob", "alice"):
            await self._start(name)
        until = self.loop.time() + 6.0
        while self.loop.time() < until:
            await asyncio.sleep(self.rng.expovariate(2.0))
            self.log("FAULT", self.nemesis.apply_random(self.faults))
        self.log("HEAL")
        self.healed = True
        self.nemesis.heal_all()
        until = self.loop.time() + SETTLE
        while not self._is_settled():
            if self.loop.time() > until:
                raise InvariantError(
                    "settles", f"unhandled: {[each.uid for each in self.sent if not self._done(each)]}"
                )
            await asyncio.sleep(0.05)
        await self._taken_over()
        for sent in self.sent:
            if not self._done(sent):
                raise InvariantError("none-lost", f"{sent} is lost")
        self.log("CLOSE")

    def _is_settled(self) -> bool:
        if self.restarting or len(self.lives) < 2 or not self.lives["alice"].says_no_more:
            return False
        outbox = self.lives["alice"].manager.snapshot().outbox
        return outbox is not None and not outbox.waiting and all(map(self._done, self.sent))

    def _done(self, sent: Sent) -> bool:
        if sent.handled or sent.lost or sent.receipt is None:
            return True
        # With its sender died the log, with the reader what it had taken and not handled.
        return sent.lane == MEMORY and any(
            life.number == sent.life or (life.name == "bob" and life.died_at >= sent.at) for life in self.dead
        )

    async def _taken_over(self) -> None:
        """Nothing waits any more: memory takes the next message."""
        while True:
            alice = self.lives["alice"]
            sent = Sent(len(self.sent), alice.number, self.loop.time())
            self.sent.append(sent)
            try:
                await alice.manager.drain(timeout=60.0)
                sent.receipt = await alice.manager.send("bob", b"%d " % sent.uid, confirm="processed", timeout=60.0)
            except SessionEndedError:
                continue  # of a reader that died it has heard only now
            sent.lane = sent.receipt[0].lane
            if sent.lane != MEMORY:
                raise InvariantError("takes-over", f"{sent} went through the outbox, which is empty")
            return
