"""What can be set about a buffer of episodes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from math import isfinite


class Limit(Enum):
    """Which limit was reached: the name of its option."""

    MAX_EPISODES = "max_episodes"
    MAX_PARTS = "max_parts"
    MAX_SIZE = "max_size"
    EPISODE_PARTS = "episode_parts"
    EPISODE_SIZE = "episode_size"
    MAX_PART = "max_part"
    MAX_READERS = "max_readers"
    EPISODE_READERS = "episode_readers"
    MAX_PLACEHOLDERS = "max_placeholders"


class Behind(Enum):
    """What becomes of a subscriber that cannot have what comes next, because it is too slow, or because that was stored
    elsewhere and trimmed here."""

    FAIL = "fail"
    """Its subscription ends, typed: `SlowSubscriberError`, `EpisodeTrimmedError`."""
    SKIP = "skip"
    """It gets a `Gap` in place of what is missing: who is too slow goes on with the newest part, who comes too late
    with the first one that there is. Only who takes nothing (`stall`) of an episode that is over is ended all the
    same: there is nothing newer to go on with."""


@dataclass(frozen=True, slots=True)
class EpisodeOptions:
    """Limits and times of one buffer; all are docs/limits.md. Sizes in bytes, times in seconds. Raises ValueError:
    nothing can be unlimited.

    max_episodes, max_parts, max_size          all episodes together, open and closed
    episode_parts, episode_size                one episode, what was trimmed not counted
    max_part                                   one part
    max_readers, episode_readers               subscriptions, of all and of one episode
    max_placeholders                           keys that somebody waits for and nobody has created
    max_tombstones, tombstones_kept            ends that are remembered of episodes that are gone
    retention                                  how long a closed episode is kept; longer while somebody reads it
    max_age                                    how long an episode is kept whatever happens, from its creation
    early_wait                                 how long a subscriber waits for the creation
    lag_parts, lag_size                        how far behind a subscriber may be, in what came after it joined
    stall                                      how long it may take nothing while there is something for it
    behind                                     what becomes of it then, unless it says otherwise
    evict_open                                 whether open episodes may make room too, the oldest first
    """

    max_episodes: int = 4096
    max_parts: int = 1 << 22
    max_size: int = 256 << 20
    episode_parts: int = 1 << 16
    episode_size: int = 16 << 20
    max_part: int = 1 << 20
    max_readers: int = 65_536
    episode_readers: int = 8192
    max_placeholders: int = 4096
    max_tombstones: int = 16_384
    tombstones_kept: float = 600.0
    retention: float = 60.0
    max_age: float = 3600.0
    early_wait: float = 300.0
    lag_parts: int = 8192
    lag_size: int = 4 << 20
    stall: float = 30.0
    behind: Behind = Behind.FAIL
    evict_open: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "behind":
                if not isinstance(value, Behind):
                    raise ValueError(f"behind is a Behind, not {value!r}")
            elif field.name != "evict_open" and (value is None or not isfinite(value) or value <= 0):
                raise ValueError(f"{field.name} is above 0 and finite, not {value!r}")
        if not self.max_part <= self.episode_size <= self.max_size:
            raise ValueError("max_part is at most episode_size, and that at most max_size")
        if self.lag_size < self.max_part:
            raise ValueError("lag_size is at least max_part: who has only the newest part to take is not slow")
        if self.episode_parts > self.max_parts:
            raise ValueError("episode_parts is at most max_parts")
        if self.retention > self.max_age:
            raise ValueError("retention is at most max_age")
