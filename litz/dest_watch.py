"""Who waits for which dest to change. What happens to one dest costs nothing for those who wait for others."""

from __future__ import annotations

import asyncio


class DestWatch:
    """For the loop of one manager. A dest nobody waits for takes no room."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[str, dict[asyncio.Future[None], None]] = {}

    async def changed(self, dest: str) -> None:
        """Return when `dest` has changed after this call, or all have. May be cancelled; look at the state again."""
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(dest, {})
        waiting[change] = None
        try:
            await change
        finally:
            # By identity: those told are out of the table already, and others may wait there by now.
            if self._waiting.get(dest) is waiting:
                waiting.pop(change, None)
                if not waiting:
                    del self._waiting[dest]

    def tell(self, dest: str) -> None:
        """`dest` has changed."""
        for change in self._waiting.pop(dest, ()):
            if not change.done():
                change.set_result(None)

    def tell_all(self) -> None:
        """The manager has closed: everybody looks."""
        for dest in list(self._waiting):
            self.tell(dest)

    def __len__(self) -> int:
        """How many dests are waited for."""
        return len(self._waiting)
