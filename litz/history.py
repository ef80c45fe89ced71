"""The last things that happened to each dest, in bounded memory: what `snapshot()` tells as history."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container
from typing import Final

from litz.event_words import words_of
from litz.events import Event, EventGap, LaneMoved, MessagesDropped, MessagesSkipped
from litz.snapshot import HistoryEntry

PER_DEST: Final = 32
"""Entries kept of one dest."""

IN_ALL: Final = 16_384
"""Entries kept of all dests; the dest of which there was no news for the longest time loses its oldest first."""

MAX_OTHERS: Final = 256
"""Entries that `others` tells."""

UNTOLD: Final[frozenset[type[Event]]] = frozenset((EventGap, LaneMoved, MessagesDropped, MessagesSkipped))
"""Too many of them: a policy drops messages by the thousand."""

_ALIKE: Final = 2
"""The same thing again is counted, not told again, if it is among so many latest: two failures may take turns."""


class _Note:
    """One entry while it may still grow."""

    __slots__ = ("at", "cause", "times", "until", "what")

    def __init__(self, at: float, what: str, cause: str) -> None:
        self.at = self.until = at
        self.what = what
        self.cause = cause
        self.times = 1

    def entry(self, dest: str) -> HistoryEntry:
        return HistoryEntry(self.at, self.what, self.cause, self.until, self.times, dest)


class History:
    """Takes down the events of one manager. Costs nothing per message. All methods belong to the manager's loop.

    wall_clock  nanoseconds since the Unix epoch
    """

    __slots__ = ("_dests", "_in_all", "_per_dest", "_total", "_wall_clock")

    def __init__(
        self, wall_clock: Callable[[], int] = time.time_ns, *, per_dest: int = PER_DEST, in_all: int = IN_ALL
    ) -> None:
        self._wall_clock = wall_clock
        self._per_dest = per_dest
        self._in_all = in_all
        # That with the latest news is the last.
        self._dests: dict[str, deque[_Note]] = {}
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return self._wall_clock() / 1e9

    def note(self, event: Event) -> float:
        """It happened now: returns when that is."""
        at = self.now()
        if type(event) not in UNTOLD:
            self._take_down(event, at)
        return at

    def _take_down(self, event: Event, at: float) -> None:
        what, cause, _ = words_of(event)
        notes = self._dests.pop(event.dest, None)
        if notes is None:
            notes = deque()
        self._dests[event.dest] = notes
        for index in range(1, min(_ALIKE, len(notes)) + 1):
            note = notes[-index]
            if note.what == what and note.cause == cause:
                note.until = at
                note.times += 1
                return
        notes.append(_Note(at, what, cause))
        self._total += 1
        if len(notes) > self._per_dest:
            notes.popleft()
            self._total -= 1
        elif self._total > self._in_all:
            self._forget_one()

    def _forget_one(self) -> None:
        dest = next(iter(self._dests))
        notes = self._dests[dest]
        notes.popleft()
        self._total -= 1
        if not notes:
            del self._dests[dest]

    def of(self, dest: str) -> tuple[HistoryEntry, ...]:
        """What happened to `dest`, oldest first."""
        return tuple(note.entry(dest) for note in self._dests.get(dest, ()))

    def others(self, dests: Container[str]) -> tuple[HistoryEntry, ...]:
        """What happened to all but these `dests`, and to the node as a whole: the latest `MAX_OTHERS`, oldest first."""
        found: list[HistoryEntry] = []
        for dest in reversed(self._dests):
            if dest not in dests:
                found += self.of(dest)
                if len(found) >= MAX_OTHERS + self._per_dest:
                    break
        return tuple(sorted(found, key=lambda entry: entry.until)[-MAX_OTHERS:])
