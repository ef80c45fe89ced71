"""Managers on one network in memory, on virtual time, for tests of the drivers of `outproc`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, TypeVar

from litz.events import Event
from litz.manager import EventStream
from litz.testing import SimLoop, run_simulation
from litz.wire import Endpoint, Wire, WirePath
from outproc import OutprocTransportManager, TransportOptions
from outproc.local_node import Environment
from outproc.network_watch import NetworkSource
from outproc.security import Authenticator
from outproc.wake_watch import SleepClocks
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder

Result = TypeVar("Result")
Found = TypeVar("Found", bound=Event)


def virtual(scenario: Callable[[], Awaitable[Result]], seed: int = 1, *, max_time: float = 3600.0) -> Result:
    """Run on virtual time: what waits for ever fails at once, and nothing may be left behind."""

    async def main(loop: SimLoop) -> Result:
        return await scenario()

    return run_simulation(main, seed=seed, max_time=max_time).value


class WatchedBuilder(MemoryWireBuilder):
    """Keeps every wire it dialled, fails as told, and notes each dial with its time."""

    def __init__(self, network: MemoryNetwork) -> None:
        super().__init__(network)
        self.wires: list[Wire] = []
        self.dials: list[tuple[str, float]] = []
        self.errors: dict[str, BaseException] = {}
        """What dialling an address raises."""
        self.ends: tuple[str, str] | None = None
        """The addresses of this host and the other one that dialled wires have; None: they stay in this process."""
        self.gates: dict[str, asyncio.Event] = {}
        """Dialling an address waits for it."""

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        self.dials.append((endpoint.address, asyncio.get_running_loop().time()))
        if endpoint.address in self.gates:
            await self.gates[endpoint.address].wait()
        if endpoint.address in self.errors:
            raise self.errors[endpoint.address]
        wire = await super().build(dest, endpoint)
        if self.ends is not None:
            wire.path = WirePath("direct", *self.ends)
        self.wires.append(wire)
        return wire

    def is_local(self, endpoint: Endpoint) -> bool:
        return self.ends is None

    def cut(self) -> None:
        """Break every wire there is."""
        for wire in self.wires:
            wire.abort()


class Town:
    """One network; managers are made by name and differ only in what is said."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.builders: dict[str, WatchedBuilder] = {}
        self._chance = Random(7)

    def manager(
        self,
        name: str,
        *,
        knows: Any = None,
        authenticator: Authenticator | None = None,
        sleeps: bool = False,
        network: Callable[[], NetworkSource] | None = None,
        **options: Any,
    ) -> OutprocTransportManager:
        """`knows` is the directory: by default everybody listens at `memory:<name>`. One that `sleeps` notices when the
        machine does (`SimLoop.suspend`). `network` opens what tells of this host's network."""
        builder = self.builders[name] = WatchedBuilder(self.network)
        directory = Everybody() if knows is None else knows
        chance = Random(self._chance.random())
        clock = len(self.builders)
        return OutprocTransportManager(
            name,
            builders=[builder],
            directory=directory,
            authenticator=authenticator,
            options=TransportOptions(**options),
            environment=Environment(lambda: clock, chance.randbytes, chance, _clocks() if sleeps else None, network),
        )


def _clocks() -> SleepClocks:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return SleepClocks(loop.time, loop.boot_time)


class Everybody:
    """A directory in which each dest listens at its own name."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def look_up(self, dest: str) -> Sequence[str]:
        self.asked.append(dest)
        return [f"memory:{dest}"]


async def event_of(events: EventStream, kind: type[Found]) -> Found:
    """The next event of this kind."""
    async for _, event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"the events ended without a {kind.__name__}")


async def take(manager: OutprocTransportManager, count: int) -> list[bytes]:
    """The data of the next messages."""
    got: list[bytes] = []
    async for message in manager.messages():
        got.append(bytes(message.data))
        if len(got) == count:
            break
    return got


async def turns(count: int = 50) -> None:
    """Let what is ready run; no time passes."""
    for _ in range(count):
        await asyncio.sleep(0)
