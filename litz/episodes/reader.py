"""One subscription to an episode: its cursor, and what is known of its pace. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from operator import length_hint
from typing import TYPE_CHECKING, Any

from litz.episodes.ends import End
from litz.episodes.keys import EpisodeKey
from litz.episodes.options import Behind
from litz.episodes.parts import Gap

if TYPE_CHECKING:
    from litz.episodes.episode import Episode


class Reader:
    """Made by `EpisodeCore.subscribe`, which owns it; its driver reads `end`, and sets `held`.

    cursor    number of the last part that was taken
    joined    number of the newest part when it joined: lag counts from there, or from the cursor
    episode   None while it waits for the creation, and after its end
    end       of this subscription; once set nothing more comes
    gap       what it gets first: it was skipped meanwhile
    wake      called, by the verb that brought the news, when there is something for a reader whose last `take` came
              back empty. Cheap, does not raise, does not call the core
    held      an iterator over the batch that was taken last, if its user takes it part by part: each part counts as
              progress
    """

    __slots__ = (
        "_left",
        "behind",
        "cursor",
        "due",
        "end",
        "episode",
        "gap",
        "held",
        "joined",
        "key",
        "taken_at",
        "wake",
    )

    def __init__(self, key: EpisodeKey, after: int, behind: Behind, wake: Callable[[], None], now: float) -> None:
        self.key = key
        self.cursor = after
        self.joined = after
        self.behind = behind
        self.wake = wake
        self.taken_at = now
        self.due = inf
        self.episode: Episode | None = None
        self.end: End | None = None
        self.gap: Gap | None = None
        self.held: Iterator[Any] | None = None
        self._left = 0

    def took(self, now: float, parts: int) -> None:
        """It was given `parts` parts."""
        self.taken_at = now
        self._left = parts

    def goes_on(self, now: float) -> bool:
        """Whether it has come further in its batch since it was last looked at."""
        left = length_hint(self.held, 0) if self.held is not None else 0
        if self.held is None or left >= self._left:
            return False
        self._left = left
        self.taken_at = now
        return True

    def skip_to(self, cursor: int, gap: Gap) -> None:
        """Go on after `cursor`; `gap` is told first, together with one that was not told yet."""
        self.gap = gap if self.gap is None else Gap(self.gap.first, gap.last, self.gap.why)
        self.cursor = cursor
