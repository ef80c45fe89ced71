"""A node that travels: its addresses and routes change, it sleeps, it is offline for a day, and its peers restart. With
the limits that users have, on virtual time; each act is judged before the next one begins.

Invariants
  exactly-once     what a peer gets is in order and never twice; what is missing is on the list of a session's end
  found            a wire that died of a change or in a sleep is given up within the bounds of docs/limits.md
  untouched        a wire that still carries is not dialled again, whatever else changed
  calm             a storm of news is one or two actions, and dials nobody
  back             what was away is connected again within the bounds
  seldom           a day offline costs no more dials than a cold dest may have
  kept             a sleep within the time a session is kept resumes it; in a longer one it ends, soon and loudly
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from random import Random

from litz.errors import LitzError
from litz.events import DestCold, Event, NetworkChanged, SessionEnded, Woke
from litz.testing import SimHost, SimLoop, SimNetwork, SimWireBuilder
from litz.wire import Endpoint, Wire, WirePath
from outproc.hastening import EACH
from outproc.keeping import AFTER_WAKE
from outproc.link import Link
from outproc.local_node import Environment
from outproc.manager import OutprocTransportManager
from outproc.network_news import LONGEST, NetworkState, Way
from outproc.options import TransportOptions
from outproc.wake_watch import EVERY, SleepClocks
from tests.simulation import seeds

OPTIONS = TransportOptions()
PEERS = {"bob": "203.0.113.5:1", "carol": "10.0.0.9:1"}
"""One far away, and one on the network at home."""
HOUR = 3_600.0
SLACK = 0.5
"""Seconds for the network and the turns of the loop."""


INVARIANTS = seeds.invariant_names(__doc__)


class InvariantError(seeds.InvariantError):
    """See the module."""

    names = INVARIANTS


class Changing:
    """The network of the traveller."""

    def __init__(self) -> None:
        self.address = "10.0.0.7"
        self.router = 1
        self.more: tuple[str, ...] = ()

    def fileno(self) -> int | None:
        return None

    def drain(self) -> bool:
        return False

    def state(self) -> NetworkState:
        own = frozenset(f"{each}/24" for each in (self.address, *self.more))
        return NetworkState(own, (Way(4, f"10.0.0.{self.router} on wlan0"),))

    def close(self) -> None:
        pass


class TravellersBuilder(SimWireBuilder):
    """Its wires say which addresses they run between. What is dialled in one network is not answered in another."""

    network: Changing

    def is_local(self, endpoint: Endpoint) -> bool:
        return False

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        before = self.network.state()
        wire = await super().build(dest, endpoint)
        if self.network.state() != before:
            wire.abort()
            await asyncio.Event().wait()  # as a connection request that goes on with the address of before
        wire.path = WirePath("direct", f"{self.network.address}:50000", PEERS[dest])
        return wire


class World:
    """One traveller, two peers."""

    def __init__(self, loop: SimLoop, seed: int, trace: Callable[[str], None] | None) -> None:
        self.loop = loop
        self.rng = Random(f"travels {seed}")
        self.trace = trace
        self.hits: Counter[str] = Counter()
        self.net = SimNetwork(loop, seed=seed)
        self.net.default_link.latency = 0.02
        self.network = Changing()
        self.slept = 0.0
        self.events: list[tuple[float, Event]] = []
        self.got: dict[str, list[int]] = {name: [] for name in PEERS}
        self.sent = dict.fromkeys(PEERS, 0)
        self.accepted: dict[str, dict[object, int]] = {name: {} for name in PEERS}
        self.stacks: dict[str, AsyncExitStack] = {}
        self.restarted = dict.fromkeys(PEERS, 0)

    def fail(self, name: str, detail: str) -> None:
        raise InvariantError(name, f"{detail} (at {self.loop.time() - 1000:.3f})")

    def log(self, *what: object) -> None:
        self.hits[str(what[0])] += 1
        if self.trace is not None:
            self.trace(f"{self.loop.time() - 1000:12.3f} {' '.join(map(str, what))}")

    # -- who there is -------------------------------------------------------------------------------

    def _manager(self, name: str, host: SimHost, *, travels: bool) -> OutprocTransportManager:
        started, chance = host.wall_time(), Random(f"{name} {self.rng.random()}")
        builder = TravellersBuilder(host, "sim") if travels else host.builder("sim")
        if isinstance(builder, TravellersBuilder):
            builder.network = self.network
        return OutprocTransportManager(
            name,
            directory={peer: [f"sim://{peer}:1"] for peer in PEERS} if travels else {},
            builders=[builder],
            options=OPTIONS,
            environment=Environment(
                lambda: int(started * 1e9),
                chance.randbytes,
                chance,
                SleepClocks(self.loop.time, lambda: self.loop.time() + self.slept) if travels else None,
                (lambda: self.network) if travels else None,
            ),
        )

    async def _start(self, name: str) -> None:
        """A process of a peer begins."""
        stack = self.stacks[name] = AsyncExitStack()
        manager = await stack.enter_async_context(self._manager(name, self.net.host(name), travels=False))
        reading = asyncio.ensure_future(self._read(name, manager))
        stack.push_async_callback(asyncio.wait, [reading])
        await manager.listen(f"sim://{name}:1")
        stack.push_async_callback(manager.aclose)

    async def _read(self, name: str, manager: OutprocTransportManager) -> None:
        async for message in manager.messages():
            self.got[name].append(int(message.data))

    async def _follow(self) -> None:
        async for _, event in self.alice.events(limit=100_000):
            self.events.append((self.loop.time(), event))
            if self.trace is not None:
                self.trace(f"{self.loop.time() - 1000:12.3f}   {event}")

    def send(self) -> None:
        """One more message to each peer."""
        for name in PEERS:
            number = self.sent[name] = self.sent[name] + 1
            try:
                receipt = self.alice.send_nowait(name, b"%d" % number)
            except LitzError:
                continue
            self.accepted[name][receipt] = number

    async def wait(self, seconds: float, every: float = 1.0) -> None:
        """Time passes, and messages are sent."""
        end = self.loop.time() + seconds
        while self.loop.time() < end:
            self.send()
            await asyncio.sleep(min(every, max(0.001, end - self.loop.time())))

    def links(self, name: str) -> list[Link]:
        transport = self.alice._running().dests.get(name)
        return list(transport.links) if transport is not None else []

    def dials(self) -> int:
        return sum(slot.dials for dest in self.alice.snapshot().dests for slot in dest.slots)

    def sessions(self) -> dict[str, int]:
        return {dest.dest: dest.session for dest in self.alice.snapshot().dests}

    def told(self, kind: type[Event], since: float) -> list[Event]:
        return [event for at, event in self.events if at >= since and isinstance(event, kind)]

    def die(self, *names: str) -> list[Link]:
        """The wires to these peers carry nothing any more, and nobody says so."""
        for connection in list(self.net.connections):
            if {connection.source.name, connection.target.name} & set(names):
                connection.half_open()
        return [link for name in names for link in self.links(name)]

    def news(self) -> None:
        watch = self.alice._running().node.network
        assert watch is not None
        watch.news()

    # -- the run ------------------------------------------------------------------------------------

    async def run(self) -> None:
        acts = [self.moves, self.router, self.storm, self.bridge, self.naps, self.sleeps, self.offline, self.restart]
        async with AsyncExitStack() as stack:
            for name in PEERS:
                await self._start(name)
            self.alice = await stack.enter_async_context(self._manager("alice", self.net.host("alice"), travels=True))
            following = asyncio.ensure_future(self._follow())
            stack.push_async_callback(asyncio.wait, [following])
            stack.push_async_callback(self.alice.aclose)
            await self.connected("at first", 5.0)
            for act in self.rng.sample(acts, 5):
                self.log(act.__name__)
                await act()
                await self.connected(act.__name__, OPTIONS.cold_probe)
                await self.wait(15.0)
            await self.alice.drain(timeout=60)
            self.check_messages()
        for name in PEERS:
            await self.stacks[name].aclose()

    async def connected(self, after: str, within: float) -> None:
        began = self.loop.time()
        while not all(self.alice.is_connected(name) for name in PEERS):
            if self.loop.time() - began > within:
                self.fail("back", f"not connected {within:g} s after {after}")
            await self.wait(0.05, 0.05)

    def check_messages(self) -> None:
        lost = {each.receipt for _, e in self.events if isinstance(e, SessionEnded) for each in e.lost}
        for name, got in self.got.items():
            if any(later <= sooner for sooner, later in pairwise(got)):
                self.fail("exactly-once", f"{name} got {got}")
            there = set(got)
            for receipt, number in self.accepted[name].items():
                if number not in there and receipt not in lost:
                    self.fail("exactly-once", f"{number} to {name} vanished without a word")

    # -- acts, and what must follow ------------------------------------------------------------------

    async def found(self, dead: list[Link], within: float, what: str) -> None:
        await self.wait(within + SLACK, 0.2)
        for link in dead:
            if link.in_session:
                self.fail("found", f"{link!r} is kept {within:g} s after {what}")

    async def moves(self) -> None:
        """Another network: no wire of before can live."""
        dead = self.die(*PEERS)
        self.network.address = f"10.{self.rng.randrange(1, 250)}.0.{self.rng.randrange(2, 250)}"
        self.news()
        began, before = self.loop.time(), self.sessions()
        await self.found(dead, LONGEST + OPTIONS.wake_timeout, "the address changed")
        await self.connected("an address change", 1.0)
        if self.sessions() != before or len(self.told(NetworkChanged, began)) != 1:
            self.fail("kept", f"after an address change: {self.sessions()}, {self.told(NetworkChanged, began)}")

    async def router(self) -> None:
        """Another way out: what leads far away may have died of it, the neighbour has not."""
        self.network.address = "10.0.0.7"
        self.news()
        await self.wait(20.0)
        away = self.rng.random() < 0.5
        near, dead = self.links("carol"), self.die("bob") if away else []
        far = self.links("bob")
        self.network.router += 1
        self.news()
        await self.found(dead, LONGEST + OPTIONS.wake_timeout, "the route changed")
        if self.links("carol") != near or (not away and self.links("bob") != far):
            self.fail("untouched", "a wire that was well was dialled again after the route changed")

    async def storm(self) -> None:
        """Hundreds of news in a second."""
        dials, links = self.dials(), [*self.links("bob"), *self.links("carol")]
        began = self.loop.time()
        for number in range(300):
            self.network.more = (f"172.17.{number % 7}.1",) if number % 2 else ()
            self.news()
            await asyncio.sleep(0.9 / 300)
        await self.wait(3.0)
        if len(self.told(NetworkChanged, began)) > 2 or self.dials() > dials:
            self.fail("calm", f"{self.told(NetworkChanged, began)}, {self.dials() - dials} dials")
        if [*self.links("bob"), *self.links("carol")] != links:
            self.fail("untouched", "a storm of news cost a wire")

    async def bridge(self) -> None:
        """One more address concerns nobody."""
        links = [*self.links("bob"), *self.links("carol")]
        self.network.more = (f"172.18.{self.rng.randrange(250)}.1",)
        self.news()
        await self.wait(5.0)
        if [*self.links("bob"), *self.links("carol")] != links:
            self.fail("untouched", "another address cost a wire")

    async def naps(self) -> None:
        """Asleep for less than a session is kept."""
        dead = self.die(*(name for name in PEERS if self.rng.random() < 0.5))
        before, began = self.sessions(), self.loop.time()
        self.slept += self.rng.uniform(3.0, OPTIONS.session_kept - 15.0)
        await self.found(dead, EVERY + OPTIONS.wake_timeout, "a sleep")
        await self.connected("a sleep", 1.0)
        if self.sessions() != before or len(self.told(Woke, began)) != 1:
            self.fail("kept", f"after a nap: {self.sessions()}, {self.told(Woke, began)}")

    async def sleeps(self) -> None:
        """Offline, asleep for hours, and offline still: then it ends, and not by halves."""
        self.net.partition(["alice"], PEERS)
        await self.wait(20.0, 5.0)
        began = self.loop.time()
        self.slept += self.rng.uniform(2.0, 12.0) * HOUR
        within = EVERY + AFTER_WAKE + OPTIONS.ping_after + OPTIONS.dead_after
        await self.wait(within, 5.0)
        if len(self.told(SessionEnded, began)) != len(PEERS):
            self.fail("kept", f"{within:g} s after a long sleep: {self.told(SessionEnded, began)}")
        self.net.heal()
        self.news()

    async def offline(self) -> None:
        """No network for hours, up to a day, as long as a peer may be away too."""
        dials, began = self.dials(), self.loop.time()
        self.net.partition(["alice"], PEERS)
        hours = self.rng.choice((0.5, 3.0, 24.0))
        await self.wait(hours * HOUR, 300.0)
        took = self.dials() - dials
        least = OPTIONS.cold_probe / 2
        usual = OPTIONS.cold_after / (OPTIONS.backoff_cap / 2) + 4 * OPTIONS.cold_failures
        if took > len(PEERS) * (hours * HOUR / least + 2 * usual):
            self.fail("seldom", f"{took} dials in {hours} hours offline")
        if len(self.told(DestCold, began)) != len(PEERS):
            self.fail("seldom", f"not cold after {hours} hours: {self.told(DestCold, began)}")
        self.net.heal()
        self.network.router += 1
        self.news()
        await self.connected("the network came back", LONGEST + 2 * EACH + OPTIONS.dial_timeout + SLACK)

    async def restart(self) -> None:
        """A peer's process is gone, and there is another."""
        name = self.rng.choice(sorted(PEERS))
        self.net.host(name).crash(tell_peers=self.rng.random() < 0.5)
        await self.stacks[name].aclose()
        await self.wait(self.rng.uniform(0.1, 5.0), 0.2)
        await self._start(name)
        await self.wait(OPTIONS.ping_after + OPTIONS.dead_after + 1.0)
        await self.connected("a restart", OPTIONS.backoff_cap + SLACK)
