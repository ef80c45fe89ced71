"""Where a target stands in its backoff sequence. The shape of a backoff is `litz.backoff`: supervision has it too."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from litz.backoff import DEFAULT_BACKOFF, Backoff, backoff_delay

__all__ = ["DEFAULT_BACKOFF", "Backoff", "RetryState", "backoff_delay"]


@dataclass(slots=True)
class RetryState:
    """Where one target stands in its backoff sequence. `attempt` counts attempts since it last proved well."""

    backoff: Backoff = DEFAULT_BACKOFF
    attempt: int = 0

    def failed(self, rng: Random, backoff: Backoff | None = None) -> float:
        """An attempt failed. The caller makes the next one after the seconds returned. `backoff`: one of another shape,
        for this once."""
        self.attempt += 1
        return backoff_delay(self.attempt, rng, backoff or self.backoff)

    def proved(self) -> None:
        """The target has proved that it works (not merely that it answered): the next wait is 0 again."""
        self.attempt = 0
