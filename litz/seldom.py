"""What peers can make happen again and again is told now and then, so that none of them can fill a log. Pure."""

from __future__ import annotations

from typing import Final

EVERY: Final = 60.0
"""Seconds for which more of the same is counted, and not told."""

MOST: Final = 1_024
"""Peers, each times the kinds of its errors, that are told apart; all others together count as one."""

_OTHERS: Final = ("", "")


class Seldom:
    """Of errors at one place: which of them are told. `now` in seconds of any clock that does not go back."""

    def __init__(self, every: float = EVERY, most: int = MOST) -> None:
        self._every = every
        self._most = most
        self._told: dict[tuple[str, str], tuple[float, int]] = {}
        """For each peer and kind when it may be told again, soonest first, and how much was left out since."""

    def __len__(self) -> int:
        return len(self._told)

    def words(self, now: float, peer: str, error: BaseException) -> str | None:
        """`peer` made `error` happen. None: say nothing. Otherwise say it, with this behind it."""
        key = (peer, type(error).__name__)
        if key not in self._told and not self._has_room(now):
            key = _OTHERS
        again, left_out = self._told.get(key, (now, 0))
        if now < again:
            self._told[key] = (again, left_out + 1)
            return None
        self._told.pop(key, None)
        self._told[key] = (now + self._every, 0)
        return f" ({left_out} more of these were not told)" if left_out else ""

    def _has_room(self, now: float) -> bool:
        while len(self._told) >= self._most:
            first, (again, _) = next(iter(self._told.items()))
            if again > now:
                return False
            del self._told[first]
        return True
