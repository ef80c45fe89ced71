"""Whether there is room for one more episode or part, and who has to go for it. Pure.

What goes first: parts that are stored elsewhere (`commit`) and are still here because somebody is reading them, from
the episode whose first such part was committed first; then closed episodes, the one first that was closed first; then,
only if `evict_open` allows it, open ones, the oldest first, and never the one that needs the room. Nothing goes in
vain: if all of that would not make enough room, the new one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from litz.episodes.episode import Episode
from litz.episodes.keys import EpisodeKey
from litz.episodes.options import EpisodeOptions, Limit


class Room:
    """What there is, and what may go. `EpisodeCore` keeps it up to date."""

    __slots__ = ("_options", "closed", "episodes", "lingering", "open", "parts", "size")

    def __init__(self, options: EpisodeOptions) -> None:
        self._options = options
        self.episodes: dict[EpisodeKey, Episode] = {}
        self.open: dict[Episode, None] = {}
        """In the order in which they were created."""
        self.closed: dict[Episode, None] = {}
        """In the order in which they were closed."""
        self.lingering: dict[Episode, None] = {}
        """Those with parts that are committed and not trimmed."""
        self.parts = 0
        self.size = 0

    def victim_for_episode(self) -> tuple[Episode | None, Limit | None]:
        """Who has to go before one more episode is created: nobody (None, None), an episode, or a limit that stands."""
        if len(self.episodes) < self._options.max_episodes:
            return None, None
        for episode in self._victims(None):
            return episode, None
        return None, Limit.MAX_EPISODES

    def limit_for_part(self, episode: Episode, size: int) -> Limit | None:
        """The limit of the buffer that stands against a part of `size` bytes, whatever goes. None: `victim_for_part`
        makes room."""
        over_parts = self.parts + 1 - self._options.max_parts
        over_size = self.size + size - self._options.max_size
        if over_parts <= 0 and over_size <= 0:
            return None
        for lingering in self.lingering:
            over_parts -= lingering.committed - lingering.base
            over_size -= lingering.offset(lingering.committed) - lingering.offset(lingering.base)
            if over_parts <= 0 and over_size <= 0:
                return None
        for victim in self._victims(episode):
            kept = max(victim.base, victim.committed) if victim in self.lingering else victim.base
            over_parts -= victim.head - kept
            over_size -= victim.total - victim.offset(kept)
            if over_parts <= 0 and over_size <= 0:
                return None
        return Limit.MAX_PARTS if over_parts > 0 else Limit.MAX_SIZE

    def victim_for_part(self, episode: Episode, size: int) -> tuple[Episode | None, Episode | None]:
        """Who has to go, once there is no limit against it: (None, None) nobody; (e, None): trim what `e` has
        committed; (None, e): evict `e`. Ask again afterwards."""
        if self.parts < self._options.max_parts and self.size + size <= self._options.max_size:
            return None, None
        for lingering in self.lingering:
            return lingering, None
        for victim in self._victims(episode):
            return None, victim
        raise AssertionError("limit_for_part has said that there is room")

    def _victims(self, but: Episode | None) -> Iterator[Episode]:
        yield from self.closed
        if self._options.evict_open:
            for episode in self.open:
                if episode is not but:
                    yield episode
