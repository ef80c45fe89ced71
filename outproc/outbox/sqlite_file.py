"""One SQLite file: opening it with the pragmas that matter, transactions, and its errors as ours."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from outproc.outbox.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
)
from outproc.outbox.options import Synchronous

WAL_KEPT: Final = 16 << 20
"""Bytes to which the write-ahead log is cut back after a checkpoint."""

_KINDS: Final[dict[int, tuple[type[StoreError], str]]] = {
    sqlite3.SQLITE_FULL: (StoreFullError, "the disk is full; free some space"),
    sqlite3.SQLITE_READONLY: (
        StoreReadOnlyError,
        "it cannot be written; check owner, mode and mount",
    ),
    sqlite3.SQLITE_PERM: (StoreReadOnlyError, "it cannot be written; check owner and mode"),
    sqlite3.SQLITE_CANTOPEN: (StoreReadOnlyError, "it cannot be opened; check that its directory exists and is yours"),
    sqlite3.SQLITE_CORRUPT: (StoreCorruptError, "it is damaged; restore it from a backup, or move it away"),
    sqlite3.SQLITE_NOTADB: (StoreCorruptError, "it is no SQLite file; give another path, or move it away"),
    sqlite3.SQLITE_BUSY: (StoreLockedError, "somebody else holds it; stop that one, or raise lock_timeout"),
    sqlite3.SQLITE_LOCKED: (StoreLockedError, "somebody else holds it; stop that one, or raise lock_timeout"),
}


def error_of(error: sqlite3.Error, path: str) -> StoreError:
    """The typed error that names the file and the cure. Result codes: https://www.sqlite.org/rescode.html"""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    kind, cure = _KINDS.get(code, (StoreError, "see the cause"))
    return kind(f"{path}: {cure} ({error})")


class SqliteFile:
    """One connection to a file with tables of `application`. All methods belong to one thread.

    `script` makes the tables of a new file. None as application: the tables live beside those of others, and the script
    makes only those that are not there. Raises `StoreError`.
    """

    def __init__(
        self, path: str | Path, application: int | None, script: str, *, synchronous: Synchronous, lock_timeout: float
    ) -> None:
        self.path = str(path)
        self._make_private()
        with self.errors():
            # Transactions are begun and ended by hand, so that a group is one whatever it holds.
            self.db = sqlite3.connect(self.path, timeout=lock_timeout, isolation_level=None)
        try:
            with self.errors():
                self._prepare(application, script, synchronous)
        except BaseException:
            self.close()
            raise

    def _make_private(self) -> None:
        """A new file is for its owner's eyes only; SQLite gives its log the same mode."""
        with suppress(OSError):  # it is there, or cannot be made, which SQLite will tell
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    def _prepare(self, application: int | None, script: str, synchronous: Synchronous) -> None:
        db = self.db
        found = application is not None and self._is_of(application)
        db.execute(f"PRAGMA synchronous={synchronous}")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA journal_size_limit={WAL_KEPT}")
        if found:
            return
        with self.transaction():
            if application is not None and self._is_of(application):
                return  # somebody else has made it in between
            for statement in script.split(";"):
                db.execute(statement)
            if application is not None:
                db.execute(f"PRAGMA application_id={application}")

    def _is_of(self, application: int) -> bool:
        """False: the file is new. Raises `StoreCorruptError` if it is of something else."""
        found: int = self.db.execute("PRAGMA application_id").fetchone()[0]
        if found == application:
            return True
        if found or self.db.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise StoreCorruptError(f"{self.path} is a database of something else; give another path")
        return False

    @contextmanager
    def errors(self) -> Iterator[None]:
        """SQLite's errors as ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise error_of(error, self.path) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block, or nothing. Nobody else writes meanwhile."""
        with self.errors():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if self.db.in_transaction:
                        self.db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Idempotent; must not raise."""
        with suppress(sqlite3.Error):
            self.db.close()
