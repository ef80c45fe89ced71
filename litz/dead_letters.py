"""Messages that nobody could handle, kept for the user. Pure, and bounded in number and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from litz.supervision import Failure, Why

MAX_TRACEBACK: Final = 8192
"""Characters of a traceback that are kept: its end, where the error is."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message, and what went wrong with it. Holds no frames of the handler: only text."""

    sender: str
    """Whose stream it came on; outbound: to whom it should have gone."""
    service: str
    number: int
    """Its place among the messages of its stream (or lane), from 0."""
    key: Any
    data: Any = field(repr=False)
    size: int
    failure: Failure
    attempts: int
    why: Why | None
    error: str
    """The class of the exception, and what it said."""
    traceback: str = field(repr=False, default="")


class DeadLetters:
    """The letters of one pipeline or one `serve`, oldest first. For any number of tasks of one loop."""

    __slots__ = ("_kept", "_letters", "_limit", "_size", "_size_limit", "refused")

    def __init__(self, limit: int, size_limit: int) -> None:
        self._letters: dict[int, DeadLetter] = {}
        self._kept = 0
        self._limit = limit
        self._size = 0
        self._size_limit = size_limit
        self.refused = 0
        """How many there was no room for."""

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._letters.values()))

    @property
    def size(self) -> int:
        """Bytes of all payloads here."""
        return self._size

    def add(self, letter: DeadLetter) -> bool:
        """Keep `letter`. False: no room, and the caller must do something louder with it."""
        if len(self._letters) >= self._limit or self._size + letter.size > self._size_limit:
            self.refused += 1
            return False
        self._letters[self._kept] = letter
        self._kept += 1
        self._size += letter.size
        return True

    def take(self, limit: int | None = None) -> list[DeadLetter]:
        """Take out up to `limit` letters (None: all), oldest first: they are the caller's then."""
        numbers = list(self._letters)[:limit]
        taken = [self._letters.pop(number) for number in numbers]
        self._size -= sum(letter.size for letter in taken)
        return taken

    def __repr__(self) -> str:
        return f"<{len(self._letters)} dead letters, {self._size} bytes>"
