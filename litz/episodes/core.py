"""The buffer of episodes: what producers do, and what time does. Pure: `now` is passed in, in seconds of any clock that
does not go back.

Every verb decides and acts in one step, so there is nothing between "replay" and "live": a subscription is a cursor
over one log (`litz.episodes.readers`). The caller must ask `next_due` after each verb, and call `tick` then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litz.episodes.checks import check_part, check_producer_end
from litz.episodes.ends import End, Why
from litz.episodes.episode import Episode
from litz.episodes.errors import EpisodeLimitError, EpisodeOverError, EpisodeStateError, PartTooLargeError
from litz.episodes.keys import EpisodeKey
from litz.episodes.options import Limit
from litz.episodes.parts import Part
from litz.episodes.readers import Readers


@dataclass(frozen=True, slots=True)
class EpisodeSnapshot:
    """One episode as it is now.

    parts      those there are, from number `first` on
    last       number of the newest part, 0 for none
    committed  parts up to there are stored elsewhere
    end        None while it is open
    """

    key: EpisodeKey
    parts: tuple[Part, ...]
    first: int
    last: int
    committed: int
    end: End | None


class EpisodeCore(Readers):
    """Episodes by key, their readers, limits and time."""

    def create(self, now: float, key: EpisodeKey) -> None:
        """Begin an episode. Older ones of the stream are superseded: an open one is closed. Early readers are there
        from its first part on.

        Raises `EpisodeStateError` (it exists already), `EpisodeOverError` (it is over, or a newer one began),
        `EpisodeLimitError`.
        """
        self._check_open()
        if key in self._room.episodes and self._room.episodes[key].end is None:
            raise EpisodeStateError(f"episode {key} exists already; a new attempt has a number of its own")
        end = self._end_of(key)
        if end is not None:
            raise EpisodeOverError(key, end)
        self._begin(now, key)

    def append(
        self,
        now: float,
        key: EpisodeKey,
        data: Any,
        *,
        role: str = "",
        size: int | None = None,
        number: int | None = None,
    ) -> int:
        """Add a part; returns its number. Never waits for a reader.

        data    bytes-like (what can be changed is copied), or any object with a declared `size`
        number  if given, it must be the next one

        A part over a limit is refused whole, and smaller ones still fit. Raises `PartTooLargeError`,
        `EpisodeLimitError`, `EpisodeOverError`, `EpisodeStateError` (not created, or the number is not the next),
        TypeError and ValueError.
        """
        self._check_open()
        episode = self._open_one(key)
        data, size = check_part(data, role, size)
        if number is not None and number != episode.head + 1:
            raise EpisodeStateError(f"the next part of episode {key} is {episode.head + 1}, not {number}")
        options = self.options
        if size > options.max_part:
            raise PartTooLargeError(f"a part of {size} bytes for episode {key}", limit=Limit.MAX_PART)
        if len(episode.parts) >= options.episode_parts or episode.size + size > options.episode_size:
            self._trim(now, episode, episode.committed)
            if len(episode.parts) >= options.episode_parts:
                raise EpisodeLimitError(f"episode {key} has {len(episode.parts)} parts", limit=Limit.EPISODE_PARTS)
            if episode.size + size > options.episode_size:
                raise EpisodeLimitError(
                    f"a part of {size} bytes for episode {key}, which has {episode.size}", limit=Limit.EPISODE_SIZE
                )
        self._make_room(now, episode, size)
        return self._add(now, episode, data, role, size)

    def close(self, now: float, key: EpisodeKey, why: Why = Why.COMPLETE, reason: str = "") -> End:
        """End an episode; returns how it ended, which is another way if it was over before (the first reason wins). One
        that is unknown is created closed, so that who comes later learns of its end.

        Raises `EpisodeLimitError` (only where it must be created), ValueError for a `why` that is not a producer's.
        """
        self._check_open()
        check_producer_end(why)
        episode = self._room.episodes.get(key)
        if episode is not None:
            if episode.end is None:
                self._close(now, episode, End(why, episode.head, reason[: self.max_reason]))
            assert episode.end is not None
            return episode.end
        end = self._end_of(key)
        if end is None:
            episode = self._begin(now, key)
            end = End(why, 0, reason[: self.max_reason])
            self._close(now, episode, end)
        return end

    def commit(self, now: float, key: EpisodeKey, upto: int) -> int:
        """The parts up to `upto` are stored elsewhere: they are trimmed when no reader of now needs them any more, and
        earlier if room is needed. Returns the number of the first part that is still here. A lower number than before,
        or a key that is gone, changes nothing.

        Raises `EpisodeStateError` (not created, or beyond the newest part).
        """
        self._check_open()
        episode = self._room.episodes.get(key)
        if episode is None:
            if self._end_of(key) is None:
                raise EpisodeStateError(f"episode {key} was not created")
            return upto + 1
        if upto > episode.head:
            raise EpisodeStateError(f"episode {key} has {episode.head} parts; {upto} cannot be stored already")
        if upto > episode.committed:
            episode.committed = upto
            self._trim_unread(now, episode)
        return episode.base + 1

    def snapshot(self, key: EpisodeKey) -> EpisodeSnapshot:
        """Raises `EpisodeStateError` (not created), `EpisodeOverError` (gone)."""
        self._check_open()
        episode = self._room.episodes.get(key)
        if episode is None:
            self._raise_absent(key)
        return EpisodeSnapshot(
            key, tuple(episode.parts), episode.base + 1, episode.head, episode.committed, episode.end
        )

    def close_and_snapshot(
        self, now: float, key: EpisodeKey, why: Why = Why.COMPLETE, reason: str = ""
    ) -> EpisodeSnapshot:
        """`close`, and what was in it at that moment: nothing can come between. Raises what these raise."""
        self.close(now, key, why, reason)
        return self.snapshot(key)

    def next_due(self) -> float:
        """When `tick` has something to do, `inf` for never."""
        return min(self._deadlines.next(), self._tombstones.next())

    def tick(self, now: float) -> None:
        """Do what is due at `now`: episodes and tombstones go, readers that take nothing, or wait for a creation that
        does not come, are judged."""
        while (item := self._deadlines.pop(now)) is not None:
            if isinstance(item, Episode):
                self._age(now, item)
            else:
                self._judge_time(now, item)
        self._tombstones.expire(now)

    # -- steps ----------------------------------------------------------------------------------------

    def _begin(self, now: float, key: EpisodeKey) -> Episode:
        victim, limit = self._room.victim_for_episode()
        if limit is not None:
            raise EpisodeLimitError(f"there is no room for episode {key}: none of the others may go", limit=limit)
        if victim is not None:
            self._remove(now, victim, Why.EVICTED)
        episode = Episode(key, now)
        self._room.episodes[key] = episode
        self._room.open[episode] = None
        line = self._lineage.grow(key)
        self._deadlines.put(episode, now + self.options.max_age)
        superseded = End(Why.SUPERSEDED, newer=key)
        if line.open is not None:
            old = line.open
            self._close(now, old, End(Why.SUPERSEDED, old.head, newer=key))
        line.open = episode
        for early in [early for early in line.early if early < key]:
            self._end_early(early, superseded)
        self._arrive(now, episode)
        return episode

    def _open_one(self, key: EpisodeKey) -> Episode:
        episode = self._room.episodes.get(key)
        if episode is None:
            self._raise_absent(key)
        if episode.end is not None:
            raise EpisodeOverError(key, episode.end)
        return episode

    def _make_room(self, now: float, episode: Episode, size: int) -> None:
        limit = self._room.limit_for_part(episode, size)
        if limit is not None:
            raise EpisodeLimitError(
                f"there is no room for a part of {size} bytes of episode {episode.key}", limit=limit
            )
        while True:
            lingering, victim = self._room.victim_for_part(episode, size)
            if lingering is not None:
                self._trim(now, lingering, lingering.committed)
            elif victim is not None:
                self._remove(now, victim, Why.EVICTED)
            else:
                return

    def _add(self, now: float, episode: Episode, data: Any, role: str, size: int) -> int:
        number = episode.append(data, role, size, now)
        self._room.parts += 1
        self._room.size += size
        self._judge_lag(now, episode)
        episode.wake_waiting()
        return number

    def _close(self, now: float, episode: Episode, end: End) -> None:
        episode.end = end
        episode.ended_at = now
        del self._room.open[episode]
        self._room.closed[episode] = None
        line = self._lineage.of(episode.key)
        if line.open is episode:
            line.open = None
        self._deadlines.put(episode, min(now + self.options.retention, episode.created_at + self.options.max_age))
        episode.wake_waiting()

    def _age(self, now: float, episode: Episode) -> None:
        """`retention` or `max_age` is over."""
        oldest = episode.created_at + self.options.max_age
        if episode.readers and now < oldest:
            self._deadlines.put(episode, oldest)
        else:
            self._remove(now, episode, Why.EXPIRED)
