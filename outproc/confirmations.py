"""Who waits for a message to be confirmed, and how far it must have come."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from operator import itemgetter
from typing import Literal

from litz.errors import LitzError

Level = Literal["received", "processed", "durable", "drained"]
"""How far a message has come. "drained" is "received", but a dropped message counts as done: its gap is acked."""


async def all_of(futures: Sequence[asyncio.Future[None]]) -> None:
    """Wait until all are done. Raises what the first of them raises; nobody waits for the others any more then."""
    try:
        for future in futures:
            await future
    finally:
        for future in futures:
            future.cancel()


class Confirmations:
    """Who waits for which number of one lane to be confirmed, per level."""

    __slots__ = ("_count", "_prune_at", "_waiting")

    def __init__(self) -> None:
        self._count = 0
        self._prune_at = 64
        self._waiting: dict[Level, list[tuple[int, int, asyncio.Future[None]]]] = {}

    def add(self, number: int, level: Level, future: asyncio.Future[None]) -> None:
        self._count += 1
        heap = self._waiting.setdefault(level, [])
        heappush(heap, (number, self._count, future))
        if len(heap) >= self._prune_at:
            # Those who gave up would pile up for as long as nothing is confirmed.
            heap[:] = [waiter for waiter in heap if not waiter[2].done()]
            heapify(heap)
            self._prune_at = 64 + 2 * len(heap)

    def confirmed(self, level: Level, below: int) -> None:
        """Everything below a number has reached `level`."""
        heap = self._waiting.get(level)
        while heap and heap[0][0] < below:
            future = heappop(heap)[2]
            if not future.done():
                future.set_result(None)

    def fail(self, number: int, error: LitzError) -> None:
        """One message will not be confirmed."""
        for level, heap in self._waiting.items():
            for waiting, _, future in heap if level != "drained" else ():
                if waiting == number and not future.done():
                    future.set_exception(error)

    def fail_all(self, error: LitzError) -> None:
        for heap in self._waiting.values():
            for _, _, future in heap:
                if not future.done():
                    future.set_exception(error)
        self._waiting.clear()

    def carried(self, again: Mapping[int, int], lost: Sequence[int], error: LitzError) -> Confirmations:
        """The lane's session ended. Who waits for a message that is sent `again` (old numbers with new ones, in order)
        goes on waiting, for the new one; who drains, if nothing up to there is among the `lost`. Others get `error`.
        Returns those who wait."""
        waiting = Confirmations()
        first_lost = min(lost, default=None)
        numbers = list(again)
        for level, heap in self._waiting.items():
            for number, _, future in sorted(heap, key=itemgetter(0, 1)):
                new = again.get(number)
                if level == "drained" and (first_lost is None or number < first_lost):
                    before = bisect_right(numbers, number)
                    new = again[numbers[before - 1]] if before else None
                    if new is None and not future.done():
                        future.set_result(None)  # all up to there has come, or was dropped
                elif level == "drained":
                    new = None
                if future.done():
                    continue
                if new is None:
                    future.set_exception(error)
                else:
                    waiting.add(new, level, future)
        self._waiting.clear()
        return waiting

    @property
    def highest(self) -> int:
        """The highest number that somebody waits for; -1: nobody waits."""
        return max((entry[0] for heap in self._waiting.values() for entry in heap), default=-1)
