"""The pattern of failures of one dest: when it is cold, and when its budget is used up. Pure.

A dest that fails in the same way, often and for long, is not about to come back in the next seconds: it is *cold*, and
only probed now and then. A dest with a budget is *given up* once that is spent. Any success forgets all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_CAUSES: Final = 8
"""Causes of one dest that are counted apart; of more, the one that was seen longest ago is forgotten."""


@dataclass(frozen=True, slots=True)
class Redial:
    """How one dest is redialled: option `redial` of the manager. What is None is as for all others.

    base, cap  seconds: the first and the highest ceiling of the waits between its dials
    attempts   after so many failed dials, of all its endpoints together, it is given up; None: never
    seconds    no dial begins later than this after its last wire was lost, or it was asked for; None: no end

    Raises ValueError for what is not above 0, and for a cap below the base.
    """

    base: float | None = None
    cap: float | None = None
    attempts: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for value in (self.base, self.cap, self.attempts, self.seconds):
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"what a redial is given is above 0 and not infinite; None means no limit: {self!r}")
        if self.base is not None and self.cap is not None and self.cap < self.base:
            raise ValueError(f"the cap of a redial is not below its base: {self!r}")


UNLIMITED: Final = Redial()


@dataclass(frozen=True, slots=True)
class Pattern:
    """Why a dest is cold: `cause` made `failures` dials fail in `seconds`."""

    cause: str
    failures: int
    seconds: float


@dataclass(slots=True)
class _Seen:
    count: int
    first: float


class Reachability:
    """What is known of one dest that is not reached. Costs next to nothing while all is well.

    cold_failures  so many failures of one cause ...
    cold_after     ... over so many seconds, without a success, make the dest cold
    budget         when it is given up

    `cold` is what it is cold for, None: it is not. The caller says `down` when nothing is up any more, `failed` after
    each dial in vain, and `fresh` after any success, and when somebody asks for the dest.
    """

    __slots__ = ("_attempts", "_budget", "_causes", "_cold_after", "_cold_failures", "_since", "cold")

    def __init__(self, cold_failures: int, cold_after: float, budget: Redial = UNLIMITED) -> None:
        self._cold_failures = cold_failures
        self._cold_after = cold_after
        self._budget = budget
        self._causes: dict[str, _Seen] = {}
        self._attempts = 0
        self._since: float | None = None
        self.cold: Pattern | None = None

    def down(self, now: float) -> None:
        """Nothing is up, or what is asked for is not up yet: the time of the budget runs."""
        if self._since is None:
            self._since = now

    def failed(self, cause: str, now: float, *, answered: bool = False) -> bool:
        """A dial failed because of `cause`, and nothing is up. True: with this one the dest has become cold.

        `answered`: the peer is there and asked to come back later. That is no pattern, and costs no attempt.
        """
        self.down(now)
        if answered:
            return False
        self._attempts += 1
        seen = self._causes.pop(cause, None) or _Seen(0, now)
        seen.count += 1
        self._causes[cause] = seen  # the latest last
        if len(self._causes) > MAX_CAUSES:
            del self._causes[next(iter(self._causes))]
        if self.cold is not None or seen.count < self._cold_failures or now - seen.first < self._cold_after:
            return False
        self.cold = Pattern(cause, seen.count, now - seen.first)
        return True

    def spent(self, now: float, next_due: float | None) -> str:
        """Whether the budget is used up, in words; "" if not. `next_due`: when the next dial is due. The caller then
        dials no more."""
        budget = self._budget
        if budget.attempts is not None and self._attempts >= budget.attempts:
            return f"{self._attempts} dials have failed"
        if budget.seconds is not None and self._since is not None:
            due = now if next_due is None else max(now, next_due)
            if due >= self._since + budget.seconds:
                missed = f"it has not been reached for {now - self._since:.3g} s"
                return f"{missed}, and may be dialled for {budget.seconds:g} s"
        return ""

    def fresh(self, now: float | None) -> bool:
        """Forget all failures. `now`: nothing is up yet, and the time of the budget begins anew; None: it is reached.
        True: it was cold."""
        was_cold = self.cold is not None
        self._causes.clear()
        self._attempts = 0
        self._since = now
        self.cold = None
        return was_cold
