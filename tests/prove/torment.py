"""A seeded nemesis for a `FaultProxy`: one random fault after the other, for as long as it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random

from tests.prove.fault_link import Link, Way
from tests.prove.fault_proxy import BOTH, FaultProxy

WEIGHTS: Mapping[str, int] = {
    "reset": 4,
    "cut": 4,
    "blackhole": 2,
    "blackhole one way": 2,
    "half-close": 2,
    "delay": 2,
    "refuse": 1,
    "stall": 1,
}


class Torment:
    """Draws faults by weight, at random times, on random links. Same seed, same sequence of draws; which link
    is hit depends on which live, as the network's timing is real. `trace` tells what was done."""

    def __init__(
        self,
        proxy: FaultProxy,
        seed: int,
        *,
        gap: tuple[float, float] = (0.05, 0.5),
        pause: tuple[float, float] = (0.05, 1.0),
        weights: Mapping[str, int] = WEIGHTS,
    ) -> None:
        self._proxy = proxy
        self._rng = Random(seed)
        self._gap = gap
        self._pause = pause
        self._weights = dict(weights)
        self.trace: list[str] = []

    async def run(self) -> None:
        """Until cancelled; then the proxy is left healed, accepting and without faults of ours."""
        try:
            while True:
                await asyncio.sleep(self._rng.uniform(*self._gap))
                await self._one(self._rng.choices(list(self._weights), list(self._weights.values()))[0])
        finally:
            self._proxy.refusing = self._proxy.stalling = False
            for link in list(self._proxy.links.values()):
                self._proxy.heal(link)

    async def _one(self, fault: str) -> None:
        seconds = self._rng.uniform(*self._pause)
        way = self._rng.choice(BOTH)
        if fault in ("refuse", "stall"):
            await self._deny(fault, seconds)
            return
        link = self._proxy.any_link()
        if link is None:
            return
        self.trace.append(f"{fault} {link.number} {way.value} {seconds:.3f}")
        match fault:
            case "reset":
                self._proxy.reset(link)
            case "cut":
                self._proxy.cut_after(link, way)
            case "half-close":
                self._proxy.half_close(link, way)
            case "delay":
                self._proxy.delay(link, seconds / 10, seconds / 10)
            case _:
                await self._blackhole(link, BOTH if fault == "blackhole" else (way,), seconds)

    async def _blackhole(self, link: Link, ways: tuple[Way, ...], seconds: float) -> None:
        self._proxy.blackhole(link, ways)
        await asyncio.sleep(seconds)
        if self._rng.random() < 0.5:
            self._proxy.heal(link)
        else:
            self._proxy.reset(link)

    async def _deny(self, fault: str, seconds: float) -> None:
        self.trace.append(f"{fault} all {seconds:.3f}")
        if fault == "refuse":
            self._proxy.refusing = True
        else:
            self._proxy.stalling = True
        for link in list(self._proxy.links.values()):
            self._proxy.reset(link)
        await asyncio.sleep(seconds)
        self._proxy.refusing = self._proxy.stalling = False
