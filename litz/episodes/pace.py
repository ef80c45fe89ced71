"""Which readers of an episode have fallen too far behind, without looking at all of them for each part. Pure.

A reader is too far behind when more than `lag_parts` parts, or `lag_size` bytes, came after it joined that it has not
taken. So for each there is a line, in parts and in bytes, that the episode may not pass before it is looked at again: a
heap of lines makes that one comparison a part, and one look for each reader every `lag_parts` parts.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from litz.episodes.episode import Episode
from litz.episodes.reader import Reader

_Line = tuple[int, int, Reader]


class Pace:
    """The lines of all readers of one episode."""

    __slots__ = ("_count", "_lag_parts", "_lag_size", "_parts", "_sizes")

    def __init__(self, lag_parts: int, lag_size: int) -> None:
        self._lag_parts = lag_parts
        self._lag_size = lag_size
        self._parts: list[_Line] = []
        self._sizes: list[_Line] = []
        self._count = 0

    def watch(self, episode: Episode, reader: Reader) -> None:
        """From now on look after `reader`, which is one of the episode's."""
        self._push(episode, reader, self._parts, self._line_of_parts(episode, reader))
        self._push(episode, reader, self._sizes, self._line_of_sizes(episode, reader))

    def judge(self, episode: Episode, too_far_behind: Callable[[Reader], None]) -> None:
        """Parts were appended: call `too_far_behind` for each reader that is, in the order in which they crossed their
        lines. It ends the reader, or moves it on."""
        for lines, line_of, at in (
            (self._parts, self._line_of_parts, episode.head),
            (self._sizes, self._line_of_sizes, episode.total),
        ):
            while lines and lines[0][0] < at:
                reader = heapq.heappop(lines)[2]
                if reader in episode.readers and line_of(episode, reader) < at:
                    too_far_behind(reader)
                if reader in episode.readers:
                    self._push(episode, reader, lines, max(at, line_of(episode, reader)))

    def _line_of_parts(self, episode: Episode, reader: Reader) -> int:
        return max(reader.cursor, reader.joined) + self._lag_parts

    def _line_of_sizes(self, episode: Episode, reader: Reader) -> int:
        return episode.offset(max(reader.cursor, reader.joined)) + self._lag_size

    def _push(self, episode: Episode, reader: Reader, lines: list[_Line], line: int) -> None:
        if len(lines) > 2 * len(episode.readers) + 64:
            # Most are of readers that left: one that is watched has one line in each heap.
            lines[:] = [entry for entry in lines if entry[2] in episode.readers]
            heapq.heapify(lines)
        self._count += 1
        heapq.heappush(lines, (line, self._count, reader))
