"""What happens to packets in one direction of a bad link. Pure: time and chance are passed in.

The clock is whoever calls; the same seed and the same packets at the same times meet the same fate.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad it is. Times in seconds, chances from 0 to 1.

    delay      one way
    jitter     at most so much more, evenly; order is kept within it
    loss       chance that a packet is lost, each for itself
    burst      chance that a bad spell begins at a packet; within it all are lost (Gilbert-Elliott)
    calm       chance that a bad spell ends before a packet
    reorder    chance that a packet skips the delay, and so passes those under way
    duplicate  chance that a packet comes twice
    rate       bytes a second, 0: any
    queue      packets that may be under way; those above are lost
    down       everything is lost
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    burst: float = 0.0
    calm: float = 0.5
    reorder: float = 0.0
    duplicate: float = 0.0
    rate: float = 0.0
    queue: int = 2000
    down: bool = False


class Direction:
    """Packets under way in one direction. `feed` each as it comes, `take` those that are due."""

    def __init__(self, random: Random, weather: Weather | None = None) -> None:
        self._random = random
        self._under_way: list[tuple[float, int, bytes]] = []
        self._number = 0
        self._latest = 0.0
        self._free_at = 0.0
        self._bad_spell = False
        self.weather = weather or Weather()
        self.counts: Counter[str] = Counter()

    def feed(self, packet: bytes, now: float) -> None:
        """A packet enters."""
        self.counts["in"] += 1
        weather = self.weather
        if self._is_lost(weather):
            self.counts["lost"] += 1
            return
        for _ in range(2 if self._random.random() < weather.duplicate else 1):
            if len(self._under_way) >= weather.queue:
                self.counts["queue full"] += 1
                return
            heapq.heappush(self._under_way, (self._due(packet, weather, now), self._number, packet))
            self._number += 1
        self.counts["duplicated"] = self._number - self.counts["in"] + self.counts["lost"] + self.counts["queue full"]

    def _is_lost(self, weather: Weather) -> bool:
        if self._bad_spell and self._random.random() < weather.calm:
            self._bad_spell = False
        elif not self._bad_spell and self._random.random() < weather.burst:
            self._bad_spell = True
        return weather.down or self._bad_spell or self._random.random() < weather.loss

    def _due(self, packet: bytes, weather: Weather, now: float) -> float:
        sent = now
        if weather.rate:
            self._free_at = sent = max(now, self._free_at) + len(packet) / weather.rate
        if weather.delay and self._random.random() < weather.reorder:
            self.counts["reordered"] += 1
            return sent
        self._latest = max(self._latest, sent + weather.delay + self._random.random() * weather.jitter)
        return self._latest

    def take(self, now: float) -> list[bytes]:
        """What has arrived by now, in the order of its arrival."""
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            arrived.append(heapq.heappop(self._under_way)[2])
        self.counts["out"] += len(arrived)
        return arrived

    @property
    def next_due(self) -> float | None:
        """When the next one arrives, if any is under way."""
        return self._under_way[0][0] if self._under_way else None
