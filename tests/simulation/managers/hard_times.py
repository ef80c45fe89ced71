"""Hard times, in seeds of their own: wires that break as soon as they are well, again and again, and sessions that come
and go, or nodes that die, while nobody reads. Little else goes wrong there, so that what must be rare is seen to be
rare."""
# ruff: noqa: ASYNC110  # on virtual time, looking again costs nothing and needs no hook in what is watched

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import TYPE_CHECKING, Any, Final

from litz.errors import LitzError
from litz.payload import PayloadType
from litz.wire import Endpoint, WirePath
from outproc.slots import Ready
from tests.simulation.managers.plan import BREAKING, HARD_SEEDS, UNREAD
from tests.simulation.managers.record import PLAIN, Sent, payload
from tests.simulation.managers.users import User

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

LASTS: Final = 2.0
"""Seconds of one of these, on average."""
PAUSE: Final = 0.01


class HardTimes:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = Random(f"hard times {world.seed}")
        self._unread: dict[str, None] = {}
        """Names of nodes that do not read now."""
        self._breaking = False
        if world.seed in HARD_SEEDS:
            world.nemesis.add(BREAKING, self._break)
            world.nemesis.add(UNREAD, self._come_and_go)

    def _end(self) -> float:
        return self.world.loop.time() + LASTS * (0.5 + self.rng.random())

    def _over(self, end: float) -> bool:
        return self.world.healed or self.world.loop.time() >= end

    # -- wires that break -----------------------------------------------------------------------------

    def _break(self) -> bool:
        """For a while every wire is reset as soon as its dialler has an answer over it, and everybody talks."""
        if self._breaking:
            return False
        self._breaking = True
        end = self._end()
        for life in self.world.lives:
            if life.alive:
                life.spawn(self._talk(life, end), "talk")
        self.world.later(self._break_until(end))
        return True

    async def _break_until(self, end: float) -> None:
        while not self._over(end):
            well = self._well()
            for connection in list(self.world.network.connections):
                if connection.dialler.path in well:
                    self.world.hits["broken when well"] += 1
                    life, where = well[connection.dialler.path]
                    life.broken[where] = life.broken.get(where, 0) + 1
                    connection.reset(within=0.005)
            await asyncio.sleep(PAUSE)
        self._breaking = False

    def _well(self) -> dict[WirePath, tuple[Life, tuple[str, Endpoint]]]:
        """The dialled wires that have carried an answer: from whom, and where to."""
        return {
            slot.state.wire.wire.path: (life, (transport.dest, slot.endpoint))
            for life in self.world.lives
            if life.alive
            for transport in life.transports()
            for slot in transport.dialler.pool.slots
            if isinstance(slot.state, Ready) and slot.state.proved
        }

    async def _talk(self, life: Life, end: float) -> None:
        user = User(life)
        while life.alive and not self._over(end):
            for dest in life.manager.list_dests():
                await self._typed(life, user.send(_word(life, dest), confirm="processed", timeout=1.0))
            await asyncio.sleep(PAUSE)

    # -- nobody reads ---------------------------------------------------------------------------------

    def _come_and_go(self) -> bool:
        """For a while one node does not read, and another begins a session, fills it, says goodbye and begins anew, or
        dies each time without a word and is dialled by the one that does not read."""
        alive = [life for life in self.world.lives if life.alive and life.consumers]
        goes = self.rng.random() < 0.5
        dials = self.world.plan.dials
        pairs = [
            (one, other)
            for one in alive
            for other in alive
            if ((one.name, other.name) if goes else (other.name, one.name)) in dials
        ]
        if not pairs or self._unread:
            return False
        peer, reader = self.rng.choice(pairs)
        self._unread[reader.name] = None
        end = self._end()
        reader.spawn(self._read_nothing(reader, end), "read nothing")
        if goes:
            peer.spawn(self._cycle(peer, reader.name, end), "come and go")
        else:
            self.world.later(self._die_again_and_again(peer.name, reader, end))
        return True

    async def _read_nothing(self, life: Life, end: float) -> None:
        try:
            await life.stop_consumers()
            while not self._over(end):
                await asyncio.sleep(PAUSE)
            if life.alive and not life.consumers:
                life.start_consumers()
        finally:
            self._unread.pop(life.name, None)

    async def _cycle(self, life: Life, dest: str, end: float) -> None:
        while life.alive and not self._over(end):
            self.world.hits["session came and went"] += 1
            self.world.faults += 1  # the next one begins its backoff anew
            await self._fill(life, dest)
            await self._typed(life, life.manager.close_transport(dest, reason="again"))
            await asyncio.sleep(PAUSE)

    async def _die_again_and_again(self, name: str, reader: Life, end: float) -> None:
        while reader.alive and not self._over(end):
            await asyncio.sleep(PAUSE)
            life = next((each for each in self.world.lives if each.alive and each.name == name), None)
            if life is None:
                continue
            word = User(reader).send(_word(reader, name), confirm="received", timeout=0.3, reopen=True)
            await self._typed(reader, word)
            await self._fill(life, reader.name)
            if life.alive and not self._over(end):
                self.world.hits["died again"] += 1
                self.world.faults += 1
                life.crash(tell_peers=True)
                self.world.start_later(name, life.host.name, life.host.clock_offset, after=PAUSE)

    async def _fill(self, life: Life, dest: str) -> None:
        """One message on each lane."""
        user = User(life)
        lanes = (PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE)
        words = (user.send(user.make(dest, lane), confirm="received", timeout=0.3, reopen=True) for lane in lanes)
        await asyncio.gather(*(self._typed(life, word) for word in words))

    async def _typed(self, life: Life, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except (LitzError, TimeoutError) as error:
            self.world.hits[f"hard times: {type(error).__name__}"] += 1
            self.world.log(life, "in hard times:", error)


def _word(life: Life, dest: str) -> Sent:
    """A small message: who has to read many of them is not late for that."""
    checker = life.world.checker
    return checker.send(life, dest, PayloadType.RPC_RELIABLE, payload(len(checker.sent), PLAIN, 40))
