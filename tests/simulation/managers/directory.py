"""Where the nodes of a world are: a directory that tells the truth, unless a fault waits for its next answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from litz.errors import LitzError
from tests.simulation.managers.plan import DIRECTORY_FAULTS

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

PENDING = 8
FORBIDDEN = "169.254.169.254"
"""A host that no filter lets anybody dial."""


class DirectoryFaults:
    """What the next answers have. Each is counted when an answer had it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._pending: deque[str] = deque(maxlen=PENDING)
        for name in DIRECTORY_FAULTS:
            if name.startswith("directory: "):
                world.nemesis.add(name, self._later(name))

    def _later(self, name: str) -> Callable[[], bool]:
        def wait_for_question() -> bool:
            self._pending.append(name)
            return False

        return wait_for_question

    def take(self) -> str:
        """The fault of this answer, "" for the truth."""
        if not self._pending:
            return ""
        name = self._pending.popleft()
        self.world.hits[name] += 1
        self.world.faults += 1
        return name

    def heal(self) -> None:
        self._pending.clear()


class SimDirectory:
    """Asked by one life. Knows only those whom the plan lets it reach."""

    def __init__(self, life: Life) -> None:
        self._life = life

    async def look_up(self, dest: str) -> Sequence[str]:
        life = self._life
        world = life.world
        if (life.name, dest) not in world.plan.dials:
            return ()
        fault = world.directory_faults.take()
        world.log(life, "asks where is", dest, fault)
        hosts: Sequence[str] = ()
        life.told_nothing.pop(dest, None)
        match fault:
            case "directory: raise":
                error = life.rng.choice((OSError("no route"), LitzError("not now"), KeyError(dest)))
                raise error
            case "directory: hang":
                await asyncio.sleep(60.0)
            case "directory: slow":
                await asyncio.sleep(life.rng.random() * 0.8)
            case "directory: empty":
                life.told_nothing[dest] = None
                return ()
            case "directory: wrong":
                if life.rng.random() < 0.5:
                    return ("carrier-pigeon://roof",)
                hosts = ("nowhere", FORBIDDEN)
            case "directory: stranger":
                hosts = [life.rng.choice([name for name in world.plan.names if name != dest])]
        hosts = hosts or world.hosts_now(dest)
        return [f"{kind}://{host}:1" for kind in world.plan.kinds for host in hosts]
