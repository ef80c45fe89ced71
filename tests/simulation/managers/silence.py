"""A wire on which nothing comes any more is given up in time, by what the world sees of it: `ping_after` until somebody
asks, `dead_after` until that is no answer, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outproc.link import Link
from tests.simulation.managers.record import InvariantError

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

LATE = 0.15
"""Seconds that a busy loop may take. Less than half of `ping_after`: a node that counts silence from its own look at
the wire, and not from the last frame, is late by up to that."""
EXCUSED = 1.5
"""After the loop stood still verdicts wait for so long."""


class SilenceWatch:
    """Of one world: told of every look at a life."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._heard: dict[Link, tuple[tuple[int, ...], float]] = {}

    def look(self, life: Life) -> None:
        """Raises for a wire that was silent for too long. What came was seen later than it came, so that this is
        lenient."""
        now, options = self.world.loop.time(), life.options
        for transport in life.transports():
            for link in transport.links:
                came = (link.wire.received_bytes, link.frames_in, link.urgent_in, self.world.sleeps.count(life))
                known = self._heard.get(link)
                if known is None or known[0] != came:
                    self._heard[link] = (came, now)
                    continue
                most = options.ping_after + options.dead_after + LATE + self._pieces(life, link)
                if now - known[1] > most and not self.world.stalled_since(known[1] - EXCUSED):
                    silent = f"{now - known[1]:.2f} s, and {most:.2f} s are the most"
                    raise InvariantError("silent", f"{life} keeps {link!r}, on which nothing came for {silent}")

    def _pieces(self, life: Life, link: Link) -> float:
        """Seconds more on a wire that brings frames bit by bit: of a frame that never became whole its node knows that
        bytes came, and not when."""
        plan = self.world.plan
        slow = (
            plan.natures.get(link.wire.kind, {}).get("bandwidth") or plan.link.bandwidth or "slow link" in plan.faults
        )
        return life.options.ping_after if slow else 0.0
