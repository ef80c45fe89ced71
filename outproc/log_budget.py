"""The limit on all logs of one process, settled per batch and not per message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from outproc.session.send_lane import SendLane


class LogBudget:
    """Bytes in the logs of all lanes of one manager. A lane's share is what it was last settled at.

    What a lane may take without asking (a quota) is in its share from the start, until it is closed: `reserve`,
    `release`. It is nobody's yet, so it makes room for whoever has something: `make_room`.
    """

    __slots__ = ("_reserved", "_shares", "_waiting", "limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._shares: dict[SendLane, int] = {}
        self._reserved: dict[SendLane, tuple[int, Callable[[], None]]] = {}
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def left(self) -> int:
        return self.limit - self.used

    def fits(self, size: int) -> bool:
        """Whether a message of `size` bytes may be logged now."""
        return self.used + size <= self.limit or self.used == 0

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call once when the process has more room than now. Called in the order of asking."""
        self._waiting.append(callback)

    def settle(self, lane: SendLane) -> None:
        """Take over what `lane` holds now. What is reserved for it stays so: its quota is still open."""
        reserved = self._reserved.get(lane)
        self._set(lane, lane.log.size + (reserved[0] if reserved is not None else 0))

    def reserve(self, lane: SendLane, size: int, close: Callable[[], None]) -> None:
        """Keep `size` bytes more for `lane` than it holds now, until `release`, which `close()` must call."""
        self._reserved[lane] = (size, close)
        self.settle(lane)

    def release(self, lane: SendLane) -> None:
        """The quota of `lane` is closed: its share is what it holds."""
        self._reserved.pop(lane, None)
        self._set(lane, lane.log.size)

    def make_room(self, size: int) -> None:
        """Somebody has `size` bytes to log. If they do not fit, close all quotas: what only might be sent keeps nobody
        waiting, and refuses nobody."""
        if not self.fits(size):
            for _, close in list(self._reserved.values()):
                close()

    def forget(self, lane: SendLane) -> None:
        """The lane's session is over."""
        self._reserved.pop(lane, None)
        self._set(lane, 0)

    def _set(self, lane: SendLane, size: int) -> None:
        change = size - self._shares.get(lane, 0)
        if not change:
            return
        self.used += change
        if size:
            self._shares[lane] = size
        else:
            del self._shares[lane]
        if change < 0 and self._waiting:
            waiting, self._waiting = self._waiting, deque()
            for callback in waiting:
                callback()
