"""How much the streams of one process may keep to be sent, or sent again, all together.

A stream that keeps nothing may always take one entry, so that none waits for another one in a circle.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from outproc.log_budget import LogBudget
from outproc.session.send_lane import SendLane

if TYPE_CHECKING:
    from outproc.streams.side import OutprocSide


class LogRoom:
    """See the module. `limit` in bytes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self._loop = loop
        self._budget = LogBudget(limit)
        self._waiting: dict[OutprocSide, None] = {}
        self._watching = False

    @property
    def used(self) -> int:
        """Bytes kept now."""
        return self._budget.used

    def fits(self, lane: SendLane, size: int) -> bool:
        """Whether `lane` may take an entry of `size` bytes."""
        return not lane.log.size or self._budget.fits(size)

    def settle(self, lane: SendLane) -> None:
        """Count what `lane` keeps now."""
        self._budget.settle(lane)

    def forget(self, lane: SendLane) -> None:
        """The lane is no more."""
        self._budget.forget(lane)

    def wait(self, side: OutprocSide) -> None:
        """Tell it that it can write, once there is room, or when it keeps nothing any more."""
        self._waiting[side] = None
        if not self._watching:
            self._watching = True
            self._budget.on_room(self._has_room)

    def _has_room(self) -> None:
        # Not from inside an ack of somebody else.
        self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._watching = False
        waiting, self._waiting = self._waiting, {}
        for side in waiting:
            side.writable()
