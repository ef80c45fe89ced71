"""One node and its peers over days of virtual time, in which peers are out of reach for minutes to days.

The checker stands outside: it knows when a peer could be reached, who asked for it, each dial, and each event.

Invariants
  one-event    each cold spell, and each dest given up, is told once, and its end is told once, in turn
  cold         who fails for one cause, for long and often, without being asked for, is cold in time
  seldom       a cold dest is dialled no more often than its probes allow
  warm         a wire, a wake, or somebody who waits, ends the cold at once
  heals        a peer that can be reached again is reached within the time of a probe
  never-silent without a budget, a dest out of reach always has a next attempt, and it comes
  budget       with one, no more is dialled than it allows, and then it is told that it is given up
  rate         redials of a node never exceed its rate
"""
# on virtual time, looking again costs nothing

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from contextlib import AsyncExitStack
from itertools import pairwise
from random import Random

from litz.errors import LitzError
from litz.events import DestCold, DestGivenUp, DestWarm, Event, WireUp
from litz.testing import SimLoop, SimNetwork
from litz.wire import Endpoint, Wire
from outproc.local_node import Environment
from outproc.manager import OutprocTransportManager
from outproc.options import TransportOptions
from outproc.reachability import Redial
from outproc.wake_watch import SleepClocks
from tests.simulation import seeds
from tests.simulation.seeds import invariant_names

INVARIANTS = invariant_names(__doc__)
MINUTE, HOUR = 60.0, 3600.0
PROBE, COLD_AFTER, CAP, DIAL = 60.0, 300.0, 5.0, 10.0
SLACK = 1.0
HITS = (
    "cold", "warm: wire", "warm: ask", "warm: wake", "inbound while cold", "refused", "no answer", "days",
    "given up", "came back to who gave up", "redials held back", "plain send while cold", "peer restarted",
)  # fmt: skip
"""What many seeds must have hit."""


class InvariantError(seeds.InvariantError):
    """One of those above does not hold."""

    names = INVARIANTS

    @property
    def invariant(self) -> str:
        return self.name


class World:
    """Of one seed. `me` is watched; the peers come and go."""

    def __init__(self, seed: int, loop: SimLoop) -> None:
        self.rng = Random(f"outages {seed}")
        self.loop = loop
        self.hits: Counter[str] = Counter()
        self.network = SimNetwork(loop, seed=seed)
        self.network.default_link.latency = 0.01
        self.profile = ("cold", "cold", "budget", "crowd")[seed % 4]
        self.rate = 0.5 if self.profile == "crowd" else 200.0
        self.attempts = self.rng.randint(2, 12) if self.profile == "budget" else None
        count = 12 if self.profile == "crowd" else self.rng.randint(1, 2)
        self.names = [f"p{number}" for number in range(count)]
        self.events: list[tuple[float, Event]] = []
        self.dials: list[tuple[float, str]] = []
        self.asked: dict[str, list[float]] = {name: [] for name in self.names}
        self.down_since: dict[str, float] = {}
        self.peers: dict[str, tuple[OutprocTransportManager, AsyncExitStack]] = {}
        self.me = self._manager("me", watched=True)
        self._made = 0

    # -- nodes --------------------------------------------------------------------------------------

    def _manager(self, name: str, *, watched: bool = False) -> OutprocTransportManager:
        builder = self.network.host(name).builder("sim")
        if watched:
            dial = builder.build

            async def build(dest: str, endpoint: Endpoint) -> Wire:
                self.dials.append((self.loop.time(), dest))
                return await dial(dest, endpoint)

            builder.build = build  # type: ignore[method-assign]  # of this one builder
        started = self.network.host(name).wall_time() + len(self.events)
        rng = Random(f"{name} {self.rng.random()}")
        redial = {"*": Redial(attempts=self.attempts)} if watched and self.attempts is not None else {}
        known = self.names if watched else ["me"]
        clocks = SleepClocks(self.loop.time, self.loop.boot_time) if watched and self.profile == "cold" else None
        return OutprocTransportManager(
            name,
            builders=[builder],
            directory={other: [f"sim://{other}:1"] for other in known},
            environment=Environment(lambda: int(started * 1e9), rng.randbytes, rng, clocks),
            options=TransportOptions(
                ping_after=20.0, redial=redial, redial_rate=self.rate, accept_grace=1.0, session_kept=30.0
            ),
        )

    async def _start(self, name: str) -> None:
        stack = AsyncExitStack()
        manager = await stack.enter_async_context(self._manager(name))
        await manager.listen(f"sim://{name}:1")
        self.peers[name] = (manager, stack)

    async def run(self) -> None:
        """Days of it, then healing; raises `InvariantError`."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.me)
            await self.me.listen("sim://me:1")
            reader = asyncio.ensure_future(self._read())
            stack.push_async_callback(self._end, reader)
            for name in self.names:
                await self._start(name)
                await self.me.send(name, b"first", confirm="received")
            if self.profile == "crowd":
                await self._lose_all()
            else:
                for _ in range(self.rng.randint(1, 3)):
                    await self._outage(self.rng.choice(self.names))
            await asyncio.sleep(1.0)
        self.judge()

    async def _end(self, reader: asyncio.Task[None]) -> None:
        for _, stack in list(self.peers.values()):
            await stack.aclose()
        reader.cancel()
        await asyncio.wait([reader])

    async def _read(self) -> None:
        async for _, event in self.me.events():
            self.events.append((self.loop.time(), event))

    # -- trouble ------------------------------------------------------------------------------------

    async def _down(self, name: str) -> str:
        """Nobody reaches it any more; returns how."""
        how = self.rng.choice(("refused", "no answer", "peer restarted"))
        self.down_since[name] = self.loop.time()
        self.hits[how] += 1
        if how == "no answer":
            self.network.partition(["me"], [name])
            for connection in list(self.network.connections):
                connection.reset()
        else:
            self.network.host(name).crash(tell_peers=True)
            manager, _ = self.peers.pop(name)
            await manager.aclose()
        return how

    async def _up(self, name: str, how: str, *, inbound: bool) -> None:
        if how == "no answer":
            self.network.heal()
        else:
            await self._start(name)
        del self.down_since[name]
        if inbound:
            with contextlib.suppress(LitzError):
                await self.peers[name][0].reconnect("me")

    async def _outage(self, name: str) -> None:
        """One peer is away for minutes to days, while things happen here; then it comes back."""
        rng = self.rng
        how = await self._down(name)
        kind = rng.random()
        short, hours = rng.uniform(5.0, 60.0), rng.uniform(2.0, 30.0) * HOUR
        length = short if kind < 0.2 else hours if kind > 0.9 else rng.uniform(6 * MINUTE, 20 * MINUTE)
        self.hits["days"] += length > 12 * HOUR
        began, end = self.loop.time(), self.loop.time() + length
        quiet = rng.random() < 0.5
        while self.loop.time() < end:
            left = end - self.loop.time()
            await asyncio.sleep(left if quiet else min(left, rng.uniform(7 * MINUTE, HOUR)))
            self._look(name, began)
            if not quiet and self.loop.time() < end:
                await self._something(name)
                began = self.loop.time()
        await self._come_back(name, how)

    def _shown(self, name: str) -> tuple[bool, bool, float | None]:
        dest = next((dest for dest in self.me.snapshot().dests if dest.dest == name), None)
        return (dest.cold, dest.given_up, dest.retry_in) if dest is not None else (False, False, None)

    def _look(self, name: str, quiet_since: float) -> None:
        """What must be true of a peer that is away, and was not asked for since then."""
        now = self.loop.time()
        if self.me.is_connected(name):
            if now - self.down_since[name] > 30.0:
                raise InvariantError("never-silent", f"{name} is away, and taken for connected")
            return
        cold, given_up, retry_in = self._shown(name)
        self.hits["cold"] += cold
        self.hits["given up"] += given_up
        if self.attempts is not None:
            # With a busy limit none is spent: all failures here are of those that count.
            longest = 30.0 + 2 * self.attempts * (CAP + DIAL)
            if now - quiet_since > longest and not given_up:
                raise InvariantError("budget", f"{name} is away for {now - quiet_since:.0f} s and not given up")
            return
        if given_up or retry_in is None or retry_in > PROBE + SLACK:
            raise InvariantError("never-silent", f"{name}: next attempt in {retry_in}, given up: {given_up}")
        latest = max((at for at, dest in self.dials if dest == name), default=quiet_since)
        if now - latest > 30.0 + PROBE + DIAL:
            raise InvariantError("never-silent", f"{name} was not dialled for {now - latest:.0f} s")
        if self.profile == "cold" and now - quiet_since > 30.0 + COLD_AFTER + 2 * (CAP + DIAL) and not cold:
            raise InvariantError("cold", f"{name} fails for {now - quiet_since:.0f} s and is not cold")

    async def _something(self, name: str) -> None:
        """While it is away: somebody asks, the machine sleeps, or somebody sends without waiting."""
        was_cold = self._shown(name)[0]
        what = self.rng.choice(("ask", "wake", "plain") if self.profile == "cold" else ("ask",))
        if what == "plain":
            before = len(self.dials)
            for _ in range(20):
                await self.me.send(name, b"kept", when_down="queue")
            await asyncio.sleep(0.1)
            self.hits["plain send while cold"] += was_cold
            if was_cold and len(self.dials) > before + 1:
                raise InvariantError("seldom", f"messages to {name} cost {len(self.dials) - before} dials")
            return
        self.asked[name].append(self.loop.time())
        if what == "wake":
            self.loop.suspend(self.rng.uniform(5.0, HOUR))
            for other in self.names:
                self.asked[other].append(self.loop.time())
            await asyncio.sleep(1.5)
        else:
            with contextlib.suppress(LitzError, TimeoutError):
                await self.me.send(name, b"are you there", when_down="wait", confirm="received", timeout=1.5)
        self.hits[f"warm: {what}"] += was_cold
        if was_cold and self._shown(name)[0]:
            raise InvariantError("warm", f"{name} is still cold after {what}")

    async def _come_back(self, name: str, how: str) -> None:
        cold, given_up, _ = self._shown(name)
        inbound = given_up or self.rng.random() < 0.5
        self.hits["inbound while cold"] += cold and inbound
        self.hits["came back to who gave up"] += given_up
        await self._up(name, how, inbound=inbound)
        until = self.loop.time() + (DIAL + CAP + SLACK if inbound else PROBE + 2 * DIAL + SLACK)
        while not self.me.is_connected(name):
            if self.loop.time() > until:
                raise InvariantError("heals", f"{name} is back and not reached; inbound: {inbound}, cold: {cold}")
            await asyncio.sleep(0.05)
        await asyncio.sleep(0)
        if any(self._shown(name)[:2]):
            raise InvariantError("warm", f"{name} is reached, and still shown as {self._shown(name)}")
        self.hits["warm: wire"] += cold
        await self.me.send(name, b"again", confirm="received")

    async def _lose_all(self) -> None:
        """All peers are lost in one moment: nobody waits, and the redials keep to their rate."""
        self.network.partition(["me"], self.names)
        for connection in list(self.network.connections):
            connection.reset()
        lost_at = self.loop.time()
        await asyncio.sleep(self.rng.uniform(60.0, 200.0))
        self.network.heal()
        self.hits["refused"] += 0
        began = self.loop.time()
        while not all(self.me.is_connected(name) for name in self.names):
            if self.loop.time() > began + len(self.names) * 1.5 / self.rate + 2 * DIAL + CAP:
                raise InvariantError("heals", "not all of the crowd are back in time")
            await asyncio.sleep(0.1)
        times = [at for at, _ in self.dials if at >= lost_at]
        for index, at in enumerate(times):
            within = sum(later < at + 20.0 for later in times[index:])
            if within > self.rate * 21.0 + 1:
                raise InvariantError("rate", f"{within} redials in 20 s at {self.rate} a second")
        self.hits["redials held back"] += len(times) > self.rate * 20.0

    # -- judgement ----------------------------------------------------------------------------------

    def judge(self) -> None:
        """Of all that was told and dialled."""
        for name in self.names:
            dials = [at for at, dest in self.dials if dest == name]
            told = [(at, event) for at, event in self.events if event.dest == name]
            resting: str = ""
            since = 0.0
            for at, event in told:
                match event:
                    case DestCold() | DestGivenUp():
                        kind = type(event).__name__
                        if resting == kind or (resting and kind == "DestCold"):
                            raise InvariantError("one-event", f"{name}: {kind} at {at:.0f} after {resting}")
                        resting, since = kind, at
                    case DestWarm():
                        if not resting:
                            raise InvariantError("one-event", f"{name}: warm at {at:.0f}, and was not cold")
                        self._check_rest(name, resting, [each for each in dials if since < each < at])
                        resting = ""
                    case WireUp() if resting and not any(isinstance(e, DestWarm) and t == at for t, e in told):
                        raise InvariantError("warm", f"{name}: a wire is up at {at:.0f}, and it was not told as warm")

    def _check_rest(self, name: str, resting: str, dials: list[float]) -> None:
        if resting == "DestGivenUp":
            if len(dials) > 1:  # the one that begins anew is told in the same moment
                raise InvariantError("budget", f"{name} was given up and dialled {len(dials)} times")
            return
        for one, other in pairwise(dials):
            if other - one < PROBE / 2 - SLACK:
                raise InvariantError("seldom", f"{name} is cold and dialled {other - one:.1f} s after the last time")
