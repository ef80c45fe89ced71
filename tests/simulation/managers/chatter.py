"""Latency-first traffic all the time, in seeds with a kind of wire that loses frames: what is heard on it must not make
anybody tell there what has to arrive."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from litz.errors import LitzError
from litz.payload import PayloadType
from litz.snapshot import DestState
from tests.simulation.managers.kinds import LOSSY
from tests.simulation.managers.record import InvariantError
from tests.simulation.managers.users import User

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

EVERY = 0.03
WORDS = 8
"""Messages of each node, once its lossy wires are deaf."""
ACKED_WITHIN = 10.0
LOOKS, LOOK_EVERY = 20, 0.1


class Chatter:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = Random(f"chatter {world.seed}")

    async def run(self) -> None:
        """Until cancelled: a few bytes from one node to another that it is connected with."""
        while True:
            await asyncio.sleep(self.rng.random() * 2 * EVERY)
            alive = [life for life in self.world.lives if life.alive]
            if not alive:
                continue
            life = self.rng.choice(alive)
            for dest in life.manager.list_dests():
                if life.manager.has_dest(dest) is not DestState.CONNECTED:
                    continue
                sent = User(life).make(dest, PayloadType.STREAM_LATENCY_FIRST)
                try:
                    receipt = life.manager.send_nowait(
                        dest, sent.data[:40], payload_type=PayloadType.STREAM_LATENCY_FIRST
                    )
                except LitzError:
                    sent.state = "refused"
                else:
                    sent.data = sent.data[:40]
                    self.world.checker.accepted(sent, receipt)

    async def last_words(self) -> None:
        """All has healed. Now wires that may lose frames lose all that goes one way, while something is sent that must
        be acknowledged."""
        if not self.world.plan.deaf_lossy or not await self._lossy_wire_up():
            return
        lives = [life for life in self.world.lives if life.alive]
        self.world.network.link(*self.rng.sample([life.host.name for life in lives], 2)).drop = 1.0
        self.world.hits["lossy wire deaf"] += 1
        for _ in range(WORDS):
            for life in lives:
                for dest in filter(life.manager.is_connected, life.manager.list_dests()):
                    life.spawn(self._say(life, dest), "last words")
            await asyncio.sleep(EVERY)
        within = ACKED_WITHIN + self.world.plan.carrying
        for life in lives:
            try:
                await life.manager.drain(timeout=within)
            except TimeoutError:
                detail = f"{life} hears of no ack within {within:g} s: {life.manager.snapshot()}"
                raise InvariantError("heals", detail) from None
            except LitzError as error:
                self.world.log(life, "last words:", error)

    async def _lossy_wire_up(self) -> bool:
        for _ in range(LOOKS):
            for connection in self.world.network.connections:
                if connection.kind == LOSSY and not (connection.dialler.dead or connection.acceptor.dead):
                    return True
            await asyncio.sleep(LOOK_EVERY)
        return False

    async def _say(self, life: Life, dest: str) -> None:
        user = User(life)
        try:
            await user.send(user.make(dest, PayloadType.RPC_RELIABLE), when_down="queue")
        except LitzError as error:
            self.world.log(life, "last words:", error)
