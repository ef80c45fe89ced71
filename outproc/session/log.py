"""The log of one lane: send queue and replay buffer in one.

An entry gets its number on append and leaves only when it is acknowledged. What was dropped is one `Gap` entry,
however long, so a log that drops for a day stays small. Numbers never change.

Bodies live in plain lists, so that appending, cutting a batch and trimming cost a C loop each and nothing
per message.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from litz.events import DropReason
from outproc.frames.records import FirstSent


class Parts:
    """A message given as several buffers. They are never joined on the way out."""

    __slots__ = ("buffers", "size")

    def __init__(self, buffers: tuple[bytes | memoryview, ...]) -> None:
        self.buffers = buffers
        self.size = sum(map(len, buffers))

    def __len__(self) -> int:
        return self.size


Body = bytes | memoryview | Parts
"""The payload of one entry; `len` is its size in bytes. Never changed after it was appended."""


class EntryDetail(NamedTuple):
    """The optional columns of one entry."""

    correlation: tuple[int, int] | None = None
    key: str | None = None
    origin: FirstSent | None = None
    resent: int = 0
    """How many sessions have ended since, in which it was transmitted and not confirmed."""


@dataclass(slots=True)
class Run:
    """Consecutive messages."""

    first: int
    bodies: list[Body] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.first + len(self.bodies)


@dataclass(slots=True)
class Gap:
    """Numbers `first` to `last` that were dropped before they were transmitted."""

    first: int
    last: int
    reason: DropReason

    @property
    def end(self) -> int:
        return self.last + 1


@dataclass(slots=True)
class End:
    """The lane's last entry: nothing follows."""

    first: int

    @property
    def end(self) -> int:
        return self.first + 1


Segment = Run | Gap | End


def _first(segment: Segment) -> int:
    return segment.first


class SendLog:
    """Entries `base` to `next_number - 1`, in order, in segments without holes."""

    __slots__ = ("base", "details", "dropped", "has_parts", "latest", "marks", "segments", "size", "tail", "trimmed")

    def __init__(self) -> None:
        self.base = 0
        self.size = 0
        self.tail = Run(0)
        self.segments: list[Segment] = [self.tail]
        self.details: dict[int, EntryDetail] = {}
        self.latest: dict[str, int] = {}
        self.has_parts = False
        """Whether any message was ever given as several buffers."""
        self.dropped = 0
        """Numbers held by gaps in the log."""
        self.marks: list[tuple[int, int]] = []
        """(number, bytes ever appended below it), so that trimming to where a flush ended need not count again."""
        self.trimmed = 0
        """Bytes that were trimmed. With `size` it is all that was appended and not dropped."""

    @property
    def next_number(self) -> int:
        last = self.segments[-1]
        return last.first + len(last.bodies) if type(last) is Run else last.end

    @property
    def count(self) -> int:
        """Messages in the log (gaps and the end do not count)."""
        last = self.segments[-1]
        ended = isinstance(last, End) and last.first >= self.base
        return self.next_number - self.base - self.dropped - ended

    @property
    def finished(self) -> bool:
        return isinstance(self.segments[-1], End)

    # -- append -------------------------------------------------------------------------------------

    def append(self, body: Body, detail: EntryDetail | None = None) -> int:
        """Add one message and return its number. Raises RuntimeError after `finish`."""
        if self.finished:
            raise RuntimeError("a finished lane takes no more messages")
        number = self.tail.end
        if isinstance(body, Parts):
            self.has_parts = True
        self.tail.bodies.append(body)
        self.size += len(body)
        if detail is not None:
            self.details[number] = detail
            if detail.key is not None:
                self.latest[detail.key] = number
        return number

    def grown(self, size: int) -> None:
        """Messages of `size` bytes in all were appended to `tail.bodies` directly."""
        if size:
            self.size += size
            self.marks.append((self.tail.end, self.trimmed + self.size))

    def finish(self) -> int:
        """Add the end entry and return its number; a second call returns the same."""
        last = self.segments[-1]
        if isinstance(last, End):
            return last.first
        number = last.end
        if isinstance(last, Run) and not last.bodies:
            self.segments.pop()
        self.segments.append(End(number))
        return number

    # -- read ---------------------------------------------------------------------------------------

    def locate(self, number: int) -> int:
        """The index of the segment that holds `number` (which must be in the log)."""
        if len(self.segments) == 1:
            return 0
        return bisect_right(self.segments, number, key=_first) - 1

    def body_size(self, number: int) -> int:
        """The size of the message `number`; 0 for gaps and the end."""
        segment = self.segments[self.locate(number)]
        return len(segment.bodies[number - segment.first]) if isinstance(segment, Run) else 0

    def message(self, number: int) -> tuple[Body, EntryDetail | None]:
        """The message `number`, which must be in the log."""
        run = self.segments[self.locate(number)]
        if not isinstance(run, Run) or not run.first <= number < run.end:
            raise RuntimeError(f"entry {number} is no message in this log")
        return run.bodies[number - run.first], self.details.get(number)

    def was_sent_before(self, number: int) -> bool:
        """Whether an earlier session transmitted the message `number`, and nobody knows what became of it."""
        detail = self.details.get(number) if self.details else None
        return detail is not None and detail.origin is not None

    def messages(self) -> Iterator[int]:
        """The numbers of all messages in the log."""
        return self.messages_from(self.base)

    def messages_from(self, floor: int) -> Iterator[int]:
        """The numbers of the messages at or above `floor`. The log must not change meanwhile."""
        for segment in self.segments[self.locate(max(floor, self.base)) :]:
            if isinstance(segment, Run):
                yield from range(max(segment.first, floor), segment.end)

    # -- trim ---------------------------------------------------------------------------------------

    def trim(self, number: int) -> int:
        """Forget everything below `number` and return the bytes set free."""
        freed = 0
        while True:
            head = self.segments[0]
            if isinstance(head, Run):
                count = min(number, head.end) - head.first
                if count > 0:
                    freed += self._size_of(head, count, freed)
                    del head.bodies[:count]
                    head.first += count
                if head.bodies or head is self.segments[-1]:
                    break
            else:
                if head.end > number:
                    if isinstance(head, Gap) and head.first < number:
                        self.dropped -= number - head.first
                        head.first = number
                    break
                if isinstance(head, End):
                    # It stays as a marker, so that the log knows that it is finished.
                    break
                self.dropped -= head.end - head.first
            del self.segments[0]
        self.base = max(self.base, min(number, self.next_number))
        self.size -= freed
        self.trimmed += freed
        if self.details:
            self._trim_details()
        return freed

    def _size_of(self, head: Run, count: int, freed: int) -> int:
        """The size of the first `count` messages of the first segment, before which `freed` bytes are being trimmed."""
        end = head.first + count
        passed = bisect_right(self.marks, end, key=itemgetter(0))
        number, size = self.marks[passed - 1] if passed else (0, 0)
        del self.marks[:passed]
        if number <= head.first:
            return sum(map(len, head.bodies[:count]))
        return size - self.trimmed - freed + sum(map(len, head.bodies[number - head.first : count]))

    def _trim_details(self) -> None:
        # Insertion order is number order, so this looks at what is trimmed and one more.
        gone = []
        for number in self.details:
            if number >= self.base:
                break
            gone.append(number)
        for number in gone:
            self._forget_detail(number)

    def _forget_detail(self, number: int) -> None:
        detail = self.details.pop(number, None)
        if detail is not None and detail.key is not None and self.latest.get(detail.key) == number:
            del self.latest[detail.key]

    # -- drop ---------------------------------------------------------------------------------------

    def drop(self, number: int, reason: DropReason) -> int:
        """Turn the message `number` into a gap (merged with neighbours) and return the bytes set free.

        The caller must know that not one byte of it was ever handed to a wire (R11).
        """
        index = self.locate(number)
        run = self.segments[index]
        if not isinstance(run, Run) or not run.first <= number < run.end:
            raise RuntimeError(f"entry {number} is no message in this log")
        freed = len(run.bodies[number - run.first])
        self.marks.clear()
        self._forget_detail(number)
        self.size -= freed
        self.dropped += 1
        before = self.segments[index - 1] if index else None
        if number == run.first and isinstance(before, Gap) and before.reason is reason:
            # Dropping the oldest again and again lands here: no list is copied.
            before.last = number
            del run.bodies[0]
            run.first = number + 1
            if not run.bodies and run is not self.tail:
                del self.segments[index]
                self._merge_gaps(index - 1)
            return freed
        after = Run(number + 1, run.bodies[number + 1 - run.first :])
        del run.bodies[number - run.first :]
        pieces: list[Segment] = [run] if run.bodies else []
        pieces.append(Gap(number, number, reason))
        if after.bodies or run is self.tail:
            pieces.append(after)
        if run is self.tail:
            self.tail = after
        self.segments[index : index + 1] = pieces
        self._merge_gaps(max(0, index - 1))
        return freed

    def _merge_gaps(self, start: int) -> None:
        index = start
        while index + 1 < len(self.segments) and index <= start + 2:
            left, right = self.segments[index], self.segments[index + 1]
            if isinstance(left, Gap) and isinstance(right, Gap) and left.reason is right.reason:
                left.last = right.last
                del self.segments[index + 1]
            else:
                index += 1
