"""Looking into an outbox's file from outside, and seeing to its dead letters: while its process runs, or without one.

Takes nothing over: the file stays its owner's. The owner looks every `revisit` seconds whether dead letters are to be
sent again, and does that itself, so that its sequences stay its own; without an owner its next run does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from outproc.outbox.errors import StoreReadOnlyError
from outproc.outbox.sqlite_file import SqliteFile
from outproc.outbox.sqlite_outbox import APPLICATION, SCRIPT


class DestSummary(NamedTuple):
    """What waits for one dest: how many messages of how many bytes, and when the oldest was accepted."""

    dest: str
    messages: int
    size: int
    oldest: float


class DeadLetter(NamedTuple):
    """One message that is not sent any more. Times are seconds since the Unix epoch; `retry`: it will be sent again."""

    sequence: int
    dest: str
    key: str
    size: int
    created: float
    died: float
    reason: str
    retry: bool


class OutboxUpkeep:
    """One outbox file, opened for a moment. Blocking; raises `StoreError`. Use as a context manager."""

    def __init__(self, path: Path, *, lock_timeout: float = 5.0) -> None:
        if not path.is_file():
            raise StoreReadOnlyError(f"{path}: there is no such file; name the one that Outbox(path) was given")
        self._file = SqliteFile(path, APPLICATION, SCRIPT, synchronous="full", lock_timeout=lock_timeout)

    def __enter__(self) -> OutboxUpkeep:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def waiting(self) -> list[DestSummary]:
        """What waits, by dest."""
        with self._file.errors():
            rows = self._file.db.execute(
                "SELECT dest, count(*), sum(length(data)), min(created) FROM message GROUP BY dest ORDER BY dest"
            )
            return [DestSummary(*row) for row in rows]

    def dead(self, dest: str | None = None) -> list[DeadLetter]:
        """Dead letters, oldest first; with `dest` only its own."""
        with self._file.errors():
            rows = self._file.db.execute(
                "SELECT sequence, dest, key, length(data), created, died, reason, retry FROM dead "
                "WHERE ?1 IS NULL OR dest = ?1 ORDER BY sequence",
                (dest,),
            )
            return [DeadLetter(*row)._replace(retry=bool(row[-1])) for row in rows]

    def retry(self, sequences: Sequence[int]) -> int:
        """Have these dead letters sent again, marked as redelivered. Returns how many of them there are."""
        return self._change("UPDATE dead SET retry = 1 WHERE sequence = ?", sequences)

    def purge(self, sequences: Sequence[int]) -> int:
        """Delete these dead letters for good. Returns how many there were."""
        return self._change("DELETE FROM dead WHERE sequence = ?", sequences)

    def _change(self, statement: str, sequences: Sequence[int]) -> int:
        with self._file.transaction() as db:
            return max(0, db.executemany(statement, [(sequence,) for sequence in sequences]).rowcount)
