"""The line of senders that wait for space in one log."""

from __future__ import annotations

import asyncio


class Place:
    """One sender's place in the line."""

    __slots__ = ("turn",)

    def __init__(self) -> None:
        self.turn: asyncio.Future[None] | None = None

    def go(self) -> None:
        """It may look now."""
        if self.turn is not None and not self.turn.done():
            self.turn.set_result(None)
