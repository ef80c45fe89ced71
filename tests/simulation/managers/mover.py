"""Moves lanes between wires, as a policy of the sender may do at any time (R5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outproc.dest_transport import DestTransport
from outproc.wire_set import link_of, strand_for

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World


class Mover:
    """Counts how often what a lane has in flight is on one wire while it goes on with another."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng

    def spread(self, life: Life, dest: str, lane: int) -> None:
        """Send what was accepted, and go on with another wire."""
        for transport in life.transports():
            if transport.dest == dest and lane in transport.session.send_lanes:
                transport.outbound.flush()
                self.move(life, transport, lane)

    def move(self, life: Life, transport: DestTransport, number: int) -> bool:
        session = transport.session
        lane = session.send_lanes[number]
        able = [link for link in transport.links if link.dependable and link in session.wires]
        others = [link for link in able if link is not link_of(lane.wire)]
        if not others or lane.wire is None:
            return False
        if lane.acked < lane.cursor:
            self.world.overlaps += 1
        link = self.rng.choice(others)
        self.world.choosing.forced(session, number)
        session.bind(number, strand_for(session, link, number))
        self.world.log(life, "moves lane", number, "to", link)
        transport.outbound.arm()
        return True
