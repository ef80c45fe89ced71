"""A stage for stories: a few nodes on virtual time, told exactly what happens to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from random import Random
from typing import Any

from litz.events import Event
from litz.message import Message
from litz.testing import SimLoop, SimNetwork, SimRun, SimWireBuilder, run_simulation
from outproc.addressing import Directory
from outproc.local_node import Environment
from outproc.manager import OutprocTransportManager
from outproc.options import TransportOptions


class Actor:
    """One node of a story."""

    def __init__(self, stage: Stage, manager: OutprocTransportManager, builders: list[SimWireBuilder]) -> None:
        self.stage = stage
        self.manager = manager
        self.builders = builders
        self.got: list[bytes] = []
        self.messages: list[Message] = []
        """The same, whole."""
        self.events: list[Event] = []
        self._tasks: list[asyncio.Task[Any]] = []

    @property
    def dials(self) -> int:
        """How often it dialled, by all its builders."""
        return sum(builder.dials for builder in self.builders)

    def listen_in(self) -> None:
        """Read its messages into `got` and its events into `events`, from now on."""
        self._tasks = [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._follow())]

    async def _read(self) -> None:
        async for message in self.manager.messages():
            self.got.append(message.data)
            self.messages.append(message)
            if message.is_request:
                await message.reply(message.data)

    async def _follow(self) -> None:
        async for _, event in self.manager.events():
            self.events.append(event)

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    async def stop_listening(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def until(self, met: Callable[[], bool], *, seconds: float = 30.0) -> None:
        """Wait until `met`, looked at every 5 ms of virtual time. AssertionError after `seconds`."""
        end = self.stage.loop.time() + seconds
        while not met():
            assert self.stage.loop.time() < end, f"not within {seconds} s: {self.manager.snapshot()}"
            await asyncio.sleep(0.005)


class Stage:
    """See the module. `reach` says who has endpoints of whom; `kinds` the kinds of wire there are."""

    def __init__(self, loop: SimLoop, stack: AsyncExitStack) -> None:
        self.loop = loop
        self.network = SimNetwork(loop, seed=1)
        self.network.default_link.latency = 0.01
        self._stack = stack
        self._made = 0

    async def actor(
        self,
        name: str,
        *,
        reach: Iterable[str] = (),
        host: str = "",
        kinds: tuple[str, ...] = ("sim",),
        clock: float = 0.0,
        listen: bool = True,
        directory: Directory | None = None,
        natures: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> Actor:
        """Start a node. `reach`: hosts (named as their nodes) that it has endpoints of, unless there is a `directory`.
        `clock`: seconds its wall clock is ahead. `natures`: what wires of a kind are like, see `SimHost.builder`."""
        self._made += 1
        machine = self.network.host(host or name)
        machine.clock_offset = clock
        rng = Random(self._made)
        started = machine.wall_time()
        builders = [machine.builder(kind, **(natures or {}).get(kind, {})) for kind in kinds]
        manager = OutprocTransportManager(
            name,
            directory=directory or {dest: [f"{kind}://{dest}:1" for kind in kinds] for dest in reach},
            builders=builders,
            options=TransportOptions(**options),
            environment=Environment(lambda: int(started * 1e9), rng.randbytes, rng),
        )
        await self._stack.enter_async_context(manager)
        if listen:
            for kind in kinds:
                await manager.listen(f"{kind}://{machine.name}:1")
        actor = Actor(self, manager, builders)
        self._stack.push_async_callback(actor.stop_listening)
        actor.listen_in()
        return actor

    async def crash(self, actor: Actor, *, tell_peers: bool = True) -> None:
        """The process of `actor` is gone without a word."""
        actor.builders[0].host.crash(tell_peers=tell_peers)
        await actor.stop_listening()
        closing = asyncio.ensure_future(actor.manager.aclose())
        self._stack.push_async_callback(asyncio.wait, [closing])

    def cut(self) -> None:
        """Reset every connection."""
        for connection in list(self.network.connections):
            connection.reset()


Story = Callable[[Stage], Awaitable[None]]


def play(story: Story, *, seed: int = 1, shuffle: bool = True) -> SimRun[None]:
    """Run a story to its end; everything is closed then, and nothing may be left."""

    async def main(loop: SimLoop) -> None:
        async with AsyncExitStack() as stack:
            await story(Stage(loop, stack))

    return run_simulation(main, seed=seed, shuffle=shuffle)


def texts(messages: Iterable[Message]) -> list[bytes]:
    return [message.data for message in messages]
