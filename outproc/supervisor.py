"""What the failures of one dest lead to: it grows cold, it is given up, and it is warm again. Tells each change once.

Decides nothing by itself: `outproc.reachability` knows the pattern, `outproc.pool` keeps the times of the endpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litz.errors import BusyError
from litz.events import DestCold, DestGivenUp, DestWarm
from outproc.failure_words import cause_of
from outproc.local_node import LocalNode
from outproc.pool import Pool
from outproc.reachability import UNLIMITED, Reachability, Redial
from outproc.retry.backoff import Backoff

OTHERS = "*"
"""All dests that the option `redial` does not name."""


def redial_of(node: LocalNode, dest: str) -> Redial:
    """What the options say of this dest."""
    redial = node.options.redial
    return redial.get(dest) or redial.get(OTHERS) or UNLIMITED if redial else UNLIMITED


def backoff_for(node: LocalNode, redial: Redial, pace: tuple[float, float] | None = None) -> Backoff:
    """The dest's own backoff, or that of the wire builder (`pace`: base and cap), or that of the options."""
    base, cap = pace or (node.options.backoff_base, node.options.backoff_cap)
    base = redial.base or base
    return Backoff(min(base, redial.cap or base), max(base, redial.cap or cap))


class Supervisor:
    """Of one dest.

    next_due  when the next attempt is due, asked only when there is something to tell
    """

    def __init__(
        self, node: LocalNode, dest: str, pool: Pool[Any], redial: Redial, next_due: Callable[[], float | None]
    ) -> None:
        options = node.options
        self._node = node
        self._dest = dest
        self._pool = pool
        self._next_due = next_due
        self._reach = Reachability(options.cold_failures, options.cold_after, redial)
        self.cause = ""
        """Why nothing is up: the latest failure, in words."""
        self.gave_up = ""
        """Why nothing is dialled by itself any more; "" as long as something is."""
        self._gave_up_at = 0.0

    @property
    def rests(self) -> bool:
        """Whether it is not dialled as usual: it is cold, or given up."""
        return self.cold or bool(self.gave_up)

    def begins_anew(self, *, waits: bool) -> bool:
        """Whether somebody who sends, and perhaps waits for it, makes a dest that `rests` be dialled at once. One who
        does not wait: only what was given up, and not at once, or each message would cost a dial."""
        rested = self._node.now() >= self._gave_up_at + self._node.options.backoff_cap
        return waits or (bool(self.gave_up) and rested)

    @property
    def cold(self) -> bool:
        return self._reach.cold is not None

    def retry_in(self) -> float | None:
        """Seconds until the next attempt; None: none comes by itself."""
        due = self._next_due()
        return None if due is None else max(0.0, due - self._node.now())

    def down(self, error: Exception) -> None:
        """The last wire was lost, perhaps for a reason that forbids to dial it again. The pool knows of it already."""
        self.cause = cause_of(error)
        self._reach.down(self._node.now())
        self._look_whether_stopped(error)

    def failed(self, error: Exception) -> None:
        """A dial, or asking where the dest is, was in vain, and nothing is up. The pool knows of it already."""
        self.cause = cause_of(error)
        now = self._node.now()
        if self._reach.failed(self.cause, now, answered=isinstance(error, BusyError)):
            self._pool.chill(now)
            self._tell_cold()
        self._look_whether_stopped(error)

    def _look_whether_stopped(self, error: Exception) -> None:
        stopped = self._pool.stopped()
        if stopped is not None:
            self.give_up(cause_of(stopped), error)

    def _tell_cold(self) -> None:
        pattern = self._reach.cold
        if pattern is not None:
            self._node.emit(DestCold(self._dest, pattern.cause, pattern.failures, pattern.seconds, self.retry_in()))

    def spent(self) -> str:
        """Why the budget of the dest is used up; "" if it is not."""
        return self._reach.spent(self._node.now(), self._next_due())

    def give_up(self, why: str, error: Exception) -> None:
        """Nothing is dialled by itself any more."""
        if not self.gave_up:
            self.gave_up = why
            self._gave_up_at = self._node.now()
            self._node.emit(DestGivenUp(self._dest, why, error))

    def up(self) -> None:
        """The dest is reached, whoever dialled."""
        self.cause = ""
        self._afresh(None, "it is reached")

    def afresh(self, reason: str) -> None:
        """Begin anew, because of `reason`: nothing that failed before counts."""
        self._afresh(self._node.now(), reason)

    def _afresh(self, now: float | None, reason: str) -> None:
        was_cold = self._reach.fresh(now)
        if was_cold:
            self._pool.thaw(self._node.now())
        if was_cold or self.gave_up:
            self.gave_up = ""
            self._node.emit(DestWarm(self._dest, reason))
