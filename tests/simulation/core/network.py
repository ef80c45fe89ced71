"""Wires of the abstract network: each direction is an ordered queue that may lose a suffix, or go silent. A lossy one
also loses frames in between, doubles them, and lets them overtake each other; its handshake comes through."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.core.ends import Link

Message = tuple[Any, ...]
"""("frame", bytes), ("closed",), or a step of the abstract handshake."""

CLOSED: Message = ("closed",)


@dataclass(slots=True)
class Way:
    """One direction of a wire."""

    queue: deque[Message] = field(default_factory=deque)
    silent: bool = False
    """What is written from now on vanishes."""

    def lose_suffix(self, rng: Random, hits: Counter[str]) -> None:
        kept = rng.randint(0, len(self.queue))
        if kept < len(self.queue):
            hits["suffix lost"] += 1
        while len(self.queue) > kept:
            self.queue.pop()


STRANDED = ("rtc",)
"""Kinds of wire with a second strand."""


class SimWire:
    """A wire between two ends: 0 dialled, 1 accepted. `ways[i]` leads away from end i, and so does `ways[i + 2]`, the
    second strand, in a wire that has one. Between the two strands there is no order; one death is that of both."""

    def __init__(self, number: int, kind: str, max_frame: int, capacity: int, *, lossy: bool = False) -> None:
        self.number = number
        self.lossy = lossy
        self.kind = kind
        self.max_frame = max_frame
        self.capacity = capacity
        self.ways = tuple(Way() for _ in range(4 if kind in STRANDED else 2))
        self.ends: list[Link | None] = [None, None]

    def write(self, index: int, message: Message) -> None:
        way = self.ways[index]
        if not way.silent:
            way.queue.append(message)

    def writable(self, index: int) -> bool:
        way = self.ways[index]
        return way.silent or len(way.queue) < self.capacity

    def disturb(self, side: int, rng: Random, hits: Counter[str]) -> bool:
        """What a lossy wire does to the frame that comes next. Returns whether anything comes now."""
        queue = self.ways[side].queue
        if not self.lossy or queue[0][0] != "frame":
            return True
        match rng.randrange(6):
            case 0:
                queue.popleft()
                hits["frame lost"] += 1
                return False
            case 1:
                queue.appendleft(queue[0])
                hits["frame doubled"] += 1
            case 2 if len(queue) > 1 and queue[1][0] == "frame":
                queue[0], queue[1] = queue[1], queue[0]
                hits["frame overtaken"] += 1
        return True

    @property
    def sick(self) -> bool:
        """Half open, or silent in one direction."""
        return self.ways[0].silent or self.ways[1].silent

    def close(self, side: int) -> None:
        """That end closed it after all it wrote."""
        self.write(side, CLOSED)
        for way in self.ways[side::2]:
            way.silent = True
        self.ends[side] = None

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way."""
        return not any(way.queue for way in self.ways)

    def cut(self, rng: Random, hits: Counter[str], how: str) -> None:
        """Break it: `reset` tells both ends, `half open` none, `one way` breaks one direction and tells none."""
        sides = (rng.randrange(2),) if how == "one way" else (0, 1)
        for side in sides:
            for index, way in enumerate(self.ways[side::2]):
                if way.silent:
                    continue
                way.lose_suffix(rng, hits)
                if how == "reset" and index == 0:
                    way.queue.append(CLOSED)
                way.silent = True
        hits[how] += 1
