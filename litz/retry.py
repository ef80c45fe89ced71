"""How much one caller puts up with while a dest is not reached. Pure.

It is the caller's alone: dials are shared, and nobody's patience makes them more, fewer, sooner or later for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Retry:
    """`when_down=Retry(...)`: wait for the first session with the dest, and go on waiting when it cannot be reached.

    attempts  how many times it may turn out that the dest cannot be reached; with the last one its `ConnectError` is
              raised. None: any number
    seconds   for how long to wait; then the latest `ConnectError` is raised. None: without end

    An error that makes further attempts pointless (a goodbye, a budget used up, a key not to be trusted) is raised at
    once. Raises ValueError for what is not above 0.
    """

    attempts: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for value in (self.attempts, self.seconds):
            if value is not None and not 0 < value < inf:
                raise ValueError(f"a Retry has attempts and seconds above 0; None means any number: {self!r}")


class Patience:
    """What is left of the `Retry` of one call that began at `now` (seconds of any clock)."""

    __slots__ = ("_failures", "_retry", "deadline", "lost")

    def __init__(self, retry: Retry, now: float) -> None:
        self._retry = retry
        self._failures = 0
        self.deadline = None if retry.seconds is None else now + retry.seconds
        self.lost = False
        """Whether it is at its end."""

    def sits_through(self, now: float, *, pointless: bool) -> bool:
        """It turned out, once more, that the dest cannot be reached. Whether to go on waiting."""
        self._failures += 1
        attempts = self._retry.attempts
        over = self.deadline is not None and now >= self.deadline
        self.lost = pointless or over or (attempts is not None and self._failures >= attempts)
        return not self.lost
