"""The inbox's tables in SQLite. docs/outbox.md describes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from outproc.outbox.options import InboxOptions
from outproc.outbox.sqlite_file import SqliteFile
from outproc.outbox.store import InboxGroup, Key, Position, Work

SCRIPT: Final = """
CREATE TABLE IF NOT EXISTS litz_position (sender TEXT NOT NULL, producer BLOB NOT NULL,
    epoch INTEGER NOT NULL, run BLOB NOT NULL, committed INTEGER NOT NULL,
    PRIMARY KEY (sender, producer)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS litz_applied (sender TEXT NOT NULL, producer BLOB NOT NULL, sequence INTEGER NOT NULL,
    PRIMARY KEY (sender, producer, sequence)) WITHOUT ROWID
"""

_POSITION = """INSERT INTO litz_position VALUES (?, ?, ?, ?, ?) ON CONFLICT (sender, producer) DO UPDATE SET
    epoch = excluded.epoch, run = excluded.run, committed = max(committed, excluded.committed)"""
_OF_THE_DISK: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""Results that are no fault of the work during which they came up, also where SQLite keeps the transaction."""
_PASSED = "DELETE FROM litz_applied WHERE sender = ? AND producer = ? AND sequence <= ?"


class SqliteInboxStore:
    """Implements `InboxStore`. Made in one thread, used in one other.

    The file may be the user's own database: two tables, `litz_position` and `litz_applied`, live beside the others, and
    it is switched to WAL. `prepare(connection)` is called when it is open, for more tables of the user's. It and all
    works get the connection and must neither begin nor end a transaction.
    """

    def __init__(
        self,
        path: str | Path,
        options: InboxOptions | None = None,
        *,
        prepare: Callable[[sqlite3.Connection], object] | None = None,
    ) -> None:
        self.path = Path(path)
        self._options = options or InboxOptions()
        self._prepare = prepare
        self._file: SqliteFile | None = None

    def open(self) -> Mapping[Key, tuple[Position, Sequence[int]]]:
        self._file = SqliteFile(
            self.path,
            None,
            SCRIPT,
            synchronous=self._options.synchronous,
            lock_timeout=self._options.lock_timeout,
        )
        with self._file.transaction() as db:
            if self._prepare is not None:
                self._prepare(db)
            applied: dict[Key, list[int]] = {}
            for sender, producer, sequence in db.execute("SELECT * FROM litz_applied ORDER BY 1, 2, 3"):
                applied.setdefault((sender, producer), []).append(sequence)
            found = {}
            for sender, producer, *rest in db.execute("SELECT * FROM litz_position ORDER BY 1, 2"):
                found[sender, producer] = (Position(*rest), applied.get((sender, producer), []))
        return found

    def write(self, group: InboxGroup) -> None:
        if self._file is None:
            raise RuntimeError("the store is not open")
        with self._file.transaction() as db:
            for work in group.works:
                work.outcome = _apply(db, work)
            for key, position in group.positions.items():
                _move(db, key, position)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _apply(db: sqlite3.Connection, work: Work) -> BaseException | bool:
    """Carry out one effect with its note, or neither."""
    if _is_done(db, work):
        return False
    db.execute("SAVEPOINT work")
    try:
        work.work(db)
        if not db.in_transaction:
            raise RuntimeError("the work has ended the inbox's transaction; it must neither commit nor roll back")
    except Exception as error:
        if not db.in_transaction or (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _OF_THE_DISK:
            raise
        db.execute("ROLLBACK TO work")
        db.execute("RELEASE work")
        return error
    if work.advance:
        _move(db, work.key, work.position)
    else:
        # Also the run, with the position as it is: the sequence alone says nothing about the run it is of.
        _move(db, work.key, work.position._replace(committed=0))
        db.execute("INSERT INTO litz_applied VALUES (?, ?, ?)", (*work.key, work.sequence))
    db.execute("RELEASE work")
    return True


def _is_done(db: sqlite3.Connection, work: Work) -> bool:
    found = db.execute(
        "SELECT 1 FROM litz_position WHERE sender = ?1 AND producer = ?2 AND committed >= ?3 UNION ALL "
        "SELECT 1 FROM litz_applied WHERE sender = ?1 AND producer = ?2 AND sequence = ?3",
        (*work.key, work.sequence),
    )
    return found.fetchone() is not None


def _move(db: sqlite3.Connection, key: Key, position: Position) -> None:
    db.execute(_POSITION, (*key, *position))
    db.execute(_PASSED, (*key, position.committed))
