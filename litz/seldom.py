"""What peers can make happen again and again is told now and then, so that none of them can fill a log. Pure."""

from __future__ import annotations

from typing import Final

EVERY: Final = 60.0
"""Seconds for which more of the same is counted, and not told."""

MOST: Final = 1_024
"""Peers, each times the kinds of its errors, that are told apart; all others together count as one."""

OF_HANDLER: Final = 5
"""Errors of one kind that one peer makes happen in a handler: so many are told before more are only counted."""

_OTHERS: Final = ("", "")


class Seldom:
    """Of errors at one place: which of them are told. `now` in seconds of any clock that does not go back.

    first  of each peer and kind, so many are told one after the other; then one in `every` seconds, with a count of
           what was left out, for as long as it goes on without a pause of that
    """

    def __init__(self, every: float = EVERY, most: int = MOST, *, first: int = 1) -> None:
        self._every = every
        self._most = most
        self._first = first
        self._told: dict[tuple[str, str], tuple[float, int, int]] = {}
        """For each peer and kind when it begins anew, soonest first, how many are told until then, and how much was
        left out."""
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._told)

    def words(self, now: float, peer: str, error: BaseException) -> str | None:
        """`peer` made `error` happen. None: say nothing. Otherwise say it, with this behind it."""
        key = (peer, type(error).__name__)
        if key not in self._told and not self._has_room(now):
            key = _OTHERS
        again, more, left_out = self._told.get(key, (now, 0, 0))
        if now < again:
            if not more:
                self._told[key] = (again, 0, left_out + 1)
                return None
            self._told[key] = (again, more - 1, 0)
        else:
            self._told.pop(key, None)
            more = 1 if left_out else self._first
            self._told[key] = (now + self._every, more - 1, 0)
        if left_out:
            return f" ({left_out} more of these were not told)"
        return f" (more of these are only counted for {self._every:.0f} s)" if more == 1 < self._first else ""

    def left_out(self) -> int:
        """How many were left out and are in no words yet: for when there will be no others. They count as told."""
        total, self._forgotten = self._forgotten, 0
        for key, (again, more, left_out) in self._told.items():
            total += left_out
            self._told[key] = (again, more, 0)
        return total

    def _has_room(self, now: float) -> bool:
        while len(self._told) >= self._most:
            first, (again, _, left_out) = next(iter(self._told.items()))
            if again > now:
                return False
            self._forgotten += left_out
            del self._told[first]
        return True
