"""Which episodes of one stream there are and were: the newest, the open one, who waits for one, and what is left of
those that are gone. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from litz.episodes.ends import End, Why
from litz.episodes.episode import Episode
from litz.episodes.keys import EpisodeKey
from litz.episodes.reader import Reader


class Placeholder:
    """Somebody waits for an episode that nobody has created. Goes with its last reader."""

    __slots__ = ("key", "readers")

    def __init__(self, key: EpisodeKey) -> None:
        self.key = key
        self.readers: dict[Reader, None] = {}


@dataclass(slots=True)
class Line:
    """What is known of one stream. `newest`: the highest key that was ever created, while anything is known of it."""

    newest: EpisodeKey | None = None
    open: Episode | None = None
    early: dict[EpisodeKey, Placeholder] = field(default_factory=dict)
    known: int = 0
    """Episodes and tombstones."""


class Lineage:
    """The lines of all streams. Each is kept for as long as there is an episode, a tombstone or a placeholder of it."""

    __slots__ = ("_lines", "placeholders")

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self.placeholders = 0

    def __len__(self) -> int:
        return len(self._lines)

    def of(self, key: EpisodeKey) -> Line:
        """The line of the stream of `key`, an empty one if nothing is known; not kept unless it is filled by `grow`
        or `wait_for`."""
        return self._lines.get(key.stream) or Line()

    def newer_than(self, key: EpisodeKey) -> EpisodeKey | None:
        """The newest key of the stream, if that is newer than `key`."""
        newest = self.of(key).newest
        return newest if newest is not None and newest > key else None

    def grow(self, key: EpisodeKey) -> Line:
        """An episode `key` begins: the newest from now on. An older one than that cannot begin any more."""
        line = self._lines.setdefault(key.stream, Line())
        line.newest = key
        line.known += 1
        return line

    def forget(self, key: EpisodeKey) -> None:
        """Nothing is left of an episode, its tombstone neither."""
        line = self._lines[key.stream]
        line.known -= 1
        self._tidy(key.stream, line)

    def wait_for(self, key: EpisodeKey) -> Placeholder:
        """The placeholder of `key`, a new one if there is none."""
        line = self._lines.setdefault(key.stream, Line())
        if key not in line.early:
            line.early[key] = Placeholder(key)
            self.placeholders += 1
        return line.early[key]

    def drop_placeholder(self, key: EpisodeKey) -> Placeholder | None:
        """The placeholder of `key` goes: the episode is there, or nobody waits any more."""
        line = self._lines.get(key.stream)
        placeholder = line.early.pop(key, None) if line is not None else None
        if line is not None and placeholder is not None:
            self.placeholders -= 1
            self._tidy(key.stream, line)
        return placeholder

    def _tidy(self, stream: str, line: Line) -> None:
        if not line.known and not line.early:
            del self._lines[stream]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of an episode. `why`: EXPIRED or EVICTED; `end`: how the episode itself had ended, if it had."""

    why: Why
    end: End | None
    last: int
    forget_at: float


class Tombstones:
    """Of at most `limit` episodes, for `kept` seconds each; the oldest is forgotten first. `forgotten` is called with
    the key of each one that is."""

    __slots__ = ("_forgotten", "_kept", "_limit", "_stones")

    def __init__(self, limit: int, kept: float, forgotten: Callable[[EpisodeKey], None]) -> None:
        self._limit = limit
        self._kept = kept
        self._forgotten = forgotten
        self._stones: dict[EpisodeKey, Tombstone] = {}

    def __len__(self) -> int:
        return len(self._stones)

    def put(self, key: EpisodeKey, why: Why, end: End | None, last: int, now: float) -> None:
        """An episode goes, now."""
        self._stones[key] = Tombstone(why, end, last, now + self._kept)
        if len(self._stones) > self._limit:
            self._forget_first()

    def get(self, key: EpisodeKey) -> Tombstone | None:
        """What is left of `key`."""
        return self._stones.get(key)

    def next(self) -> float:
        """When the first one is to be forgotten, `inf` for never."""
        for stone in self._stones.values():
            return stone.forget_at
        return inf

    def expire(self, now: float) -> None:
        """Forget what is due."""
        while self.next() <= now:
            self._forget_first()

    def _forget_first(self) -> None:
        key = next(iter(self._stones))
        del self._stones[key]
        self._forgotten(key)
