"""After healing: a while of calm traffic, in which every lane comes to the best wire and stays there.

Judges by what is true of the wires (their routes and latencies in the plan), not by the policy's own words.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from litz.errors import LitzError
from litz.events import LaneMoved, WireDown, WireUp
from litz.payload import REPLY_LANE, PayloadType
from outproc.dest_transport import DestTransport
from outproc.link import Link
from outproc.session.fixed_lanes import FIXED_LANES, RPC_LANE
from outproc.wire_set import link_of
from tests.simulation.managers.choosing import Resting
from tests.simulation.managers.record import InvariantError
from tests.simulation.managers.users import User

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

CALM = 4.0
"""Seconds of it. Within the first half every lane must be on the best wire."""
GAP = 0.015
"""Seconds one way by which a wire must be slower than another for a lane to have to leave it."""
MOST_MOVES = 3
"""Of one lane in the second half, if no wire comes or goes."""
STAYED = 0.25
"""Seconds that a lane may be seen on a sick wire: the world looks at times of its own."""
ROUTES = ("direct", "reflexive", "relay")


class SickWatch:
    """While there are faults: no lane stays on a sick wire beside one that is well."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._since: dict[tuple[DestTransport, int], float] = {}

    def look(self, life: Life) -> None:
        """Look at all lanes of one life. Raises for one that stayed."""
        now = self.world.loop.time()
        for transport in life.transports():
            wires = [link for link in transport.links if link.dependable]
            well = any(not link.meter.sick and now - link.up_since > STAYED for link in wires)
            for number in FIXED_LANES:
                wire = link_of(transport.session.send_lanes[number].wire)
                if not (well and wire is not None and wire.meter.sick):
                    self._since.pop((transport, number), None)
                    continue
                since = self._since.setdefault((transport, number), now)
                if now - since > STAYED and not self.world.stalled_since(since):
                    raise InvariantError("on-best", f"{life}: lane {number} stays on {wire!r}, which is sick")


class Settling:
    """Of one world that has healed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = Random(f"settling {world.seed}")
        self.lives = [life for life in world.lives if life.alive]
        self._resting = Resting(world)

    def _choices(self) -> list[tuple[Life, DestTransport]]:
        return [(life, each) for life in self.lives for each in life.transports() if len(each.links) > 1]

    async def run(self) -> None:
        """Raises if a lane is on a worse wire than there is, or swings."""
        if not self._choices():
            return
        self.world.hits["settled with a choice"] += 1
        marks: dict[Life, int] = {}
        end = self.world.loop.time() + CALM
        while (now := self.world.loop.time()) < end:
            if not marks and now >= end - CALM / 2:
                self._check_best()
                marks = {life: len(life.events) for life in self.lives}
            for life, transport in self._choices():
                life.spawn(self._send(life, transport.dest), "send while calm")
                self._resting.look(life, transport)
            await asyncio.sleep(0.1)
        self._check_best()
        for life in self.lives:
            self._check_calm(life, marks[life])

    async def _send(self, life: Life, dest: str) -> None:
        user = User(life)
        lane = self.rng.choice((PayloadType.RPC_RELIABLE, PayloadType.STREAM_RELIABLE, PayloadType.RPC_SIGNAL))
        try:
            await user.send(user.make(dest, lane), when_down="queue")
        except LitzError as error:
            self.world.log(life, "while calm:", error)

    # -- the best wire ------------------------------------------------------------------------------

    def _check_best(self) -> None:
        for life, transport in self._choices():
            for number in FIXED_LANES:
                wire = link_of(transport.session.send_lanes[number].wire)
                if wire is not None:
                    self._check_lane(life, transport, number, wire)
                    self._check_strand(life, transport, number, wire)

    def _check_lane(self, life: Life, transport: DestTransport, number: int, wire: Link) -> None:
        now = self.world.loop.time()
        for other in transport.links:
            known = other.meter.round_trip is not None and now - other.up_since > CALM / 2 - 0.2
            if other is wire or not other.dependable or not known or now - wire.up_since < CALM / 2 - 0.2:
                continue
            why = self._better(life, number, other, wire)
            if why:
                raise InvariantError("on-best", f"{life}: lane {number} is on {wire!r} although {other!r} is {why}")

    def _check_strand(self, life: Life, transport: DestTransport, number: int, wire: Link) -> None:
        """On a wire with an urgent channel signals and replies are there, and nothing else is."""
        if wire.urgent is None or self.world.loop.time() - wire.up_since < CALM / 2 - 0.2:
            return
        apart = transport.session.send_lanes[number].wire is wire.urgent
        if number == RPC_LANE:
            self.world.hits["settled with requests on it"] += apart
            return
        self.world.hits["settled with an urgent channel"] += 1
        urgent = number in (PayloadType.RPC_SIGNAL, REPLY_LANE)
        if apart != urgent:
            raise InvariantError("urgent-apart", f"{life}: lane {number} is{' not' * urgent} on the urgent channel")

    def _better(self, life: Life, number: int, other: Link, wire: Link) -> str:
        """In what `other` is clearly better than `wire` for a lane; "" if in nothing."""
        if other.meter.sick or wire.meter.sick:
            return "well" if wire.meter.sick and not other.meter.sick else ""
        row = life.options.wire_preference.get(PayloadType(number) if number < 4 else PayloadType.RPC_SIGNAL, ("*",))
        kinds = [each.wire.kind if each.wire.kind in row else "*" for each in (other, wire)]
        ranks = [row.index(kind) for kind in kinds]
        if ranks[0] != ranks[1]:
            return "preferred" if ranks[0] < ranks[1] else ""
        routes = [ROUTES.index(each.wire.path.route) for each in (other, wire)]
        if routes[0] != routes[1]:
            return "more direct" if routes[0] < routes[1] else ""
        latencies = [self.world.plan.natures.get(each.wire.kind, {}).get("latency", 0.0) for each in (other, wire)]
        trips = [each.meter.round_trip or 0.0 for each in (other, wire)]
        # A fault may have spoiled a measure, which gets better slowly.
        quicker = latencies[0] + GAP < latencies[1] and 2 * trips[0] < trips[1]
        return "much quicker" if quicker and number != PayloadType.STREAM_RELIABLE else ""

    # -- calm ---------------------------------------------------------------------------------------

    def _check_calm(self, life: Life, mark: int) -> None:
        moves: dict[tuple[str, int], int] = {}
        news: set[str] = set()
        for _, event in life.events[mark:]:
            if isinstance(event, WireUp | WireDown):
                news.add(event.dest)
            elif isinstance(event, LaneMoved) and event.before and "sick" not in event.reason:
                moves[event.dest, event.lane] = moves.get((event.dest, event.lane), 0) + 1
        for (dest, lane), count in moves.items():
            if dest not in news and count > MOST_MOVES:
                raise InvariantError("calm", f"{life}: lane {lane} to {dest} moved {count} times for nothing")
