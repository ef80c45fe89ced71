"""The world of one seed: real managers on virtual time, a network with faults, users, and the checker."""
# ruff: noqa: ASYNC110  # on virtual time, looking again costs nothing and needs no hook in what is watched

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

from litz.testing import Nemesis, SimLoop, SimNetwork
from tests.simulation.managers.chatter import Chatter
from tests.simulation.managers.checker import Checker
from tests.simulation.managers.choosing import Choosing
from tests.simulation.managers.directory import DirectoryFaults
from tests.simulation.managers.ends import Ends
from tests.simulation.managers.faults import Faults
from tests.simulation.managers.hard_times import HardTimes
from tests.simulation.managers.healing import Healing, acting
from tests.simulation.managers.kinds import LOSSY, TINY
from tests.simulation.managers.life import Life
from tests.simulation.managers.mover import Mover
from tests.simulation.managers.plan import make_plan
from tests.simulation.managers.record import InvariantError, Sent
from tests.simulation.managers.relaying import Relaying
from tests.simulation.managers.settling import Settling, SickWatch
from tests.simulation.managers.silence import SilenceWatch
from tests.simulation.managers.sleeps import Sleeps
from tests.simulation.managers.sniffer import Sniffer
from tests.simulation.managers.spoiler import Spoiler
from tests.simulation.managers.streaming import Streaming
from tests.simulation.managers.trust_faults import TrustFaults
from tests.simulation.managers.users import User
from tests.simulation.seed_world import SeedWorld

SAMPLE_EVERY = 0.1
CLOSING = ("late join", "restart higher", "restart lower", "move")


class World(SeedWorld):
    """One run. `trace` is called with one line per event, or is None."""

    broken = InvariantError

    def __init__(self, loop: SimLoop, seed: int, trace: Callable[[str], None] | None = None) -> None:
        super().__init__(loop, seed, trace)
        self.plan = make_plan(seed)
        self.rng = Random(f"managers {seed}")
        self.network = SimNetwork(loop, seed=seed, link=self.plan.link)
        self.hits: Counter[str] = self.network.hits
        self.sniffer = Sniffer(self)
        self.nemesis = Nemesis(self.network, seed=seed, longest=1.0)
        self.choosing = Choosing(self)
        self.mover = Mover(self)
        Faults(self)
        self.ends = Ends(self)
        self.trust_faults = TrustFaults(self)
        self.directory_faults = DirectoryFaults(self)
        self.spoiler = Spoiler(self)
        self.sleeps = Sleeps(self)
        self.relaying = Relaying(self)
        self.streaming = Streaming(self)
        HardTimes(self)
        self.checker = Checker(self)
        self.sick_watch = SickWatch(self)
        self.silence_watch = SilenceWatch(self)
        self.lives: list[Life] = []
        self.healed = False
        self.heals = 0
        self.overlaps = 0
        self.faults = 0
        self.closings = 0
        """Faults that close something from this side."""
        self.holding: dict[tuple[Life, Sent], None] = {}
        """Handlers that wait to be cancelled, and for whom."""
        self.starting = 0
        self._stalled_at = 0.0

    def stalled_since(self, when: float) -> bool:
        """Whether the loop stood still after `when`, so that times prove nothing."""
        return self._stalled_at >= when

    # -- lives --------------------------------------------------------------------------------------

    def hosts_of(self, name: str) -> tuple[str, ...]:
        takeovers = {"takeover", "takeover lower"} & set(self.plan.faults)
        return (name, name + "x") if takeovers else (name,)

    def hosts_now(self, name: str) -> tuple[str, ...]:
        """Where processes of that name listen, as a directory knows it."""
        now = [life.host.name for life in self.lives if life.name == name and life.alive and life.host.listeners]
        return tuple(dict.fromkeys(now)) or (name,)

    def start_later(self, name: str, host: str, clock: float, *, after: float, takeover: bool = False) -> None:
        async def start() -> None:
            await asyncio.sleep(after)
            if self.network.host(host).listeners:
                return  # somebody else has started there meanwhile
            if takeover and not any(life.alive for life in self.lives if life.name == name):
                return
            await self.start(name, host, clock)

        self.starting += 1

        def started(_task: object) -> None:
            self.starting -= 1

        self.later(start()).add_done_callback(started)

    async def start(self, name: str, host: str, clock: float) -> Life:
        life = Life(self, name, len(self.lives), host=host, clock=clock)
        self.lives.append(life)
        await life.start()
        self.log(life, "started", life.incarnation)
        life.spawn(User(life).run(), "user")
        return life

    # -- the run ------------------------------------------------------------------------------------

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
            for life in self.lives:
                self.relaying.forget()
                life.manager._home.open = False  # a run that failed must not also warn of unclosed managers
            if not story.done():
                story.cancel()
                await asyncio.wait([story])

    async def _story(self) -> None:
        if self.plan.relayed:
            await self.relaying.start()
        for name in self.plan.names:
            await self.start(name, name, 0.0)
        watch = self.later(self._watch())
        self.hits["tiny frames"] += TINY in self.plan.frames.values()
        if self.spoiler.active:
            self.later(self.spoiler.run())
        self.later(self.sleeps.run())
        chatter = Chatter(self)
        chatting = self.later(chatter.run()) if LOSSY in self.plan.kinds else None
        await self._trouble()
        self.log("HEAL")
        self.healed = True
        self.nemesis.heal_all()
        self.directory_faults.heal()
        await self.relaying.heal()
        self.spoiler.stop()
        began = self.loop.time()
        await Healing(self).run()
        if chatting is not None:
            await chatter.last_words()
            chatting.cancel()
        self.log("healed in", self.loop.time() - began)
        if self.plan.settles:
            await Settling(self).run()
        watch.cancel()
        self._count()
        self.log("CLOSE")
        alive = [life for life in self.lives if life.alive]
        self.rng.shuffle(alive)
        for life in alive:
            await life.close()
        await self.relaying.aclose()
        while self._tasks:
            await asyncio.wait(list(self._tasks), timeout=60.0)
        await self._users_end()
        self.streaming.finish()
        self.checker.finish(self.lives)
        if self.network.connections and any(not c.dialler.connection.alive for c in self.network.connections):
            raise InvariantError("closed", f"wires are left: {self.network.connections}")

    async def _trouble(self) -> None:
        end = self.loop.time() + self.plan.seconds
        await asyncio.sleep(0.2)
        while self.loop.time() < end:
            await asyncio.sleep(self.rng.expovariate(1 / self.plan.every))
            before = self.loop.time()
            name = self.nemesis.apply_random(self.plan.faults)
            if name is not None:
                self.faults += 1
                self.closings += name.startswith("close") or name in CLOSING
                self.log("FAULT", name)
                self.loop.note(name)
            if name == "lag":
                self._stalled_at = max(before, self.loop.time())
            self._check_bounds()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_EVERY)
            self._check_bounds()

    def _check_bounds(self) -> None:
        for life in self.lives:
            if life.alive:
                self.checker.bounded(life)
                self.sick_watch.look(life)
                self.silence_watch.look(life)
                self.streaming.check_bounds(life)
                life.sample()
        self.sniffer.count(self.lives)
        self.trust_faults.check()

    async def _users_end(self) -> None:
        while any(acting(life) for life in self.lives):
            await asyncio.sleep(0.02)

    def _count(self) -> None:
        """How often it healed, of those that are alive now."""
        self.sniffer.count(self.lives)
        self.heals = self.sniffer.heals
