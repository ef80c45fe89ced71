"""Machines that sleep and wake, in a part of the seeds; and processes that only stand still, which is no sleep.

After a wake whoever was waiting out a backoff has dialled, and a wire that has been silent since is given up, both
within a time that neither the backoff nor the usual silence would have kept to.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from litz.events import Woke
from outproc.dest_transport import DestTransport
from outproc.link import Link
from outproc.slots import Cooling, Slot
from outproc.wake_watch import SleepClocks
from tests.simulation.managers.record import InvariantError

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

SEEDS = 0.25
"""The part of the seeds that have it. Chance of its own, so that the others are what they were before."""
EVERY = 0.5
DIALLED_WITHIN = 0.35
"""A look at the clocks (a fifth of `ping_after`), the stagger of a few endpoints, and a busy loop."""
FOUND_WITHIN = 0.35
"""A look at the clocks, `wake_timeout`, and a busy loop: less than `dead_after` alone."""

EXCUSED = 1.5
"""After the loop stood still verdicts wait for so long."""


class Sleeps:
    """See the module."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = Random(f"sleeps {world.seed}")
        self.active = self.rng.random() < SEEDS and not world.plan.relayed  # the way by a hub is too long for its times
        self._slept: dict[str, float] = {}
        self._stop_while_reading: dict[str, float] = {}
        self._sleeps: dict[Life, int] = {}

    def clocks_of(self, host: str) -> SleepClocks | None:
        """What a life on `host` looks at; None: it does not notice sleeps."""
        if not self.active:
            return None
        loop = self.world.loop

        def going() -> float:
            read = loop.time() + self._slept.get(host, 0.0)
            stop = self._stop_while_reading.pop(host, 0.0)
            if stop:
                self._stand_still(stop)
            return read

        return SleepClocks(loop.time, going)

    def count(self, life: Life) -> int:
        """How often the machine of `life` has slept in its time."""
        return self._sleeps.get(life, 0)

    async def run(self) -> None:
        """Let machines sleep until the faults are over."""
        while self.active and not self.world.healed:
            await asyncio.sleep(self.rng.expovariate(1 / EVERY))
            alive = [life for life in self.world.lives if life.alive]
            if not alive or self.world.healed:
                continue
            waiting = [life for life in alive if self._waits(life)]
            life = self.rng.choice(waiting if waiting and self.rng.random() < 0.7 else alive)
            self.world.faults += 1
            match self.rng.randrange(10):
                case 0:
                    self._stand_still(2.1 + self.rng.random())
                case 1:
                    self._stop_while_reading[life.host.name] = 2.1 + self.rng.random()
                case _:
                    self._sleep(life)

    def _stand_still(self, seconds: float) -> None:
        self.world.log("FAULT", "stopped for", seconds)
        self.world.hits["stopped for long"] += 1
        self.world.loop.stall(seconds)
        self.world._stalled_at = self.world.loop.time()

    def _sleep(self, life: Life) -> None:
        for connection in self.world.network.connections:
            concerned = life.host.name in (connection.source.name, connection.target.name)
            if concerned and self.rng.random() < 0.4:
                connection.half_open()
        seconds = 2.1 + self.rng.random() * 3600
        self.world.log("FAULT", life, "slept for", seconds)
        self.world.hits["wake"] += 1
        self._slept[life.host.name] = self._slept.get(life.host.name, 0.0) + seconds
        for each in self.world.lives:
            if each.host.name == life.host.name:
                self._sleeps[each] = self._sleeps.get(each, 0) + 1
        self.world.later(self._check_dials(life))
        self.world.later(self._check_wires(life))

    # -- what must follow ---------------------------------------------------------------------------

    def _waits(self, life: Life) -> list[tuple[DestTransport, Slot[Link], int]]:
        """What sits out a long backoff."""
        late = self.world.loop.time() + DIALLED_WITHIN
        return [
            (transport, slot, slot.dials)
            for transport in life.transports()
            for slot in transport.dialler.pool.slots
            if isinstance(slot.state, Cooling) and slot.state.until > late and _may_dial(life, transport, slot)
        ]

    async def _check_dials(self, life: Life) -> None:
        woke = self.world.loop.time()
        waiting = self._waits(life)
        await asyncio.sleep(DIALLED_WITHIN)
        if self.world.stalled_since(woke) or not life.alive:
            return
        for transport, slot, dials in waiting:
            if slot.dials > dials:
                self.world.hits["wake: dialled"] += 1
            elif isinstance(slot.state, Cooling) and _may_dial(life, transport, slot):
                raise InvariantError("wakes", f"{life} sits out {slot!r} with {transport.dest} after a sleep")

    async def _check_wires(self, life: Life) -> None:
        woke = self.world.loop.time()
        sleeps = self._sleeps[life]
        links = [(link, _came(link)) for t in life.transports() for link in t.links]
        await asyncio.sleep(FOUND_WITHIN)
        if self.world.stalled_since(woke - EXCUSED) or not life.alive or self._sleeps[life] > sleeps:
            return  # of several sleeps the last one is looked at
        for link, came in links:
            if not link.in_session:
                self.world.hits["wake: wire given up"] += _was_silent(link)
            elif _came(link) == came:
                raise InvariantError("wakes", f"{life} keeps {link!r}, silent since a sleep {FOUND_WITHIN:g} s ago")

    def check_events(self, life: Life) -> None:
        """Nobody notices a sleep that was none."""
        told = sum(isinstance(event, Woke) for _, event in life.events)
        self.world.hits["wake noticed"] += told
        if told > self._sleeps.get(life, 0):
            raise InvariantError("wakes", f"{life} noticed {told} sleeps of {self._sleeps.get(life, 0)}")


def _may_dial(life: Life, transport: DestTransport, slot: Slot[Link]) -> bool:
    dialler = transport.dialler
    held = slot.endpoint.kind in dialler.pool.held
    if dialler.look_ups.tasks:
        return False  # where all has failed the directory is asked first, and it may be slow
    known = slot.listed and slot in dialler.pool.slots
    return known and dialler.wanted and not dialler.closed and not held and transport in life.transports()


def _came(link: Link) -> tuple[int, int, int]:
    """What of its peer is a sign of life."""
    return link.wire.received_bytes, link.frames_in, link.urgent_in


def _was_silent(link: Link) -> bool:
    return link.failure is not None and "silent" in str(link.failure)
