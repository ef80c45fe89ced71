"""How long to wait before the next attempt: exponential backoff with full jitter.

Full jitter is the variant that finishes the most work with the fewest calls when many clients compete:
Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/):
`sleep = random_between(0, min(cap, base * 2 ** attempt))`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """The shape of a backoff: the first ceiling and the highest in seconds, and the growth between them.

    Raises ValueError unless 0 < base <= cap < infinity and 1 <= factor < infinity.
    """

    base: float = 0.05
    cap: float = 5.0
    factor: float = 2.0

    def __post_init__(self) -> None:
        if not (0 < self.base <= self.cap and isfinite(self.cap) and self.factor >= 1 and isfinite(self.factor)):
            raise ValueError(f"a backoff needs 0 < base <= cap and factor >= 1: {self!r}")

    def ceiling(self, attempt: int) -> float:
        """The longest wait in seconds before attempt number `attempt`; 0 for attempt 0."""
        if attempt < 0:
            raise ValueError(f"attempts count from 0, not {attempt}")
        if not attempt:
            return 0.0
        try:
            return min(self.cap, self.base * self.factor ** (attempt - 1))
        except OverflowError:
            return self.cap


DEFAULT_BACKOFF = Backoff()


def backoff_delay(attempt: int, rng: Random, backoff: Backoff = DEFAULT_BACKOFF) -> float:
    """Seconds to wait before attempt number `attempt`, uniform from 0 to the ceiling.

    Attempt 0 is made at once: a connection that broke is most often back in the same moment. The caller
    waits that long, makes the attempt, and asks with `attempt + 1` when that failed.
    """
    return rng.random() * backoff.ceiling(attempt)
