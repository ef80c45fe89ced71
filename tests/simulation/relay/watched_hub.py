"""A hub under watch: what it holds, and whether its circuits take turns."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from outproc.wires.relay.hub import RelayHub
from outproc.wires.relay.messages import FRAME_COST
from outproc.wires.relay.switch import FIRST_WINDOW, Leg

if TYPE_CHECKING:
    from tests.simulation.relay.world import World


class WatchedHub:
    """Looks at each message that the hub posts."""

    def __init__(self, world: World, hub: RelayHub) -> None:
        self.world = world
        self.switch = hub.switch
        self._waited: dict[Leg, int] = {}
        self._posted = hub.switch.bulk_posted
        hub.switch.bulk_posted = self._post  # type: ignore[method-assign]  # that is what it is watched by

    def _post(self, name: str) -> None:
        """Who waits for its turn waits at most for one turn of each other pair, and within its own of each circuit."""
        ready = [leg for leg in self.switch._peers[name].legs.values() if leg.cost() is not None]
        before = {leg: leg.cost() or 0 for leg in ready}
        passed = {leg: leg.sent for leg in ready}
        self._posted(name)
        self.world.hits["two wait"] += len(ready) > 1
        served = [leg for leg in ready if leg.sent != passed[leg] or leg.cost() != before[leg]]
        for leg in served:
            self._waited.pop(leg, None)
        price = sum(before[leg] for leg in served)
        pairs = Counter(leg.far for leg in ready)
        for leg in ready:
            if leg in served:
                continue
            self._waited[leg] = self._waited.get(leg, 0) + price
            if self._waited[leg] > (len(pairs) + 1) * (pairs[leg.far] + 1) * FRAME_COST:
                self.world.fail("fair", f"{leg} waited for {self._waited[leg]} bytes of {len(ready) - 1} others")

    def check(self) -> None:
        """It holds, and may come to hold, no more than it was allowed."""
        switch = self.switch
        legs = [leg for peer in switch._peers.values() for leg in peer.legs.values()]
        held = sum(leg.queued for leg in legs)
        allowed = switch.limits.max_buffered + len(legs) * FIRST_WINDOW
        if switch.buffered != held or switch.buffered < 0 or switch.unused < 0:
            self.world.fail("bounded", f"the hub counts {switch.buffered} bytes and holds {held}")
        if switch.buffered + switch.unused > allowed:
            self.world.fail("bounded", f"{switch.buffered} bytes wait and {switch.unused} may come, over {allowed}")
        over = [
            leg
            for leg in legs
            if leg.other is not None and leg.granted - leg.taken > max(FIRST_WINDOW, switch.limits.window)
        ]
        if over:
            self.world.fail("bounded", f"{over[0]} was granted more than a window")
