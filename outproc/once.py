"""Something that happens at most once, and costs nothing until somebody waits for it."""

from __future__ import annotations

import asyncio


class Once:
    """An `asyncio.Event` that is never cleared. Every dest has one, and an Event takes 800 bytes."""

    __slots__ = ("_event", "happened")

    def __init__(self) -> None:
        self.happened = False
        self._event: asyncio.Event | None = None

    def happen(self) -> None:
        """Wake all who wait. Idempotent."""
        self.happened = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Return when it has happened. May be cancelled; any number may wait."""
        if self.happened:
            return
        if self._event is None:
            self._event = asyncio.Event()
        await self._event.wait()
