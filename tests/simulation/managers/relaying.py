"""A hub, in a part of the seeds: nodes reach each other through it, most of them only so, and it restarts."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

from litz.testing import SimHost
from litz.wire import WireBuilder
from outproc.local_node import Environment
from outproc.manager import OutprocTransportManager
from outproc.options import TransportOptions
from outproc.relay_options import RelayOptions
from outproc.wires.relay import RelayWireBuilder
from tests.simulation.managers.kinds import HUB

if TYPE_CHECKING:
    from tests.simulation.managers.world import World

TO_HUB: Final = "sim"
"""The kind of wire between a node and the hub."""


class Relaying:
    """The hub of one world, one life of it after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = Random(f"hub {world.seed}")
        self.lives = 0
        self._hub: OutprocTransportManager | None = None
        self._up = asyncio.Event()
        self._up.set()
        if world.plan.relayed:
            world.nemesis.add("hub restart", self._restart)

    @property
    def directory(self) -> dict[str, list[str]]:
        """Where the hub is."""
        return {HUB: [f"{TO_HUB}://{HUB}:1"]} if self.world.plan.relayed else {}

    def builders(self, host: SimHost) -> list[WireBuilder]:
        """What a node on `host` needs besides."""
        if not self.world.plan.relayed:
            return []
        return [host.builder(TO_HUB, max_frame=[4_096, 65_536]), RelayWireBuilder(via=[HUB])]

    async def start(self) -> None:
        """Start the hub."""
        self.lives += 1
        number, host = self.lives, self.world.network.host(HUB)
        chance = Random(f"hub {self.world.seed} {number}")
        self._hub = OutprocTransportManager(
            HUB,
            directory={},
            builders=[host.builder(TO_HUB, max_frame=[4_096, 65_536]), RelayWireBuilder()],
            authenticator=self.world.plan.proofs.authenticator(HUB),
            options=TransportOptions(ping_after=0.4, dead_after=0.4, close_timeout=1.0),
            environment=Environment(lambda: number, chance.randbytes, chance),
            relay=RelayOptions(),
        )
        await self._hub.__aenter__()
        await self._hub.listen(f"{TO_HUB}://{HUB}:1")

    def _restart(self) -> bool:
        """It closes, or is gone without a word, and comes again."""
        old, self._hub = self._hub, None
        if old is None:
            return False
        self._up.clear()
        in_order = self.rng.random() < 0.5
        if not in_order:
            self.world.network.host(HUB).crash(tell_peers=self.rng.choice((True, False, None)))

        async def again() -> None:
            await old.aclose()
            await asyncio.sleep(self.rng.random() * 0.5)
            await self.start()
            self._up.set()

        self.world.later(again())
        return True

    async def heal(self) -> None:
        """Returns once the hub is up."""
        await self._up.wait()

    def pause(self) -> float:
        """Seconds for which it tells somebody busy, who broke its rules too often."""
        entered = self._hub._entered if self._hub is not None else None
        faulted = [each.faulted_until for each in entered.dests.transports()] if entered is not None else []
        return max(0.0, max(faulted, default=0.0) - self.world.loop.time())

    async def aclose(self) -> None:
        """The end."""
        if self._hub is not None:
            await self._hub.aclose()

    def forget(self) -> None:
        """The run failed: do not warn of a hub that is not closed."""
        if self._hub is not None:
            self._hub._home.open = False
