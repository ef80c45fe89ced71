"""Watches each move of a lane, in the moment it happens: was it for one of the reasons that `BestWire` documents?

Judges by what was measured, read off the wires, and by the words of the policy: a clear difference, or none counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from litz.events import LaneMoved, WireDown, WireUp
from outproc.dest_transport import DestTransport
from outproc.link import Link
from outproc.session.fixed_lanes import INTERNAL_LANES
from outproc.session.session import FIXED_LANES, LOSSY_LANE, Session
from outproc.wire_choice import BULK, ROUTES, BestWire
from outproc.wire_set import link_of, links_of, payload_type_of
from tests.simulation.managers.kinds import LOSSY
from tests.simulation.managers.record import InvariantError

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

RESTED = 2.0
"""Seconds that a lane may stay although another wire is better: `stay`, waiting for little to be in flight, a look."""


class Judge:
    """What is known of the wires of one dest for one lane, at this moment."""

    def __init__(self, life: Life, transport: DestTransport, lane: int) -> None:
        policy = life.options.wire_policy
        assert isinstance(policy, BestWire)
        self.policy = policy
        self.about = f"{life}: lane {lane}"
        self.key = transport.session, lane
        self._row = life.options.wire_preference.get(payload_type_of(lane), ("*",))
        self._now = life.world.loop.time()
        self._bulk = payload_type_of(lane) in BULK
        self.links = [link for link in links_of(transport.session) if lane == LOSSY_LANE or link.dependable]
        if lane in INTERNAL_LANES:  # what is relayed must hang on no other relay: these leave one at once
            self.links = [link for link in self.links if link.wire.path.route != "relay"] or self.links

    def tier(self, link: Link) -> tuple[bool, int, int]:
        """Less is better, whatever was measured."""
        kind = link.wire.kind if link.wire.kind in self._row else "*"
        return link.meter.sick, self._row.index(kind), ROUTES.index(link.wire.path.route)

    def steady(self, link: Link) -> bool:
        """Whether it may attract lanes."""
        return link.meter.round_trip is not None and self._now - link.up_since >= self.policy.steady

    def by_round_trip(self, *links: Link) -> bool:
        """Whether nothing but the round trip tells these apart for the lane."""
        rated = self._bulk and any(link.meter.throughput(self._now) is not None for link in links)
        return not rated and len({self.tier(link) for link in links}) == 1

    def clearly_quicker(self, link: Link, other: Link) -> bool:
        """Whether `link` is by more than counts as noise."""
        mine, theirs = link.meter.round_trip, other.meter.round_trip
        return mine is not None and theirs is not None and theirs > mine * self.policy.near + self.policy.slack

    def better(self, lane_is_on: Link) -> Link | None:
        """A steady wire that is clearly better than the one the lane is on."""
        for other in self.links:
            if other is lane_is_on or not self.steady(other):
                continue
            if self.tier(other) < self.tier(lane_is_on):
                return other
            if self.by_round_trip(other, lane_is_on) and self.clearly_quicker(other, lane_is_on):
                return other
        return None


class Resting:
    """While all is calm: no lane stays where it is for long although another wire is clearly better by what was
    measured."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._since: dict[tuple[Session, int], tuple[Link, float]] = {}

    def look(self, life: Life, transport: DestTransport) -> None:
        """Look at all lanes of one dest, many times. Raises for one that stayed."""
        session, now = transport.session, self.world.loop.time()
        for lane in (*FIXED_LANES, LOSSY_LANE):
            wire = link_of(session.lossy_out.wire if lane == LOSSY_LANE else session.send_lanes[lane].wire)
            better = Judge(life, transport, lane).better(wire) if wire is not None else None
            known, since = self._since.get((session, lane), (None, now))
            if better is None or known is not wire:
                self._since.pop((session, lane), None)
                if better is not None and wire is not None:
                    self._since[session, lane] = wire, now
            elif now - since > RESTED:
                about = f"{life}: lane {lane} rests on {wire!r} for {now - since:.1f} s"
                raise InvariantError("on-best", f"{about}, and {better!r} is better")


class Choosing:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._chosen: dict[tuple[Session, int], tuple[str, float]] = {}
        """The wire to which a lane was moved by choice, and when; not if a fault has moved it since."""

    def forced(self, session: Session, lane: int) -> None:
        """A fault moved the lane."""
        self._chosen.pop((session, lane), None)

    def made_room(self, life: Life, came: WireUp, event: WireDown) -> None:
        """A wire went in the moment in which another came. Raises if reliable lanes lost their last one by that, unless
        it was the peer that took it out: it may have had others at that moment."""
        left = [link for each in life.transports() if each.dest == event.dest for link in each.links]
        for_it = came.dest == event.dest and came.wire != event.wire and "displaced" in event.cause
        for_it = for_it and event.wires_left >= life.options.max_wires
        if for_it and event.kind != LOSSY and not any(link.dependable for link in left):
            raise InvariantError("heals", f"{life}: {event} for {left}, which reliable lanes cannot ride on")

    def moved(self, life: Life, event: LaneMoved) -> None:
        """Raises if there was no reason."""
        transport = next((each for each in life.transports() if each.dest == event.dest), None)
        if transport is None or life.crashed:
            return
        judge = Judge(life, transport, event.lane)
        by_name = {repr(link.wire): link for link in judge.links}
        new = by_name.get(event.wire)
        if new is None:
            raise InvariantError("on-best", f"{judge.about} goes to {event.wire}, which must not carry it")
        self.world.hits["latency first on a lossy wire"] += not new.dependable
        if not event.before:
            return
        old = by_name.get(event.before)
        if old is not None and not old.meter.sick:
            self._check_reason(judge, event, old, new)
        better = judge.better(new)
        if better is not None:
            raise InvariantError("on-best", f"{judge.about} moved to {new!r}, and {better!r} is better")
        self._chosen[judge.key] = event.wire, self.world.loop.time()

    def _check_reason(self, judge: Judge, event: LaneMoved, old: Link, new: Link) -> None:
        about = f"{judge.about} moved from {old!r} to {new!r}"
        if not judge.steady(new):
            raise InvariantError("calm", f"{about}, which is not steady")
        if judge.tier(new) > judge.tier(old):
            raise InvariantError("on-best", f"{about}, which is worse")
        if judge.tier(new) < judge.tier(old):
            return
        self.world.hits["moved by measure"] += 1
        if judge.by_round_trip(old, new) and not judge.clearly_quicker(new, old):
            trips = old.meter.round_trip, new.meter.round_trip
            raise InvariantError("calm", f"{about} for a difference that is none: {trips}")
        name, since = self._chosen.get(judge.key, ("", 0.0))
        stayed = self.world.loop.time() - since
        if name == event.before and stayed < judge.policy.stay:
            raise InvariantError("calm", f"{about} {stayed:.3f} s after it came there by choice")
