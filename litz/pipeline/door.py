"""Waiting for room, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Door:
    """Who comes waits until its condition holds and everybody before it is through."""

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def busy(self) -> bool:
        """Whether somebody waits here."""
        return bool(self._line)

    async def enter(self, free: Callable[[], bool]) -> None:
        """Return when `free()` is true and it is this one's turn. What follows up to the next await is its own: nobody
        else comes in between. Cancelled: it stood in nobody's way."""
        if not self._line and free():
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(waiter)
        try:
            while True:
                if self._line[0] is waiter and free():
                    return
                if waiter.done():
                    waiter = self._again(waiter)
                await waiter
        finally:
            self._line.remove(waiter)
            # The next one looks in a later turn of the loop, when this one has taken what it came for.
            self.news()

    def news(self) -> None:
        """A condition may hold now."""
        if self._line and not self._line[0].done():
            self._line[0].set_result(None)

    def _again(self, waiter: asyncio.Future[None]) -> asyncio.Future[None]:
        fresh: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line[self._line.index(waiter)] = fresh
        return fresh
