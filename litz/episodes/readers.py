"""The buffer of episodes: what subscribers do, and what becomes of those that cannot follow. Pure; see
`litz.episodes.core`, which adds what producers do.

Replay and live are one thing: a reader is a cursor over the log of its episode. `subscribe` looks and registers in one
step, `take` reads behind the cursor whatever is there, so nothing can be missed or doubled between the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Final, NoReturn

from litz.episodes.deadlines import Deadlines
from litz.episodes.ends import MAX_REASON, End, Why
from litz.episodes.episode import Episode
from litz.episodes.errors import EpisodeLimitError, EpisodeOverError, EpisodeStateError
from litz.episodes.keys import EpisodeKey
from litz.episodes.lineage import Lineage, Tombstones
from litz.episodes.options import Behind, EpisodeOptions, Limit
from litz.episodes.pace import Pace
from litz.episodes.parts import BATCH_PARTS, BATCH_SIZE, Gap, Item
from litz.episodes.reader import Reader
from litz.episodes.room import Room
from litz.errors import ManagerStateError


class Readers:
    """What there is, and who reads it. Half of `EpisodeCore`.

    counts: how often something happened ("slow", "skipped", "evicted", "expired", "trimmed", ...)
    """

    max_reason: Final = MAX_REASON

    def __init__(self, options: EpisodeOptions | None = None) -> None:
        self.options = EpisodeOptions() if options is None else options
        self.counts: Counter[str] = Counter()
        self.closed = False
        self._room = Room(self.options)
        self._lineage = Lineage()
        self._tombstones = Tombstones(self.options.max_tombstones, self.options.tombstones_kept, self._lineage.forget)
        self._deadlines: Deadlines[Reader | Episode] = Deadlines()
        self._readers: dict[Reader, None] = {}
        self._paces: dict[Episode, Pace] = {}

    # -- verbs ----------------------------------------------------------------------------------------

    def subscribe(
        self, now: float, key: EpisodeKey, after: int, wake: Callable[[], None], behind: Behind | None = None
    ) -> Reader:
        """A reader of the parts behind `after`, from this moment on. One whose episode is over, gone or superseded has
        its end at its first `take`; one whose episode is unknown waits for it.

        Raises `EpisodeLimitError`, ValueError.
        """
        self._check_open()
        if after < 0:
            raise ValueError(f"a cursor is the number of a part, or 0, not {after}")
        if len(self._readers) >= self.options.max_readers:
            raise EpisodeLimitError(f"no more readers for {key}", limit=Limit.MAX_READERS)
        reader = Reader(key, after, self.options.behind if behind is None else behind, wake, now)
        episode = self._room.episodes.get(key)
        if episode is not None:
            if len(episode.readers) >= self.options.episode_readers:
                raise EpisodeLimitError(f"no more readers for {key}", limit=Limit.EPISODE_READERS)
            self._readers[reader] = None
            self._attach(now, reader, episode)
            return reader
        end = self._end_of(key, after)
        if end is not None:
            reader.end = end
            return reader
        placeholder = self._lineage.of(key).early.get(key)
        if placeholder is None and self._lineage.placeholders >= self.options.max_placeholders:
            raise EpisodeLimitError(f"too many wait for what nobody has created: {key}", limit=Limit.MAX_PLACEHOLDERS)
        if placeholder is not None and len(placeholder.readers) >= self.options.episode_readers:
            raise EpisodeLimitError(f"no more readers for {key}", limit=Limit.EPISODE_READERS)
        self._lineage.wait_for(key).readers[reader] = None
        self._readers[reader] = None
        self._deadlines.put(reader, now + self.options.early_wait)
        return reader

    def take(self, now: float, reader: Reader, limit: int = BATCH_PARTS, size: int = BATCH_SIZE) -> list[Item]:
        """What comes next, in order: at most `limit` parts, and `size` bytes unless that is less than one part. Empty:
        if `reader.end` is set now, nothing comes any more; otherwise `reader.wake` is called when it is worth to ask
        again."""
        episode = reader.episode
        if episode is None:
            return []
        if reader.gap is not None:
            gap, reader.gap = reader.gap, None
            reader.took(now, 1)
            return [gap]
        batch = episode.after(reader.cursor, limit, size)
        if batch:
            reader.cursor = batch[-1].number
            reader.took(now, len(batch))
            return batch  # type: ignore[return-value]  # a list of parts is never written to
        if episode.end is not None:
            self._finish(now, reader, self._end_for(episode, reader.cursor))
        else:
            episode.waiting[reader] = None
        return []

    def cancel(self, now: float, reader: Reader) -> None:
        """The user of `reader` leaves. Idempotent."""
        if reader.end is None:
            self._finish(now, reader, End(Why.LEFT, reader.cursor))

    def shut(self, now: float) -> None:
        """Close the buffer: every reader ends, whatever it has not read; nothing is kept. Idempotent."""
        self.closed = True
        for reader in list(self._readers):
            self._finish(now, reader, End(Why.CLOSED, reader.cursor))
            reader.wake()
        for episode in list(self._room.episodes.values()):
            self._deadlines.clear(episode)
        self._room = Room(self.options)
        self._lineage = Lineage()
        self._tombstones = Tombstones(1, 1.0, self._lineage.forget)
        self._paces.clear()

    def sight(self) -> dict[str, int]:
        """How much there is of everything that has a limit, and what was counted."""
        return {
            "episodes": len(self._room.episodes),
            "open": len(self._room.open),
            "parts": self._room.parts,
            "size": self._room.size,
            "readers": len(self._readers),
            "placeholders": self._lineage.placeholders,
            "tombstones": len(self._tombstones),
            **self.counts,
        }

    # -- ends -----------------------------------------------------------------------------------------

    def _end_of(self, key: EpisodeKey, after: int = 0) -> End | None:
        """How `key` is over for who has read up to `after`, None if it is not: it is open, or may still come."""
        episode = self._room.episodes.get(key)
        if episode is not None:
            return self._end_for(episode, after) if episode.end is not None else None
        stone = self._tombstones.get(key)
        if stone is not None and stone.end is not None and after >= stone.last and stone.end.why is not Why.SUPERSEDED:
            return _met(stone.end, after)
        newer = self._lineage.newer_than(key)
        if newer is not None:
            return End(Why.SUPERSEDED, stone.last if stone is not None else 0, newer=newer)
        return End(stone.why, stone.last) if stone is not None else None

    def _end_for(self, episode: Episode, cursor: int) -> End:
        """The end of a closed episode, as who has come to `cursor` meets it."""
        assert episode.end is not None
        if episode.end.why is Why.SUPERSEDED:
            return replace(episode.end, newer=self._lineage.of(episode.key).newest)
        return _met(episode.end, cursor)

    def _raise_absent(self, key: EpisodeKey) -> NoReturn:
        end = self._end_of(key)
        if end is None:
            raise EpisodeStateError(f"episode {key} was not created")
        raise EpisodeOverError(key, end)

    def _check_open(self) -> None:
        if self.closed:
            raise ManagerStateError("this buffer of episodes is closed")

    # -- readers come and go --------------------------------------------------------------------------

    def _attach(self, now: float, reader: Reader, episode: Episode) -> None:
        episode.readers[reader] = None
        reader.episode = episode
        reader.joined = episode.head
        reader.taken_at = now
        if episode.end is None:
            # A closed one grows no more: nobody can fall further behind, only stall.
            pace = self._paces.get(episode)
            if pace is None:
                pace = self._paces[episode] = Pace(self.options.lag_parts, self.options.lag_size)
            pace.watch(episode, reader)
        self._deadlines.put(reader, now + self.options.stall)
        self._mind_the_gap(now, reader)

    def _arrive(self, now: float, episode: Episode) -> None:
        """The episode is there: its early readers follow it. They were asleep, and stay so."""
        placeholder = self._lineage.drop_placeholder(episode.key)
        if placeholder is not None:
            for reader in placeholder.readers:
                self._attach(now, reader, episode)
                episode.waiting[reader] = None

    def _end_early(self, key: EpisodeKey, end: End) -> None:
        placeholder = self._lineage.drop_placeholder(key)
        assert placeholder is not None
        for reader in placeholder.readers:
            del self._readers[reader]
            self._deadlines.clear(reader)
            reader.end = end
            reader.wake()

    def _finish(self, now: float, reader: Reader, end: End) -> None:
        """`reader` is over: it counts no more, and holds nothing."""
        reader.end = end
        reader.gap = None
        self._readers.pop(reader, None)
        self._deadlines.clear(reader)
        episode, reader.episode = reader.episode, None
        if episode is None:
            placeholder = self._lineage.of(reader.key).early.get(reader.key)
            if placeholder is not None:
                placeholder.readers.pop(reader, None)
                if not placeholder.readers:
                    self._lineage.drop_placeholder(reader.key)
            return
        del episode.readers[reader]
        episode.waiting.pop(reader, None)
        if not episode.readers and episode.key in self._room.episodes:
            self._paces.pop(episode, None)
            self._trim(now, episode, episode.committed)
            if now >= episode.ended_at + self.options.retention:
                self._remove(now, episode, Why.EXPIRED)

    def _remove(self, now: float, episode: Episode, why: Why) -> None:
        """The episode goes, and leaves a tombstone. Who has read all of it meets its own end, others learn why."""
        del self._room.episodes[episode.key]
        self._room.open.pop(episode, None)
        self._room.closed.pop(episode, None)
        self._room.lingering.pop(episode, None)
        self._room.parts -= len(episode.parts)
        self._room.size -= episode.size
        self._deadlines.clear(episode)
        self._paces.pop(episode, None)
        line = self._lineage.of(episode.key)
        if line.open is episode:
            line.open = None
        self._tombstones.put(episode.key, why, episode.end, episode.head, now)
        self.counts[why.name.lower()] += 1
        for reader in list(episode.readers):
            has_all = episode.end is not None and reader.cursor >= episode.head and reader.gap is None
            self._finish(now, reader, self._end_for(episode, reader.cursor) if has_all else End(why, episode.head))
            reader.wake()

    # -- who cannot follow ----------------------------------------------------------------------------

    def _trim_unread(self, now: float, episode: Episode) -> None:
        """Trim what is committed and no reader needs. With many readers not at each step: it looks at all of them."""
        if episode.committed - episode.base <= len(episode.readers) // 16:
            self._room.lingering[episode] = None
            return
        self._trim(now, episode, min([reader.cursor for reader in episode.readers], default=inf))

    def _trim(self, now: float, episode: Episode, upto: float) -> None:
        """Trim up to `upto`, of what is committed. Readers that still needed it miss it."""
        parts, size = episode.trim(int(min(upto, episode.committed)))
        self._room.parts -= parts
        self._room.size -= size
        if episode.base < episode.committed:
            self._room.lingering[episode] = None
        else:
            self._room.lingering.pop(episode, None)
        if parts:
            self.counts["trimmed"] += parts
            for reader in list(episode.readers):
                self._mind_the_gap(now, reader)
                if reader.end is not None:
                    reader.wake()

    def _mind_the_gap(self, now: float, reader: Reader) -> None:
        """What `reader` wants next may be trimmed."""
        episode = reader.episode
        if episode is None or reader.cursor >= episode.base:
            return
        if reader.behind is Behind.SKIP:
            reader.skip_to(episode.base, Gap(reader.cursor + 1, episode.base, Why.TRIMMED))
        else:
            self._finish(now, reader, End(Why.TRIMMED, episode.head, first=episode.base + 1))

    def _judge_lag(self, now: float, episode: Episode) -> None:
        """Parts were appended: who is too far behind now?"""
        pace = self._paces.get(episode)
        if pace is not None:
            pace.judge(episode, lambda reader: self._too_slow(now, reader))

    def _judge_time(self, now: float, reader: Reader) -> None:
        """A reader waits for a creation for too long, or may have stalled."""
        episode = reader.episode
        if episode is None:
            self._finish(now, reader, End(Why.UNKNOWN))
            reader.wake()
            return
        has_all = reader.cursor >= episode.head and reader.gap is None
        if (has_all and episode.end is None) or reader.goes_on(now):
            self._deadlines.put(reader, now + self.options.stall)
            return
        # It has something to take: since when?
        since = reader.taken_at
        if reader.cursor < episode.head:
            since = max(since, episode.appended_at(reader.cursor + 1))
        elif episode.end is not None:
            since = max(since, episode.ended_at)
        if now < since + self.options.stall:
            self._deadlines.put(reader, since + self.options.stall)
        elif has_all:
            # It did not ask for the end, and may do so later.
            self._finish(now, reader, self._end_for(episode, reader.cursor))
            reader.wake()
        else:
            self._too_slow(now, reader)

    def _too_slow(self, now: float, reader: Reader) -> None:
        episode = reader.episode
        assert episode is not None
        if reader.behind is Behind.SKIP and episode.end is None:
            self.counts["skipped"] += 1
            # It goes on with the newest part; lag and time count anew.
            cursor = max(reader.cursor, episode.head - 1)
            if cursor > reader.cursor:
                reader.skip_to(cursor, Gap(reader.cursor + 1, cursor, Why.SLOW))
            reader.taken_at = now
            self._deadlines.put(reader, now + self.options.stall)
            return
        self.counts["slow"] += 1
        self._finish(now, reader, End(Why.SLOW, episode.head))
        reader.wake()


def _met(end: End, cursor: int) -> End:
    """The end as who has come to `cursor` meets it."""
    return End(Why.BEYOND, end.last) if cursor > end.last else end
