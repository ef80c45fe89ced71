"""What befalls the nodes of one seed, their files and their disks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.durable.plan import AWAY, DAY
from tests.simulation.durable.process import Process
from tests.simulation.durable.record import uid_of

if TYPE_CHECKING:
    from tests.simulation.durable.world import World


class Faults:
    """See the module. Each is counted when it hit something."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng
        self._pause = 0.0
        """Virtual seconds without further faults, which are over before the trouble goes on."""
        self._long_ago = False
        self._timers: list[asyncio.TimerHandle] = []
        for name, action in self._actions().items():
            world.nemesis.add(name, action)

    def _actions(self) -> dict[str, Callable[[], bool]]:
        return {
            "kill": self._kill,
            "kill both": self._kill_both,
            "kill in a commit, kept": lambda: self._kill_in_a_commit(keep=True),
            "kill in a commit, lost": lambda: self._kill_in_a_commit(keep=False),
            "close": self._close,
            "disk full": self._disk_full,
            "disk slow": self._disk_slow,
            "save": self._save,
            "older outbox": self._older_outbox,
            "older inbox": self._older_inbox,
            "two copies": self._two_copies,
            "zombie": self._zombie,
            "retry dead letters": self._retry_dead,
            "a day later": self._a_day_later,
            "minutes away": self._minutes_away,
            "clock back": self._clock_back,
            "without inbox": self._without_inbox,
        }

    async def run(self) -> None:
        """The time of trouble."""
        world, plan = self.world, self.world.plan
        left = plan.seconds
        if "save" in plan.faults:
            self._after((0.2 + self.rng.random() * 0.4) * plan.seconds, self._save)
        await asyncio.sleep(0.3)
        while left > 0:
            began = world.loop.time()
            await asyncio.sleep(self.rng.expovariate(1 / plan.every))
            name = world.nemesis.apply_random(plan.faults)
            if name is not None:
                world.log("FAULT", name)
            world.check_bounds()
            left -= world.loop.time() - began
            pause, self._pause = self._pause, 0.0
            await asyncio.sleep(pause)

    def _after(self, seconds: float, action: Callable[[], object]) -> None:
        self._timers.append(self.world.loop.call_later(seconds, action))

    def heal(self) -> None:
        """The end of it: disks and network are well, and of each node one process lives."""
        world = self.world
        world.nemesis.heal_all()
        for timer in self._timers:
            timer.cancel()
        for disk in world.disks.values():
            disk.heal()
        for process in world.processes:
            for runner in process.runners:
                runner.doom = None
        for name in world.plan.names:
            for process in world.alive(name):
                if process.manager._durable.inbox is None:
                    world.kill(process)
            world.start_later(name, 0.1)

    def one_each(self) -> None:
        """Zombies end: of each node the last process lives, if its file is still its own."""
        for name in self.world.plan.names:
            for zombie in self.world.alive(name)[:-1]:
                zombie.kill(keep=True)
            for last in self.world.alive(name):
                if last.ready and self.world.ledgers[name].owner is not last:
                    self.world.kill(last)

    def _any(self) -> Process | None:
        alive = [each for each in self.world.processes if each.alive and each.ready]
        return self.rng.choice(alive) if alive else None

    def _on_any(self, action: Callable[[Process], None]) -> bool:
        process = self._any()
        if process is not None:
            action(process)
        return process is not None

    # -- deaths -------------------------------------------------------------------------------------

    def _kill(self) -> bool:
        return self._on_any(self.world.kill)

    def _kill_both(self) -> bool:
        alive = [each for each in self.world.processes if each.alive]
        for process in alive:
            self.world.kill(process)
        return len(alive) > 1

    def _kill_in_a_commit(self, *, keep: bool) -> bool:
        def arm(process: Process) -> None:
            runner = self.rng.choice(process.runners)
            runner.doom = (keep, lambda: self.world.kill(process))

        return self._on_any(arm)

    def _close(self) -> bool:
        async def close(process: Process) -> None:
            await process.close()
            self.world.start_later(process.name, self.rng.random())

        def begin(process: Process) -> None:
            process.alive = False
            self.world.later(close(process))

        return self._on_any(begin)

    def _a_day_later(self) -> bool:
        """Nobody is there for a day. Once in a run, and not with an absence."""
        if self._long_ago or any(self.world.starting.values()):
            return False
        self._long_ago = True
        for process in [each for each in self.world.processes if each.alive]:
            self.world.kill(process, restart_after=DAY + self.rng.random())
        self._pause = DAY
        return True

    def _minutes_away(self) -> bool:
        """One node is away, and the others go on to dial it now and then."""

        def kill(process: Process) -> None:
            self._long_ago = True
            self.world.kill(process, restart_after=AWAY)
            self._pause = AWAY

        return not self._long_ago and self.world.plan.revisit > 1.0 and self._on_any(kill)

    def _clock_back(self) -> bool:
        def kill(process: Process) -> None:
            offsets = self.world.clock_offsets
            offsets[process.name] = offsets.get(process.name, 0.0) - self.rng.choice((5.0, 3_600.0))
            self.world.kill(process)

        return self._on_any(kill)

    def _without_inbox(self) -> bool:
        process = self._any()
        if process is None or self.world.starting[process.name]:
            return False
        process.kill(keep=True)
        self.world.start_later(process.name, 0.1, with_inbox=False)
        return True

    def _zombie(self) -> bool:
        """Another process of a node, while the first one lives, hears nothing for a while, and does not know it."""
        process = self._any()
        if process is None or len(self.world.alive(process.name)) > 1 or self.world.starting[process.name]:
            return False
        self.world.two_heads.add(process.name)
        if self.rng.random() < 0.5:
            process.host.freeze()
            self._after(self.rng.random() * 3.0, process.host.thaw)
        self.world.start_later(process.name, 0.1, zombie=True)
        self._after(1.0 + self.rng.random() * 3.0, lambda: process.kill(keep=True))
        return True

    # -- disks --------------------------------------------------------------------------------------

    def _disk(self) -> str:
        return self.rng.choice(list(self.world.disks))

    def _disk_full(self) -> bool:
        disk = self.world.disks[self._disk()]
        disk.full = True
        self._after(self.rng.random() * 1.5, disk.heal)
        return True

    def _disk_slow(self) -> bool:
        disk = self.world.disks[self._disk()]
        disk.slow = self.rng.choice((1.0, 5.0))
        self._after(self.rng.random() * 3.0, disk.heal)
        return True

    def _save(self) -> bool:
        """An older copy is kept of all files, each by itself."""
        for name in self.world.plan.names:
            self.world.outboxes[name].save()
            self.world.saved[name] = self.world.ledgers[name].copy()
            self.world.inboxes[name].save()
        return True

    def _older_outbox(self) -> bool:
        def kill(process: Process) -> None:
            for each in self.world.alive(process.name):
                self.world.kill(each)
            self._replace_outbox(process.name)

        return self._on_any(kill)

    def _replace_outbox(self, name: str) -> None:
        world = self.world
        world.restored.add(name)
        for data, _, _ in world.outboxes[name].dead():
            # In the older copy it may wait, and what its dest has committed since is behind it.
            world.checker.sent[uid_of(data)].excused = True
        world.outboxes[name].restore()
        world.ledgers[name] = world.saved[name].copy()
        kept = {uid_of(row.data) for row in world.ledgers[name].rows.values()}
        for sent in world.checker.sent:
            if sent.process.name == name:
                sent.excused |= sent.uid not in kept
            if sent.uid in kept:
                sent.again = True

    def _older_inbox(self) -> bool:
        def kill(process: Process) -> None:
            for each in self.world.alive(process.name):
                self.world.kill(each)
            self.world.inboxes[process.name].restore()
            for sent in self.world.checker.sent:
                # Its effect may have been in the file that is gone.
                sent.excused |= sent.dest == process.name and bool(sent.handed)

        return self._on_any(kill)

    def _two_copies(self) -> bool:
        """A process goes on with its file, and another one begins with an older copy of it."""
        process = self._any()
        if process is None or len(self.world.alive(process.name)) > 1 or self.world.starting[process.name]:
            return False
        self.world.two_heads.add(process.name)
        self._replace_outbox(process.name)
        process.loses_all = True
        self.world.start_later(process.name, 0.1, zombie=True)
        self._after(1.0 + self.rng.random() * 3.0, lambda: process.kill(keep=True))
        return True

    def _retry_dead(self) -> bool:
        found = False
        for name in self.world.plan.names:
            if self.world.outboxes[name].dead():
                self.world.outboxes[name].retry_dead()
                found = True
        return found
