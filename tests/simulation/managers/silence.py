"""A wire on which nothing comes any more is given up in time, by what the world sees of it: `ping_after` until somebody
asks, `dead_after` until that is no answer, and nothing more. And once all has healed no wire is silent at all, however
slow it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litz.events import WireDown, WireUp
from outproc.link import Link
from tests.simulation.managers.kinds import LOSSY
from tests.simulation.managers.record import InvariantError

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

RELAY: Final = "relay"
"""The kind of a wire through a hub, which may go on being restarted."""
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
        self._sound: dict[str, float] = {}
        """When wires, by what events call them, came up that began after all had healed."""
        self._healed_at = float("inf")
        self._woke: dict[Life, float] = {}

    def told(self, life: Life, event: WireUp | WireDown) -> None:
        """Raises if a life gives up a wire as silent that nothing ails."""
        now = self.world.loop.time()
        if self.world.healed:
            self._healed_at = min(now, self._healed_at)
        if isinstance(event, WireUp):
            links = (link for transport in life.transports() for link in transport.links)
            began = next((link.started_at for link in links if repr(link.wire) == event.wire), 0.0)
            jumpy = self.world.plan.natures.get(event.kind, {}).get("spikes")  # an answer may come too late
            if began >= self._healed_at and event.kind not in (LOSSY, RELAY) and not jumpy:
                self._sound[event.wire] = now
            return
        since = self._sound.get(event.wire)
        if since is None or not event.cause.startswith("silent") or self.world.ends.active:
            return  # where nodes leave often one may still die without a word
        if not (self.world.stalled_since(since - EXCUSED) or self._doubted_too_shortly(life, event.kind, now)):
            raise InvariantError("silent", f"{life} gave {event.wire} up, on which frames come and go: {event.cause}")

    def _doubted_too_shortly(self, life: Life, kind: str, now: float) -> bool:
        """Whether the machine woke just now, or saw now that it had: then every wire has `wake_timeout` to answer, and
        on one whose round trip takes longer no answer comes in that. Who sets an option says how long paths may be."""
        link, timeout = self.world.plan.link, life.options.wake_timeout
        way = link.latency + link.jitter + self.world.plan.natures.get(kind, {}).get("latency", 0.0)
        return now - self._woke.get(life, float("-inf")) <= timeout + LATE and 2 * way >= timeout

    def woke(self, life: Life) -> None:
        """It has seen that its machine slept."""
        self._woke[life] = self.world.loop.time()

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
