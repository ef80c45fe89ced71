"""After the last fault: the nodes heal by themselves, and everything comes to its end in time.

The world dials for nobody. Only where a node waits for another that it cannot dial, and which knows nothing of it
any more (it restarted, or closed), does the user of that other one come by, as somebody must.
"""
# ruff: noqa: ASYNC110  # on virtual time, looking again costs nothing and needs no hook in what is watched

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from litz.errors import LitzError
from litz.snapshot import DestState
from tests.simulation.managers.node_options import BACKOFF_CAP
from tests.simulation.managers.record import InvariantError

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

HEALED_WITHIN = 10 * BACKOFF_CAP
FIGHT = 2.5
"""Seconds in which two processes of one id, and nobody's fault, find out which of them goes."""
ENDS = ("end every request", "end every verb")
STREAMS = ("end every stream", "end those that were not read", "forget all streams")
RESTS = ("drain", "read all", "end every handler")
FAILED = {
    "end every verb": "no-starving",
    "end every request": "requests-end",
    "drain": "heals",
    "read all": "no-starving",
    "end every handler": "requests-end",
    "end every stream": "streams-free",
    "end those that were not read": "streams-free",
    "forget all streams": "streams-left",
}
"""The invariant that does not hold if that was not done in time."""


class Healing:
    """Of one world, once its faults are over."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.alive: list[Life] = []

    async def run(self) -> None:
        """Returns once all is delivered and everybody is told."""
        await self._settle_lives()
        self.alive = [life for life in self.world.lives if life.alive]
        visits = self.world.later(self._visit())
        # Where nobody read for long there may be more in a log than its wires carry in that time.
        logged = max(life.manager.snapshot().logged_bytes for life in self.alive) + self.world.streaming.to_come()
        within = HEALED_WITHIN + self.world.plan.carrying + logged * self.world.plan.byte + self.world.relaying.pause()
        what = ""
        try:
            async with asyncio.timeout(within):
                for what in (*ENDS, *(STREAMS if self.world.streaming.active else ()), *RESTS):
                    await self._do(what)
        except TimeoutError:
            detail = f"could not {what} within {within:g} s: {self._describe()}"
            raise InvariantError(FAILED[what], detail) from None
        finally:
            visits.cancel()

    async def _do(self, what: str) -> None:
        world = self.world
        match what:
            case "drain":
                await asyncio.gather(*(self._drain(life) for life in self.alive))
            case "end every request":
                while any(asking(life) for life in world.lives):
                    await asyncio.sleep(0.02)
            case "end every verb":
                while any(acting(life) for life in world.lives):
                    await asyncio.sleep(0.02)
            case "read all":
                while any(life.inbox_left for life in self.alive):
                    await asyncio.sleep(0.05)
            case "end every stream":
                world.streaming.wind_up()
                while world.streaming.blocked():
                    await asyncio.sleep(0.05)
                world.streaming.note_slow()
            case "end those that were not read":
                world.streaming.read_all()
                while world.streaming.open_ends():
                    await asyncio.sleep(0.05)
            case "forget all streams":
                while world.streaming.left():
                    await asyncio.sleep(0.05)
            case _:
                while world.holding:
                    await asyncio.sleep(0.05)

    async def _settle_lives(self) -> None:
        """One life of each name is left, and reads."""
        world = self.world
        while world.starting:
            await asyncio.sleep(0.01)
        if any(sum(life.name == name and life.alive for life in world.lives) > 1 for name in world.plan.names):
            await asyncio.sleep(FIGHT)
        for name in world.plan.names:
            same = sorted((life for life in world.lives if life.name == name and life.alive), key=_incarnation)
            for loser in same[:-1]:
                loser.ended = True
                await loser.close()
            if not same:
                await world.start(name, name, 0.0)
        for life in world.lives:
            if life.alive and not life.consumers:
                await life.stop_consumers()  # they may not be at their end
                if not life.consumers:
                    life.start_consumers()

    async def _visit(self) -> None:
        """Users come by whose nodes are waited for in vain."""
        while True:
            for life in self.alive:
                for other in self.alive:
                    if self._must_come(life, other):
                        self.world.hits["came by"] += 1
                        self.world.log(life, "comes by at", other)
                        try:
                            await life.manager.get_or_create_transport(other.name, reopen=True)
                        except LitzError as error:
                            self.world.log(life, "cannot come by:", error)
            await asyncio.sleep(0.05)

    def _must_come(self, life: Life, other: Life) -> bool:
        dials = self.world.plan.dials
        can_only_wait = (other.name, life.name) not in dials or life.name in other.told_nothing
        if (life.name, other.name) not in dials or not can_only_wait:
            return False
        waits = other.manager.has_dest(life.name) not in (None, DestState.CONNECTED)
        return waits and life.manager.has_dest(other.name) is None

    async def _drain(self, life: Life) -> None:
        while True:
            try:
                await life.manager.drain()
                return
            except LitzError as error:
                self.world.log(life, "drain:", error)
                await asyncio.sleep(0.05)

    def _describe(self) -> str:
        parts = [f"\n  {life}: {life.manager.snapshot()}" for life in self.alive]
        parts += [f"\n  {life} waits in {task.get_name()}" for life in self.world.lives for task in acting(life)]
        parts += [f"\n  {end}" for end in self.world.streaming.open_ends()]
        parts += [f"\n  {left}" for left in self.world.streaming.left()]
        parts += [f"\n  the handler of {sent!r} at {life} runs" for life, sent in self.world.holding]
        return "".join(parts)


def _incarnation(life: Life) -> tuple[int, int]:
    return tuple(life.node.incarnation)  # type: ignore[return-value]  # a named tuple of two


def acting(life: Life) -> list[asyncio.Task[Any]]:
    """Tasks of users that are not done; consumers and the reader of events go on until the end."""
    return [task for task in life.tasks if task not in life.consumers and not task.get_name().endswith(" events")]


def asking(life: Life) -> list[asyncio.Task[Any]]:
    """Those of them that wait for the answer of a request, or will ask one more."""
    return [task for task in acting(life) if task.get_name().endswith((" asks", " ask", " gives_up_asking"))]
