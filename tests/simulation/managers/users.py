"""What the users of a node do: every verb, at random, alone and many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from litz.errors import BackpressureError, ConnectError, LitzError, PeerRestartedError, SessionExpiredError
from litz.message import Receipt
from litz.payload import PayloadType
from outproc.session.limits import Overflow
from tests.simulation.managers.asking import Asker
from tests.simulation.managers.plan import LANES
from tests.simulation.managers.record import PLAIN, InvariantError, Sent, payload

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life

T = TypeVar("T")


class User:
    """Calls the verbs of one life."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.world = life.world
        self.rng = Random(f"user {life.world.seed} {life.number}")
        asker = Asker(self)
        self.acts: list[tuple[Callable[[str], Coroutine[Any, Any, None]], float]] = [
            (self.burst, 8),
            (self.burst_nowait, 3),
            (self.confirmed, 3),
            (asker.asks, 3),
            (asker.gives_up_asking, 1.5),
            (self.drains, 1),
            (self.line, 3),
            (self.cancelled, 3),
            (self.looks, 1),
            (self.reconnects, 0.5),
            (self.floods, 0.5),
        ]

    async def run(self) -> None:
        """Act, with pauses, until the calls of the plan are made or the faults are over."""
        plan = self.world.plan
        others = [name for name in plan.names if name != self.life.name]
        for _ in range(plan.calls):
            await asyncio.sleep(self.rng.random() * 2 * plan.seconds / plan.calls)
            if self.world.healed or not self.life.alive:
                return
            act = self.rng.choices([act for act, _ in self.acts], [weight for _, weight in self.acts])[0]
            self.life.spawn(self.typed(act, self.rng.choice(others)), act.__name__)

    async def typed(self, act: Callable[[str], Coroutine[Any, Any, None]], dest: str) -> None:
        self.world.log(self.life, "user", act.__name__, dest)
        try:
            await act(dest)
        except (LitzError, TimeoutError) as error:
            self.world.log(self.life, act.__name__, type(error).__name__, error)
            if isinstance(error, ConnectError) and "given up" in str(error) and not self.world.closings:
                raise InvariantError("one-dial", f"{self.life}: nobody closed anything, but: {error}") from error
            self.world.hits[f"error {type(error).__name__}"] += 1
        except InvariantError:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and not task.cancelling() and not self.life.crashed:
                raise InvariantError("typed-errors", f"{self.life}: {act.__name__} was cancelled by nobody") from error
            raise
        except Exception as error:
            raise InvariantError("typed-errors", f"{self.life}: {act.__name__} raised {error!r}") from error

    # -- the messages -------------------------------------------------------------------------------

    def make(self, dest: str, lane: int, what: int = PLAIN) -> Sent:
        checker = self.world.checker
        size = self.rng.choice(self.world.plan.sizes[self.life.name])
        return checker.send(self.life, dest, lane, payload(len(checker.sent), what, size))

    def shape(self, data: bytes) -> Any:
        """As bytes, or as something else that is a payload."""
        match self.rng.randint(0, 5):
            case 0:
                cut = self.rng.randint(0, len(data))
                return [data[:cut], bytearray(data[cut:])]
            case 1:
                return memoryview(data)
            case _:
                return data

    async def send(self, sent: Sent, **options: Any) -> Receipt | None:
        """One `send`, with what became of it."""
        confirm = options.get("confirm")
        policy = self.life.options.overflow.get(PayloadType(sent.lane), Overflow.BLOCK)
        options = self.world.ends.options(self.life, sent.dest, options)
        try:
            receipt = await self.life.manager.send(
                sent.dest, self.shape(sent.data), payload_type=PayloadType(sent.lane), **options
            )
        except (TimeoutError, asyncio.CancelledError):
            sent.state = "doubtful"
            raise
        except LitzError as error:
            sent.state = "doubtful" if confirm else "refused"
            if isinstance(error, BackpressureError) and policy is Overflow.BLOCK:
                raise InvariantError("no-starving", f"send was refused on a lane that waits: {error}") from error
            ended = isinstance(error, PeerRestartedError | SessionExpiredError)
            if ended and confirm == "received" and not error.lost:  # type: ignore[attr-defined]  # of all that ended
                raise InvariantError("loud", f"{sent!r} waits no more, and nothing is lost: {error}") from error
            raise
        self.world.checker.accepted(sent, receipt)
        sent.confirmed = confirm is not None
        return receipt

    # -- acts ---------------------------------------------------------------------------------------

    async def burst(self, dest: str) -> None:
        lane = self.rng.choice(LANES)
        options = {"when_down": self.rng.choice((None, None, "queue", "wait", "fail"))}
        spread = self.rng.random() < 0.9
        for _ in range(self.rng.randint(1, 12)):
            sent = self.make(dest, lane)
            await self.send(sent, **options)
            if spread and self.rng.random() < 0.5:
                self.world.mover.spread(self.life, dest, lane)

    async def floods(self, dest: str) -> None:
        """More than the wires take at once, on both bulk lanes."""
        await asyncio.gather(
            self._flood(dest, PayloadType.RPC_RELIABLE), self._flood(dest, PayloadType.STREAM_RELIABLE)
        )

    async def _flood(self, dest: str, lane: PayloadType) -> None:
        for _ in range(40):
            if self.world.healed:
                return  # with a window of one message the rest would take longer than healing may
            await self.send(self.make(dest, lane))
            if self.rng.random() < 0.2:
                self.world.mover.spread(self.life, dest, lane)

    async def burst_nowait(self, dest: str) -> None:
        lane = self.rng.choice(LANES)
        for _ in range(self.rng.randint(1, 12)):
            sent = self.make(dest, lane)
            closing = [
                transport for transport in self.life.transports() if transport.dest == dest and transport.closing
            ]
            try:
                receipt = self.life.manager.send_nowait(dest, self.shape(sent.data), payload_type=PayloadType(lane))
            except LitzError:
                sent.state = "refused"
                raise
            if closing:
                raise InvariantError("loud", f"{sent!r} was accepted by {closing[0]!r}, which can never carry it")
            self.world.checker.accepted(sent, receipt)

    async def confirmed(self, dest: str) -> None:
        lane = self.rng.choice((PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE))
        confirm = self.rng.choice(("received", "processed"))
        timeout = self.rng.choice((None, 0.3, 2.0))
        for _ in range(self.rng.randint(1, 3)):
            sent = self.make(dest, lane)
            await self.send(sent, confirm=confirm, timeout=timeout)

    async def drains(self, dest: str) -> None:
        await self.life.manager.drain(self.rng.choice((dest, None)), timeout=self.rng.choice((0.05, 1.0)))
        self.world.hits["drained"] += 1

    async def line(self, dest: str) -> None:
        """Many senders at once: those who wait are served in turn."""
        lane = self.rng.choice((PayloadType.RPC_RELIABLE, PayloadType.STREAM_RELIABLE))
        group = [self.make(dest, lane) for _ in range(self.rng.randint(2, 8))]
        tasks = [self.life.spawn(self._typed_send(sent), f"send {sent.uid}") for sent in group]
        if self.rng.random() < 0.3:
            await asyncio.sleep(self.rng.random() * 0.1)
            await self._cancel(self.rng.sample(tasks, 1))
        if tasks:
            await asyncio.wait(tasks)
        numbers = [(s.receipt[0].session, s.receipt[1]) for s in group if s.receipt is not None]
        if numbers != sorted(numbers) and not self.life.options.overflow:
            raise InvariantError("no-starving", f"{self.life}: senders overtook each other in the line: {numbers}")

    async def _typed_send(self, sent: Sent) -> None:
        await self.typed(lambda dest: _nothing(self.send(sent)), sent.dest)

    async def cancelled(self, dest: str) -> None:
        """Sends cancelled at any moment: wholly accepted or not at all, and nobody else is disturbed."""
        lane = self.rng.choice(LANES)
        group = [self.make(dest, lane) for _ in range(self.rng.randint(1, 6))]
        tasks = [self.life.spawn(self._typed_send(sent), f"send {sent.uid}") for sent in group]
        for task in self.rng.sample(tasks, self.rng.randint(1, len(tasks))):
            for _ in range(self.rng.randint(0, 4)):
                await asyncio.sleep(0)
            if self.rng.random() < 0.3:
                await asyncio.sleep(self.rng.random() * 0.2)
            task.cancel()
        await asyncio.wait(tasks)

    async def looks(self, dest: str) -> None:
        manager = self.life.manager
        manager.snapshot()
        repr(manager)
        if (manager.has_dest(dest) is not None) != (dest in manager.list_dests()):
            raise InvariantError("events", f"{self.life}: has_dest and list_dests differ about {dest}")
        await manager.wait_connected(dest, timeout=self.rng.choice((0.05, 1.0)))

    async def reconnects(self, dest: str) -> None:
        await self.life.manager.reconnect(dest, self.rng.choice((None, *self.world.plan.kinds)))

    async def _cancel(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _nothing(awaitable: Awaitable[T]) -> None:
    await awaitable
