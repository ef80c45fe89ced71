"""Frames that arrive damaged, in a part of the seeds: one now and then, and in bad times one on every wire.

Only binary frames, and only damage that must be noticed: wires promise their bytes, so litz has no checksum of its own.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from litz.testing.sim_wire import SimConnection
from outproc.frames.encode import encode_ack
from outproc.frames.layout import FRAME_HEADER_SIZE
from outproc.frames.records import Position

if TYPE_CHECKING:
    from tests.simulation.managers.world import World

SEEDS = 0.2
"""The part of the seeds that have it. Chance of its own, so that the others are what they were before."""
EVERY = 0.7
IMPOSSIBLE = encode_ack(0, Position(1 << 40, 0), 0, 0)


class Spoiler:
    """See the module."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = Random(f"spoiler {world.seed}")
        self.active = self.rng.random() < SEEDS
        self._bad_until = 0.0

    async def run(self) -> None:
        """Spoil until the faults are over."""
        while not self.world.healed:
            await asyncio.sleep(self.rng.expovariate(1 / EVERY))
            if self.rng.random() < 0.5:
                self._spoil(self.rng.choice((*self.world.network.connections, None)))
            else:
                self.world.log("FAULT", "spoiled again and again")
                await self._bad_times(self.world.loop.time() + self.rng.random() * 1.5)

    async def _bad_times(self, end: float) -> None:
        while self.world.loop.time() < end and not self.world.healed:
            for connection in list(self.world.network.connections):
                self._spoil(connection)
            await asyncio.sleep(0.01)

    def stop(self) -> None:
        """From now on all arrives as it was sent."""
        for connection in self.world.network.connections:
            connection.tamper(None)

    def _spoil(self, connection: SimConnection | None) -> None:
        """Damage the next binary frame."""
        if connection is None:
            return

        def change(frame: bytes) -> bytes:
            if frame[:1] == b"{" or self.world.healed:
                return frame
            connection.tamper(None)
            self.world.faults += 1
            self.world.hits["frame spoiled"] += 1
            self.world.log("FAULT", "spoiled", connection)
            return self._damaged(frame)

        connection.tamper(change, self.rng.choice(("dialler", "acceptor")))

    def _damaged(self, frame: bytes) -> bytes:
        match self.rng.randrange(3):
            case 0:
                return frame[:-1]
            case 1:
                return frame[:FRAME_HEADER_SIZE] + b"\xff"
            case _:
                return frame + IMPOSSIBLE
