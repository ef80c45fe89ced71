"""The world of one seed: nodes that send each other durable messages, their files, and what befalls them."""
# ruff: noqa: ASYNC110  # on virtual time, looking again costs nothing and needs no hook in what is watched

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from litz.testing import Nemesis, SimLoop, SimNetwork
from outproc.outbox import OutboxOptions
from tests.simulation.durable.checker import Checker
from tests.simulation.durable.disks import Disk, InboxFile, OutboxFile
from tests.simulation.durable.faults import Faults
from tests.simulation.durable.plan import make_plan
from tests.simulation.durable.process import Process
from tests.simulation.durable.record import InvariantError
from tests.simulation.durable.watched_stores import Ledger
from tests.simulation.seed_world import SeedWorld

SETTLE: Final = 400.0
"""Virtual seconds after the last fault in which everything must be delivered."""


class World(SeedWorld):
    """One run. `trace` is called with one line per event, or is None. `folder`: for files of SQLite."""

    broken = InvariantError

    def __init__(self, loop: SimLoop, seed: int, folder: Path, trace: Callable[[str], None] | None = None) -> None:
        super().__init__(loop, seed, trace)
        self.plan = plan = make_plan(seed)
        self.rng = Random(f"durable {seed}")
        self.network = SimNetwork(loop, seed=seed, link=plan.link)
        self.hits: Counter[str] = self.network.hits
        self.nemesis = Nemesis(self.network, seed=seed, longest=1.0)
        self.checker = Checker(self)
        self.processes: list[Process] = []
        self.clock_offsets: dict[str, float] = {}
        self.two_heads: set[str] = set()
        """Nodes of which two processes or files lived at once: between those there is no order."""
        self.restored: set[str] = set()
        """Nodes whose outbox was replaced by an older copy."""
        options = OutboxOptions(synchronous="off", lock_timeout=0.01)
        place = folder if plan.sqlite else None
        self.outboxes = {name: OutboxFile(name, place, options) for name in plan.names}
        self.inboxes = {name: InboxFile(name, place) for name in plan.names}
        self.ledgers = {name: Ledger() for name in plan.names}
        self.saved = {name: Ledger() for name in plan.names}
        self.disks = {
            each: Disk(Random(f"disk {seed} {each}"), plan.disk_slow)
            for name in plan.names
            for each in (name, "inbox of " + name)
        }
        self.left = plan.messages
        self.healed = self.closing = False
        self.starting: Counter[str] = Counter()
        self.timers: list[asyncio.TimerHandle] = []
        """Those that cancel a send, which may be over by then: none is left at the end."""
        self.faults = Faults(self)

    # -- processes ----------------------------------------------------------------------------------

    def alive(self, name: str) -> list[Process]:
        """Its processes, oldest first: more than one if an old one does not know that it is over."""
        return [each for each in self.processes if each.alive and each.name == name]

    def start_later(self, name: str, after: float, *, zombie: bool = False, with_inbox: bool = True) -> None:
        """Start a process, unless one is there or comes; `zombie`: although one is there."""
        if self.closing or self.starting[name] or (self.alive(name) and not zombie):
            return
        self.starting[name] += 1

        async def start() -> None:
            await asyncio.sleep(after)
            while not await self._start(name, with_inbox=with_inbox or self.healed) or not self.alive(name):
                await asyncio.sleep(0.2)
            self.starting[name] -= 1

        self.later(start())

    async def _start(self, name: str, *, with_inbox: bool) -> bool:
        used = [each.host.name for each in self.processes if each.name == name and not each.gone]
        free = [host for host in (name, name + "x") if host not in used]
        if not free:
            return False
        process = Process(self, name, free[0], with_inbox=with_inbox)
        self.processes.append(process)
        self.log(process, "starts", process.how)
        await asyncio.wait([process.spawn(process.start())])
        return process.ready

    def kill_soon(self, process: Process) -> None:
        """From inside of one of its handlers."""
        self.loop.call_soon(self.kill, process)

    def kill(self, process: Process, *, restart_after: float | None = None) -> None:
        """Kill it, and start another one after a while."""
        if process.alive:
            process.kill(keep=self.rng.random() < 0.5)
            pause = self.rng.random() ** 2 * 2.0 if restart_after is None else restart_after
            self.start_later(process.name, pause)

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
            for process in self.processes:
                process.manager._home.open = False  # a run that failed must not also warn of unclosed managers
            if not story.done():
                story.cancel()
                await asyncio.wait([story])

    async def _story(self) -> None:
        for name in self.plan.names:
            self.start_later(name, 0.0)
        self.hits["kept by SQLite"] += self.plan.sqlite
        await self.faults.run()
        self.log("HEAL")
        self.healed = True
        self.faults.heal()
        await self._settle()
        self.log("CLOSE")
        self.closing = True
        for name in self.plan.names:
            for process in self.alive(name):
                await process.close()
        while self._tasks:
            await asyncio.wait(list(self._tasks), timeout=60.0)
        for timer in self.timers:
            timer.cancel()
        self.checker.finish()

    async def _settle(self) -> None:
        end = self.loop.time() + SETTLE + 20 * self.plan.revisit + 60 * self.plan.ping_after
        while not self._is_settled():
            if self.loop.time() > end:
                raise InvariantError("settles", f"waiting: {self._waiting()}")
            await asyncio.sleep(0.05)
            self.check_bounds()
            self.faults.one_each()

    def _is_settled(self) -> bool:
        if any(self.starting.values()):
            return False
        return all(len(self.alive(name)) == 1 and self.alive(name)[0].is_idle() for name in self.plan.names)

    def _waiting(self) -> str:
        told = [
            f"{each} {each.outbox.snapshot()} {each.inbox.snapshot()}" for each in self.processes if each.is_running()
        ]
        return f"{dict(self.starting)} {'; '.join(told)}"

    def check_bounds(self) -> None:
        for process in self.processes:
            if process.is_running():
                process.check_bounds()
