"""How an episode, or a subscription to it, ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from litz.episodes.keys import EpisodeKey

MAX_REASON: Final = 200
"""Characters of a reason, for people; what is longer is cut."""


class Why(IntEnum):
    """Why there are no more parts. The first three are the producer's; the numbers travel."""

    COMPLETE = 1
    """The producer said that it is complete. The only one that ends an iterator without an error."""
    FAILED = 2
    """The producer failed; `reason` says how."""
    CANCELLED = 3
    """The producer was told to stop."""
    SUPERSEDED = 4
    """A newer version or attempt began: `newer`."""
    EXPIRED = 5
    """It was kept for as long as it may be kept."""
    EVICTED = 6
    """It made room for others."""
    SLOW = 7
    """This subscriber fell too far behind, and did not ask to skip."""
    TRIMMED = 8
    """The parts this subscriber asked for were stored elsewhere and forgotten here; the first there is: `first`."""
    UNKNOWN = 9
    """It was not created within the time that a subscriber waits for that."""
    BEYOND = 10
    """The episode is over and shorter than the cursor of this subscriber: they are not of one episode."""
    CLOSED = 11
    """The buffer was closed."""
    LEFT = 12
    """This subscription was left by its own user."""
    BUSY = 13
    """A limit is reached at the publisher: later."""
    UNFIT = 14
    """The publisher cannot send a part (it is no bytes, or too large), or does not understand what was asked."""


PRODUCERS: Final = (Why.COMPLETE, Why.FAILED, Why.CANCELLED)
"""What `close` may be told."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of an episode, or of one subscription.

    last    number of the last part of the episode, 0 for none; of what is known where the end was decided
    first   number of the first part that can be had (with TRIMMED)
    newer   the newest key of the stream (with SUPERSEDED)
    """

    why: Why
    last: int = 0
    reason: str = ""
    first: int = 0
    newer: EpisodeKey | None = None

    @property
    def complete(self) -> bool:
        return self.why is Why.COMPLETE
