"""One life of one node: its manager, its wires, its consumers, and what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import TYPE_CHECKING, Any

from litz.events import Connecting, Event, LaneMoved, SessionEnded, SessionStarted, WireDown, WireUp, Woke
from litz.manager import MessageStream
from litz.snapshot import DestState
from litz.testing import SimHost
from litz.wire import Endpoint
from outproc.dest_transport import DestTransport
from outproc.local_node import Environment, LocalNode
from outproc.manager import OutprocTransportManager
from outproc.session.session import Session
from tests.simulation.managers.builders import DeafBuilder, WatchedBuilder
from tests.simulation.managers.directory import SimDirectory
from tests.simulation.managers.handlers import Handlers
from tests.simulation.managers.kinds import HUB
from tests.simulation.managers.record import InvariantError

if TYPE_CHECKING:
    from tests.simulation.managers.world import World

NANOSECONDS = 1_000_000_000


class EventTap:
    """Hears of each event in the moment it happens; readers hear of it a turn later."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._log = life.node.events
        self._last: Event | None = None
        self._last_at = 0.0

    @property
    def history(self) -> Any:
        return self._log.history

    def emit(self, event: Event) -> None:
        self._log.emit(event)
        life = self._life
        if isinstance(event, SessionStarted | SessionEnded):
            life.sample()
        if isinstance(event, SessionEnded):
            life.world.checker.resends.ended(life, event)
        if isinstance(event, LaneMoved | WireUp | WireDown):
            self._judge(event)
        elif isinstance(event, Woke):
            life.world.silence_watch.woke(life)
        self._last, self._last_at = event, life.world.loop.time()
        if isinstance(event, WireUp):
            for dest, session in life.sessions():
                if dest == event.dest:
                    life.world.checker.detached.pop(session, None)
        try:
            life.world.ends.heard(life, event)
        except InvariantError as error:
            life.world.failed(error)

    def _judge(self, event: LaneMoved | WireUp | WireDown) -> None:
        world = self._life.world
        try:
            if isinstance(event, LaneMoved):
                world.choosing.moved(self._life, event)
                return
            world.silence_watch.told(self._life, event)
            if isinstance(event, WireDown) and isinstance(self._last, WireUp) and self._last_at == world.loop.time():
                world.choosing.made_room(self._life, self._last, event)
        except InvariantError as error:
            world.failed(error)  # the node would take it for an error of its own


class Life:
    """From one start of a node to its end. `crash` ends it without a word."""

    def __init__(self, world: World, name: str, number: int, *, host: str = "", clock: float = 0.0) -> None:
        self.world = world
        self.name = name
        self.number = number
        self.rng = Random(f"life {world.seed} {number}")
        self.host: SimHost = world.network.host(host or name)
        self.host.clock_offset = clock
        self.options = world.plan.options[name]
        self.manager = self._make_manager()
        self.handlers = Handlers(self)
        world.ends.watch(self)
        self.dialling: dict[tuple[str, Endpoint], asyncio.Task[Any] | None] = {}
        self.dials: dict[tuple[str, Endpoint], int] = {}
        self.broken: dict[tuple[str, Endpoint], int] = {}
        """Wires that were well, and were broken for that, again and again."""
        self.events: list[tuple[int, Event]] = []
        self.pairs: dict[tuple[str, int], str] = {}
        """(dest, index of the session here) -> the incarnation it is with, as far as seen."""
        self.halves: dict[tuple[str, int], int] = {}
        """(dest, counter of this side's half) -> index of that session, as far as seen."""
        self.told_nothing: dict[str, None] = {}
        """Dests of which the directory said last that it knows nothing."""
        self.alive = True
        self.crashed = False
        self.ended = False
        """Nobody reads it any more: it crashed or was closed before the faults were over."""
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.consumers: list[asyncio.Task[Any]] = []
        self._stopping: list[asyncio.Task[Any]] = []
        self.held: MessageStream | None = None
        self._reader: asyncio.Task[Any] | None = None

    def _make_manager(self) -> OutprocTransportManager:
        plan, host = self.world.plan, self.host
        entropy = Random(f"entropy {self.world.seed} {self.number}")
        deaf = plan.deaf and self.rng.random() < 0.7
        watched = [(DeafBuilder if deaf else WatchedBuilder)(self, host, kind) for kind in plan.kinds]
        started = host.wall_time()
        environment = Environment(
            lambda: int(started * NANOSECONDS),
            entropy.randbytes,
            Random(entropy.random()),
            self.world.sleeps.clocks_of(host.name),
        )
        return OutprocTransportManager(
            self.name,
            directory=SimDirectory(self) if plan.directory else self._mapping(),
            authenticator=plan.proofs.authenticator(self.name),
            builders=[*watched, *self.world.relaying.builders(host)],
            options=self.options,
            environment=environment,
        )

    def _mapping(self) -> dict[str, list[str]]:
        plan = self.world.plan
        return {
            other: [f"{kind}://{network_name}:1" for kind in plan.kinds for network_name in self.world.hosts_of(other)]
            for other in plan.names
            if (self.name, other) in plan.dials
        } | self.world.relaying.directory

    @property
    def node(self) -> LocalNode:
        entered = self.manager._entered
        assert entered is not None
        return entered.node

    @property
    def incarnation(self) -> str:
        return str(self.node.incarnation)

    def transports(self) -> list[DestTransport]:
        """Those of its users; the hub is the nodes' own business."""
        entered = self.manager._entered
        return [each for each in entered.dests.transports() if each.dest != HUB] if entered is not None else []

    def sessions(self) -> list[tuple[str, Session]]:
        return [(transport.dest, transport.session) for transport in self.transports()]

    async def start(self) -> None:
        await self.manager.__aenter__()
        self.node.events = EventTap(self)  # type: ignore[assignment]  # all that a node does with it is to emit
        self._reader = self.spawn(self._read_events(), "events")
        self.world.streaming.begin(self)
        self.start_consumers()
        for kind in self.world.plan.kinds:
            await self.manager.listen(f"{kind}://{self.host.name}:1")

    def spawn(self, work: Coroutine[Any, Any, Any], what: str) -> asyncio.Task[Any]:
        task = self.world.loop.create_task(work, name=f"{self} {what}")
        self.tasks[task] = None
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.world.failed(error)

    # -- what it is told ----------------------------------------------------------------------------

    async def _read_events(self) -> None:
        async for number, event in self.manager.events(limit=1_000_000):
            self.world.log(self, event)
            self.events.append((number, event))

    def rounds(self, dest: str) -> int:
        """How often a dest that was not there was dialled because somebody asked for it."""
        return sum(isinstance(event, Connecting) and event.dest == dest for _, event in self.events)

    def sample(self) -> None:
        """Remember which incarnation each session is with."""
        for dest, session in self.sessions():
            self.halves[dest, session.mine.counter] = session.index
            if session.pair is not None:
                self.pairs[dest, session.index] = str(session.pair.yours.incarnation)

    # -- what it reads ------------------------------------------------------------------------------

    def start_consumers(self) -> None:
        how = self.world.plan.consumers[self.name]
        self.handlers.stopping = False
        self.consumers = [self.spawn(each, f"consumer {how}") for each in self.handlers.consumers(how)]

    async def stop_consumers(self) -> None:
        tasks, self.consumers = self.consumers, []
        self._stopping += tasks
        self.handlers.stopping = True
        for task in tasks:
            task.cancel()
        while self._stopping:  # those that somebody else stops too, or the next ones would find them there
            await asyncio.wait(self._stopping)
            self._stopping = [task for task in self._stopping if not task.done()]

    # -- its end ------------------------------------------------------------------------------------

    @property
    def inbox_left(self) -> bool:
        inbox = self.manager._inbox
        return any(
            queue.pending
            for owner in inbox._senders.values()
            for queue in (
                *owner.queues,
                *(b.queue for lane in (owner.signals, *owner.lanes.values()) for b in lane.batches),
                *(b.queue for b in owner.currents),
            )
        )

    async def close(self) -> None:
        """Close in bounded time, and leave nothing."""
        loop = self.world.loop
        self.alive = False
        self.sample()
        began = loop.time()
        await self.manager.aclose()
        took = loop.time() - began
        limit = self.options.close_timeout
        if took > limit and not self.world.stalled_since(began):
            raise InvariantError("closed", f"aclose of {self} took {took:.3f} s, the limit is {limit:g}")
        await self.stop_consumers()
        if self._reader is not None:
            # The log has ended, so the reader ends once it has read all.
            await asyncio.wait([self._reader], timeout=1.0)
        node = self.node
        left = [repr(task) for task in node.tasks]
        if not self.crashed and self.host.alive:
            left += [repr(link) for link in node.links]
        left += [f"state of {t.dest}: {t.state.value}" for t in self.transports() if t.state is not DestState.CLOSED]
        if left:
            raise InvariantError("closed", f"{self} is closed and left {left}")

    def crash(self, *, tell_peers: bool | None) -> None:
        """The process is gone. What its manager does from now on is heard by nobody."""
        self.sample()
        self.alive = False
        self.crashed = self.ended = True
        self.host.crash(tell_peers=tell_peers)
        self.world.later(self.close())

    def __repr__(self) -> str:
        return f"{self.name}{self.number}"
