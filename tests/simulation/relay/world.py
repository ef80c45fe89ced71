"""Nodes that know a hub, and mostly nobody else, on virtual time: what they say to each other arrives.

Invariants
  exactly-once          no message comes twice, and none of another pair comes
  in-order              nor out of order, nor is one left out
  blip                  no session between two nodes ends, however often the hub restarts
  delivered-in-the-end  once the faults are over everything arrives, and only its senders wait for a slow reader
  passed-on             a circuit lives at both nodes and at the hub, or nowhere
  bounded               the hub holds no more than it may
  fair                  circuits to one peer take turns
  closed                everything ends in bounded time and leaves nothing
  typed-errors          errors are those that are documented
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from litz.errors import LitzError
from litz.events import SessionEnded, WireDown, WireUp
from litz.testing import Link, Nemesis, SimLoop, SimNetwork
from outproc import OutprocTransportManager, TransportOptions
from outproc.local_node import Environment
from outproc.relay_options import RelayOptions
from outproc.security import Ed25519Authenticator
from outproc.wires.relay import RelayWireBuilder
from outproc.wires.relay.wire import RelayWire
from tests.simulation import seeds
from tests.simulation.relay.watched_hub import WatchedHub
from tests.simulation.seed_world import SeedWorld

HUB = "hub"
NETWORK_FAULTS = ("reset", "reset one side", "half open", "one-way loss", "remote close", "stall", "delay", "slow link",
                  "partition", "freeze")  # fmt: skip
FAULTS = (*NETWORK_FAULTS, "hub restart", "circuit cut", "hub closes a transport")
PATIENCE = 60.0


class InvariantError(seeds.InvariantError):
    """See the module."""


InvariantError.names = seeds.invariant_names(__doc__)


class World(SeedWorld):
    """One run. `trace` is called with one line per event, or is None."""

    broken = InvariantError

    def __init__(self, loop: SimLoop, seed: int, trace: Callable[[str], None] | None = None) -> None:
        super().__init__(loop, seed, trace)
        self.rng = rng = Random(f"relay {seed}")
        link = Link(latency=rng.choice((0.001, 0.01)), jitter=0.005, bandwidth=rng.choice((None, 1_000_000.0)))
        self.network = SimNetwork(loop, seed=seed, link=link)
        self.hits: Counter[str] = self.network.hits
        self.nemesis = Nemesis(self.network, seed=seed, longest=1.0)
        self.names = ("a", "b", "c", "d")[: rng.choice((2, 3, 3, 4))]
        self.keys = rng.random() < 0.5
        self.direct = rng.random() < 0.3
        self.slow = rng.choice((*self.names, None))
        self.relay = RelayOptions(window=rng.choice((128, 256, 1_024)) << 10, max_buffered=1 << 20)
        self.sizes = rng.choice(((5, 60, 300), (300, 20_000, 60_000)))
        self.hits.update({"sealed": self.keys, "direct as well": self.direct, "slow reader": self.slow is not None})
        self.started = 0
        self.nodes: dict[str, OutprocTransportManager] = {}
        self.builders: dict[str, RelayWireBuilder] = {}
        self.hub: WatchedHub | None = None
        self.healed = False
        self.unblocked = asyncio.Event()
        self.sent: Counter[tuple[str, str]] = Counter()
        self.got: Counter[tuple[str, str]] = Counter()
        self.heals = self.delivered = 0
        for name, action in (
            ("hub restart", self._restart_hub),
            ("circuit cut", self._cut_circuit),
            ("hub closes a transport", self._close_transport),
        ):
            self.nemesis.add(name, action)

    def fail(self, name: str, detail: str) -> None:
        """An invariant does not hold."""
        self.failed(InvariantError(name, detail))

    # -- nodes ----------------------------------------------------------------------------------------

    async def start(self, name: str) -> OutprocTransportManager:
        self.started += 1
        number, host = self.started, self.network.host(name)
        chance = Random(f"{self.seed} {number}")
        builder = self.builders[name] = RelayWireBuilder(via=None if name == HUB else [HUB])
        known = [other for other in self.names if self.direct and other != name] if name != HUB else []
        manager = self.nodes[name] = OutprocTransportManager(
            name,
            directory={other: [f"sim://{other}:1"] for other in (*known, *([HUB] if name != HUB else []))},
            builders=[host.builder(max_frame=[4_096, 9_000, 65_536], secure=not self.keys), builder],
            authenticator=self._proof(name) if self.keys else None,
            options=TransportOptions(ping_after=1.0, dead_after=1.0, window_size=200_000, max_message=100_000),
            environment=Environment(lambda: number, chance.randbytes, chance),
            relay=self.relay if name == HUB else None,
        )
        await manager.__aenter__()
        await manager.listen(f"sim://{name}:1")
        if name == HUB:
            assert builder.hub is not None
            self.hub = WatchedHub(self, builder.hub)
        return manager

    def _proof(self, name: str) -> Ed25519Authenticator:
        everybody = {other: Ed25519Authenticator(other.encode().ljust(32, b".")) for other in (*self.names, HUB)}
        return Ed25519Authenticator(name.encode().ljust(32, b"."), {n: k.public_key for n, k in everybody.items()})

    # -- faults ---------------------------------------------------------------------------------------

    def _restart_hub(self) -> bool:
        old = self.nodes.pop(HUB, None)
        if old is None:
            return False
        self.hub = None
        in_order = self.rng.random() < 0.5
        if not in_order:
            self.network.host(HUB).crash(tell_peers=self.rng.choice((True, False, None)))

        async def again() -> None:
            if in_order:
                await old.aclose()
            await asyncio.sleep(self.rng.random() * 0.5)
            await self.start(HUB)

        if not in_order:
            self.later(old.aclose())
        self.later(again())
        return True

    def _wires(self) -> list[RelayWire]:
        clients = [builder._client for name, builder in self.builders.items() if name != HUB]
        hubs = [hub for client in clients if client is not None for hub in client._hubs.values()]
        return [wire for hub in hubs for wire in hub.wires.values()]

    def _cut_circuit(self) -> bool:
        wires = self._wires()
        if wires:
            self.rng.choice(wires).abort()
        return bool(wires)

    def _close_transport(self) -> bool:
        hub = self.nodes.get(HUB)
        if hub is None or not hub.list_dests():
            return False
        dest = self.rng.choice(hub.list_dests())

        self.later(hub.close_transport(dest))
        return True

    # -- users ----------------------------------------------------------------------------------------

    async def _send(self, name: str, dest: str) -> None:
        rng = Random(f"{self.seed} {name} {dest}")
        for number in range(rng.choice((20, 60, 120))):
            body = f"{name} {dest} {number} ".encode()
            body += rng.randbytes(max(0, rng.choice(self.sizes) - len(body)))
            while True:
                try:
                    await self.nodes[name].send(dest, body, when_down=rng.choice(("queue", None)))
                    break
                except LitzError as error:
                    self.log(name, dest, number, repr(error))
                    await asyncio.sleep(0.1)
            self.sent[name, dest] += 1
            if rng.random() < 0.5:
                await asyncio.sleep(rng.random() * 0.05)

    async def _read(self, name: str) -> None:
        async for message in self.nodes[name].messages():
            sender, dest, number = bytes(message.data).split(b" ", 3)[:3]
            pair = (sender.decode(), dest.decode())
            if pair != (message.sender, name) or int(number) < self.got[pair]:
                self.fail("exactly-once", f"{name} got {pair} {int(number)} of {message.sender} again, or by mistake")
            if int(number) > self.got[pair]:
                self.fail("in-order", f"{name} got {int(number)} of {pair} instead of {self.got[pair]}")
            self.got[pair] += 1
            self.delivered += 1
            if name == self.slow and not self.unblocked.is_set():
                await self.unblocked.wait()

    async def _follow(self, name: str) -> None:
        async for _, event in self.nodes[name].events(limit=100_000):
            self.log(name, event)
            if isinstance(event, SessionEnded) and event.dest in self.names and not self.healed:
                self.fail("blip", f"the session of {name} with {event.dest} ended: {event.reason} {event.detail}")
            if isinstance(event, WireUp) and event.kind == "relay":
                self.hits["relayed"] += 1
            if isinstance(event, WireDown) and event.kind == "relay":
                self.hits["circuit closed"] += 1
                self.heals += 1

    # -- the run --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Faults, healing, the end. Raises what went wrong first."""
        story = self.loop.create_task(self._story(), name="story")
        try:
            await asyncio.wait([story, self._failure], return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                await self._failure
            await story
        finally:
            self._failure.cancel()
            for manager in self.nodes.values():
                manager._home.open = False  # a run that failed must not also warn of unclosed managers
            if not story.done():
                story.cancel()
                await asyncio.wait([story])

    async def _story(self) -> None:
        await self.start(HUB)
        for name in self.names:
            await self.start(name)
        pairs = [(name, dest) for name in self.names for dest in self.names if name != dest]
        senders = [self.later(self._send(*pair)) for pair in pairs]
        readers = [self.later(work(name)) for name in self.names for work in (self._read, self._follow)]
        await self._trouble()
        self.log("HEAL")
        self.nemesis.heal_all()
        await self._until("the hub is up", lambda: HUB in self.nodes and not self._restarting())
        # Whoever sends to the slow reader waits for it, and nobody else does.
        free = [pair for pair in pairs if pair[1] != self.slow]
        await self._until_delivered(free, senders)
        self.unblocked.set()
        await self._until_delivered(pairs, senders)
        await self._until("circuits live at both ends", self._circuits_agree, "passed-on")
        self.log("CLOSE")
        self.healed = True
        for name in (*self.names, HUB):
            await self.nodes[name].aclose()
        await asyncio.wait(readers)
        while self._tasks:
            await asyncio.wait(list(self._tasks), timeout=60.0)

    def _restarting(self) -> bool:
        return self.hub is None

    def _circuits_agree(self) -> bool:
        assert self.hub is not None
        return len(self._wires()) == 2 * self.hub.switch.circuits

    async def _until_delivered(self, pairs: list[tuple[str, str]], senders: list[asyncio.Task[Any]]) -> None:
        by_pair = dict(zip([(n, d) for n in self.names for d in self.names if n != d], senders, strict=True))

        def arrived() -> bool:
            return all(by_pair[pair].done() and self.got[pair] == self.sent[pair] for pair in pairs)

        await self._until("all was delivered", arrived)

    async def _until(self, what: str, met: Callable[[], bool], name: str = "delivered-in-the-end") -> None:
        end = self.loop.time() + PATIENCE
        while not met():
            self._look()
            if self.loop.time() > end:
                raise InvariantError(name, f"not within {PATIENCE:g} s: {what}: {dict(self.got)} of {dict(self.sent)}")
            await asyncio.sleep(0.02)

    async def _trouble(self) -> None:
        end = self.loop.time() + 3.0
        await asyncio.sleep(0.2)
        while self.loop.time() < end:
            await asyncio.sleep(self.rng.expovariate(5.0))
            self.log("FAULT", self.nemesis.apply_random(FAULTS))
            self._look()

    def _look(self) -> None:
        if self.hub is not None:
            self.hub.check()
            self.hits["window"] += any(
                leg.window > 2 * 65_600 for peer in self.hub.switch._peers.values() for leg in peer.legs.values()
            )
