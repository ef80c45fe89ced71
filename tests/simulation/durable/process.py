"""One process of one node: its manager with an outbox and an inbox, its user and its handlers, until it is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from litz.errors import ManagerStateError, MessageDroppedError
from litz.message import Message
from litz.payload import PayloadType
from litz.testing import SimHost
from outproc.local_node import Environment
from outproc.manager import OutprocTransportManager
from outproc.options import TransportOptions
from outproc.outbox import Inbox, InboxOptions, Outbox, OutboxFullError, OutboxOptions, StoreError, StoreFencedError
from outproc.outbox.store import NewRow
from tests.simulation.durable.disks import insert_effect
from tests.simulation.durable.record import InvariantError, Sent, uid_of
from tests.simulation.durable.store_runner import SimRunner
from tests.simulation.durable.watched_stores import WatchedInbox, WatchedOutbox

if TYPE_CHECKING:
    from tests.simulation.durable.world import World

CLOSE: float = 3.0
NANOSECONDS = 1_000_000_000
FOR_EVER = 1e7
RETRIED = 200_000
"""Bytes of dead letters that may become messages again."""


class Process:
    """See the module. `kill` ends it without a word, `close` in order."""

    def __init__(self, world: World, name: str, host: str, *, with_inbox: bool = True) -> None:
        self.world = world
        self.name = name
        self.number = len(world.processes)
        self.rng = Random(f"process {world.seed} {self.number}")
        self.host: SimHost = world.network.host(host)
        self.host.clock_offset = world.clock_offsets.get(name, 0.0)
        self.began = world.loop.time()
        self.file = world.outboxes[name]
        self.ledger = world.ledgers[name]
        self.alive = True
        self.ready = False
        self.gone = False
        """It has left its host."""
        self.loses_all = False
        """Its file is not that of its node any more."""
        self.max_message = world.plan.max_message if self.rng.random() < 0.7 or world.healed else 1 << 20
        self.how = self.rng.choice(world.plan.handlers)
        self.runners: list[SimRunner] = []
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.sending: dict[asyncio.Task[Any], None] = {}
        self._make_manager(with_inbox=with_inbox)

    def _make_manager(self, *, with_inbox: bool) -> None:
        world, plan, host = self.world, self.world.plan, self.host
        entropy = Random(f"entropy {world.seed} {self.number}")
        limits = {"lock_timeout": 0.01, "synchronous": "off"}
        self.outbox = Outbox(
            WatchedOutbox(self, self.file.store(), world.disks[self.name]),
            OutboxOptions(
                **limits,  # type: ignore[arg-type]  # pydantic checks it
                revisit=plan.revisit,
                max_age=plan.max_age,
                max_attempts=plan.max_attempts,
                max_bytes=plan.max_bytes,
            ),
            runner=partial(self._runner, self.name),
        )
        self.inbox = Inbox(
            WatchedInbox(self, world.inboxes[self.name].store(), world.disks["inbox of " + self.name]),
            InboxOptions(window_messages=plan.window_messages, window_bytes=plan.window_bytes),
            runner=partial(self._runner, "inbox of " + self.name),
        )
        self.manager = OutprocTransportManager(
            self.name,
            directory={
                other: [f"sim://{at}:1" for at in (other, other + "x")] for other in plan.names if other != self.name
            },
            builders=[host.builder(max_frame=[700, 65_536])],
            options=TransportOptions(
                max_message=self.max_message,
                session_kept=plan.session_kept,
                backoff_base=0.02,
                backoff_cap=1.0,
                ping_after=plan.ping_after,
                dead_after=plan.ping_after,
                stable_after=1.0,
                close_timeout=CLOSE,
            ),
            outbox=self.outbox,
            inbox=self.inbox if with_inbox else None,
            environment=Environment(
                lambda: int(host.wall_time() * NANOSECONDS), entropy.randbytes, Random(entropy.random())
            ),
        )

    def _runner(self, disk: str, _name: str, loop: asyncio.AbstractEventLoop) -> SimRunner:
        self.runners.append(SimRunner(loop, self.world.disks[disk], self.world.failed))
        return self.runners[-1]

    async def start(self) -> None:
        """Afterwards it is `ready`, or not `alive` because a file could not be opened."""
        try:
            await self.manager.__aenter__()
        except StoreError as error:
            self.world.hits[f"not opened: {type(error).__name__}"] += 1
            self.alive = False
            self.gone = True
            self.manager._home.open = False
            return
        if self.was_killed():
            return
        try:
            await self.manager.listen(f"sim://{self.host.name}:1")
        except OSError:
            if not self.was_killed():
                raise
            return
        self.ready = True
        self.spawn(self._consume())
        if not self.world.healed:
            self.spawn(self._use())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self.world.loop.create_task(work, name=f"{self}")
        self.tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)
        self.sending.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.world.failed(error)

    # -- the user -----------------------------------------------------------------------------------

    async def _use(self) -> None:
        world, rng = self.world, self.rng
        dests = [other for name, other in world.plan.pairs if name == self.name]
        while dests and world.left > 0:
            await asyncio.sleep(rng.expovariate(4.0))
            if world.healed:
                return  # what is sent while all close stays in the outbox, for the next life
            for _ in range(min(world.left, rng.choice((1, 1, 2, 5, 20)))):
                world.left -= 1
                task = self.spawn(self._send(rng.choice(dests)))
                self.sending[task] = None
                if rng.random() < 0.1:
                    world.timers.append(world.loop.call_later(rng.random() * 0.1, task.cancel))

    async def _send(self, dest: str) -> None:
        rng, world = self.rng, self.world
        size = rng.choice((5, 5, 5, 40, 400, 1_500, 3_000 if rng.random() < 0.5 else 120_000))
        sent = world.checker.new(self, dest, min(size, self.max_message), rng.choice(("", "", "key")))
        sent.excused = self.loses_all
        confirm = rng.random() < 0.2
        try:
            await self.manager.send(
                dest,
                sent.data,
                payload_type=PayloadType.RPC_DURABLE,
                key=sent.key or None,
                confirm="durable" if confirm else None,
            )
        except MessageDroppedError:
            sent.state = "accepted"  # it is a dead letter
        except (StoreFencedError, ManagerStateError) as error:
            sent.state = "doubtful"
            world.hits[type(error).__name__] += 1
        except (OutboxFullError, StoreError) as error:
            sent.state = "refused"
            world.hits[type(error).__name__] += 1
        except asyncio.CancelledError:
            sent.state = "doubtful"
            raise
        else:
            world.checker.accepted(sent, confirmed=confirm)
            world.hits["confirmed"] += confirm

    # -- the handlers -------------------------------------------------------------------------------

    async def _consume(self) -> None:
        self.world.hits[f"handlers: {self.how}"] += 1
        if self.how == "read":
            async for message in self.manager.messages():
                self._begin(message, plain=True)
                await asyncio.sleep(self.rng.random() * 0.02)
        else:
            await self.manager.serve(self._handle, concurrency=8 if self.how == "apply many" else None)

    def _begin(self, message: Message, *, plain: bool) -> Sent:
        try:
            sent = self.world.checker.handed(self, message)
        except InvariantError as error:
            self.world.failed(error)  # litz would take it for an error of the handler
            return self.world.checker.sent[0]
        sent.plain |= plain
        self.world.log(self, "handles", sent, "again" if message.redelivered else "")
        return sent

    async def _handle(self, message: Message) -> None:
        sent = self._begin(message, plain=self.how == "plain")
        poison = self.world.plan.poison
        if poison and sent.uid % poison == 5 and not sent.retried:
            self.world.hits["poison"] += 1
            self.world.kill_soon(self)
            await asyncio.sleep(FOR_EVER)
        await asyncio.sleep(self.rng.random() ** 4 * 0.2)
        if self.how == "plain":
            return
        if self.rng.random() < 0.05:
            await self._fail_once(message)
        await self.inbox.apply(message, partial(insert_effect, uid=sent.uid))

    async def _fail_once(self, message: Message) -> None:
        """A work that raises leaves nothing, and the handler may mend it."""

        def bad(db: Any) -> None:
            insert_effect(db, uid_of(message.data))
            raise KeyError("on purpose")

        try:
            await self.inbox.apply(message, bad)
        except KeyError:
            self.world.hits["effect failed"] += 1

    def retried(self, first: int, now: float) -> None:
        """Dead letters became messages again, from sequence `first` on."""
        for sequence, data in self.file.rows() if self.ledger is self.world.ledgers[self.name] else ():
            if sequence >= first and sequence not in self.ledger.rows:
                sent = self.world.checker.sent[uid_of(data)]
                sent.retried = True
                self.ledger.rows[sequence] = NewRow(sequence, sent.dest, sent.key, now, data)

    # -- looking at it ------------------------------------------------------------------------------

    def was_killed(self) -> bool:
        return not self.alive

    def is_running(self) -> bool:
        return self.alive and self.ready

    def is_idle(self) -> bool:
        """Whether nothing waits, neither to be sent nor to be handled."""
        if not self.is_running():
            return False
        if self.sending or self.outbox.backlog() or self.inbox.snapshot().waiting:
            return False
        file = self.world.outboxes[self.name]  # what it has just made of dead letters, its process may not know yet
        return not (file.retries() or file.rows())

    def check_bounds(self) -> None:
        """Complain if something is larger than its limit."""
        plan = self.world.plan
        told = self.outbox.snapshot()
        if told.waiting_bytes > plan.max_bytes + RETRIED:
            raise InvariantError("bounded", f"{self} holds {told.waiting_bytes} bytes")
        senders = sum(other == self.name for _, other in plan.pairs)
        if self.inbox.snapshot().waiting > (2 * plan.window_messages + 1) * (senders + len(self.world.two_heads) * 4):
            raise InvariantError("bounded", f"{self} has taken {self.inbox.snapshot().waiting} messages")

    # -- its end ------------------------------------------------------------------------------------

    def kill(self, *, keep: bool) -> None:
        """Gone without a word. What its manager does from now on is heard by nobody. `keep`: the commit that is under
        way is there afterwards."""
        if not self.alive:
            return
        self.alive = False
        self.world.log(self, "is killed")
        for runner in self.runners:
            runner.kill(keep=keep)
        self.host.crash(tell_peers=None)
        self.gone = True
        self.world.later(self._bury())

    async def close(self) -> None:
        """In bounded time, and leaves nothing."""
        self.alive = False
        loop = self.world.loop
        began = loop.time()
        await self.manager.aclose()
        if loop.time() - began > CLOSE + 0.5:
            raise InvariantError("closed", f"closing {self} took {loop.time() - began:.3f} s")
        await self._bury()
        self.host.crash(tell_peers=True)
        self.gone = True

    async def _bury(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        while self.tasks:
            await asyncio.wait(list(self.tasks))
        await self.manager.aclose()

    def __repr__(self) -> str:
        return f"{self.name}{self.number}"
