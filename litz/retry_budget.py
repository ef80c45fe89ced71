"""How many retries a dest gets: a share of its first attempts plus a small floor. Pure.

Retries that come in bulk make an outage of the many out of the trouble of one. The bucket is that of Finagle's
`RetryBudget` (https://twitter.github.io/finagle/guide/Clients.html#retries): each first attempt deposits a share of one
retry, time deposits a floor, and each retry takes one. Over any span of time:

    retries <= burst + share * first attempts + floor * seconds
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_DESTS: Final = 4096
"""Dests that are told apart. Of the others the one that tried longest ago is forgotten; it begins anew with a burst."""


class RetryBudget:
    """What one dest may still retry. `now` in seconds of any clock that does not go back."""

    __slots__ = ("_at", "_burst", "_floor", "_left", "_share", "firsts")

    def __init__(self, share: float, floor: float, burst: float, now: float) -> None:
        self._share = share
        self._floor = floor
        self._burst = burst
        self._left = float(burst)
        self._at = now
        self.firsts = 0
        """First attempts since the last retry was asked for. Add one for each: it costs no more than that."""

    def take(self, now: float) -> bool:
        """Pay for one retry. False: there is nothing left to pay with, and nothing was taken."""
        gained = self._share * self.firsts + self._floor * max(0.0, now - self._at)
        self._left = min(self._burst, self._left + gained)
        self._at = max(self._at, now)
        self.firsts = 0
        if self._left < 1:
            return False
        self._left -= 1
        return True


class RetryBudgets:
    """The budgets of all dests of one pipeline or one `serve`."""

    __slots__ = ("_budgets", "_burst", "_floor", "_limit", "_share")

    def __init__(self, share: float, floor: float, burst: float, limit: int = MAX_DESTS) -> None:
        self._share = share
        self._floor = floor
        self._burst = burst
        self._limit = limit
        self._budgets: OrderedDict[str, RetryBudget] = OrderedDict()

    def __len__(self) -> int:
        return len(self._budgets)

    def of(self, dest: str, now: float) -> RetryBudget:
        """The budget of `dest`, the same one for all who ask while it is remembered."""
        budget = self._budgets.get(dest)
        if budget is None:
            budget = self._budgets[dest] = RetryBudget(self._share, self._floor, self._burst, now)
            if len(self._budgets) > self._limit:
                self._budgets.popitem(last=False)
        else:
            self._budgets.move_to_end(dest)
        return budget
