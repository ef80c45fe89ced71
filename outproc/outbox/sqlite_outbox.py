"""The outbox's tables in SQLite. docs/outbox.md describes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from outproc.outbox.errors import StoreFencedError
from outproc.outbox.options import OutboxOptions
from outproc.outbox.sqlite_file import SqliteFile
from outproc.outbox.store import RETRIES, ROW_COST, Group, Look, NewRow, Opened, Peer, Row, Run, Written

APPLICATION: Final = 0x6C74_6F62
"""SQLite's application id of an outbox: "ltob"."""

RUNS_KEPT: Final = 10_000

SCRIPT: Final = """
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), producer BLOB NOT NULL, last_run REAL NOT NULL);
CREATE TABLE run (epoch INTEGER PRIMARY KEY AUTOINCREMENT, token BLOB NOT NULL, first INTEGER NOT NULL);
CREATE TABLE message (sequence INTEGER PRIMARY KEY AUTOINCREMENT, dest TEXT NOT NULL, key TEXT NOT NULL,
    created REAL NOT NULL, attempts INTEGER NOT NULL, again INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX message_dest ON message (dest, sequence);
CREATE TABLE peer (dest TEXT PRIMARY KEY, acked INTEGER NOT NULL, tried INTEGER NOT NULL, suspect INTEGER NOT NULL,
    boot BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE dead (sequence INTEGER PRIMARY KEY, dest TEXT NOT NULL, key TEXT NOT NULL, created REAL NOT NULL,
    died REAL NOT NULL, reason TEXT NOT NULL, retry INTEGER NOT NULL, data BLOB NOT NULL)
"""

_CHUNKS = (128, 16, 1)
"""Rows of one statement. Each statement costs this thread the interpreter lock, which it gets back when the loop's
thread lets go of it: beside a busy loop that takes longer than all the rest."""
_INSERT = {size: "INSERT INTO message VALUES " + ", ".join(["(?, ?, ?, ?, 0, 0, ?)"] * size) for size in _CHUNKS}
_COST = f"coalesce(sum(length(data) + {ROW_COST}), 0)"
_PEER = """INSERT INTO peer VALUES (?, ?, ?, ?, ?) ON CONFLICT (dest) DO UPDATE SET
    acked = excluded.acked, tried = max(tried, excluded.tried), suspect = excluded.suspect, boot = excluded.boot"""
_TRIED = (
    """INSERT INTO peer VALUES (?, 0, ?, 0, x'') ON CONFLICT (dest) DO UPDATE SET tried = max(tried, excluded.tried)"""
)


class SqliteOutboxStore:
    """Implements `OutboxStore`. Made in one thread, used in one other."""

    def __init__(self, path: str | Path, options: OutboxOptions | None = None) -> None:
        self.path = Path(path)
        self._options = options or OutboxOptions()
        self._file: SqliteFile | None = None
        self._epoch = 0

    def open(self, token: bytes, now: float) -> Opened:
        self._file = SqliteFile(
            self.path,
            APPLICATION,
            SCRIPT,
            synchronous=self._options.synchronous,
            lock_timeout=self._options.lock_timeout,
        )
        with self._file.transaction() as db:
            known = db.execute("SELECT producer, last_run FROM meta").fetchone()
            producer, last_run = known or (token, 0.0)
            db.execute("INSERT OR REPLACE INTO meta VALUES (1, ?, ?)", (producer, now))
            self._epoch = _begin_run(db, token)
            runs = [Run(*row) for row in db.execute("SELECT epoch, token, first FROM run ORDER BY epoch")]
            peers = {dest: Peer(*rest) for dest, *rest in db.execute("SELECT * FROM peer ORDER BY dest")}
            backlog = dict(db.execute("SELECT dest, count(*) FROM message GROUP BY dest ORDER BY min(sequence)"))
            used = db.execute(f"SELECT {_COST} FROM message").fetchone()[0]
        return Opened(producer, runs, peers, backlog, used, last_run)

    def write(self, group: Group, now: float) -> Written:
        written = Written()
        with self._opened().transaction() as db:
            self._check_epoch(db)
            _insert(db, group.rows)
            self._remove(db, group, written, now)
            if group.attempts:
                # Of a row that is dead or deleted by now nothing is found, which is right.
                db.executemany("UPDATE message SET attempts = ?2 WHERE sequence = ?1", list(group.attempts.items()))
            for dest, peer in group.peers.items():
                db.execute(_PEER, (dest, peer.acked, peer.tried, peer.suspect, peer.boot))
            if group.retry_from is not None:
                self._retry(db, group.retry_from, now, written)
            db.execute("UPDATE meta SET last_run = ?", (now,))
        return written

    def _remove(self, db: sqlite3.Connection, group: Group, written: Written, now: float) -> None:
        # First: what the inbox has confirmed since may be behind it.
        for sequence, reason in group.dead:
            _bury(db, "sequence = ?", (sequence,), (now, reason), written)
        for dest, upto in group.deleted.items():
            which = "FROM message WHERE dest = ? AND sequence <= ?"
            count, size = db.execute(f"SELECT count(*), {_COST} {which}", (dest, upto)).fetchone()
            if count:
                db.execute(f"DELETE {which}", (dest, upto))
                written.removed[dest] = written.removed.get(dest, 0) + count
                written.freed += size
        if group.expire is not None:
            before, dests = group.expire
            which = f"created < ? AND dest IN ({','.join('?' * len(dests))})"
            for dest, sequence in _bury(db, which, (before, *dests), (now, "expired"), written):
                written.expired.setdefault(dest, []).append(sequence)

    def _retry(self, db: sqlite3.Connection, first: int, now: float, written: Written) -> None:
        rows = db.execute(
            "SELECT sequence, dest, key, data FROM dead WHERE retry ORDER BY sequence LIMIT ?", (RETRIES,)
        ).fetchall()
        for position, (sequence, dest, key, data) in enumerate(rows):
            # Its age begins anew: who asks for another attempt wants one.
            db.execute("INSERT INTO message VALUES (?, ?, ?, ?, 0, 1, ?)", (first + position, dest, key, now, data))
            db.execute("DELETE FROM dead WHERE sequence = ?", (sequence,))
            written.retried[dest] = written.retried.get(dest, 0) + 1
            written.freed -= len(data) + ROW_COST

    def look(self) -> Look:
        file = self._opened()
        with file.errors():
            dead = file.db.execute(f"SELECT count(*), {_COST}, coalesce(max(retry), 0) FROM dead").fetchone()
            # The lowest sequence is the oldest: what is sent again gets a new one, and a new time.
            first = file.db.execute("SELECT created FROM message ORDER BY sequence LIMIT 1").fetchone()
        return Look(dead[0], dead[1], bool(dead[2]), first[0] if first else 0.0)

    def read(self, dest: str, after: int, messages: int, size: int) -> tuple[list[Row], bool]:
        file = self._opened()
        with file.errors():
            rows: list[Row] = []
            complete = True
            cursor = file.db.execute(
                "SELECT sequence, key, data, attempts, again FROM message WHERE dest = ? AND sequence > ? "
                "ORDER BY sequence LIMIT ?",
                (dest, after, messages + 1),
            )
            for sequence, key, data, attempts, again in cursor:
                size -= len(data)
                if rows and (size < 0 or len(rows) == messages):
                    complete = False
                    break
                rows.append(Row(sequence, key, data, attempts, bool(again)))
            cursor.close()
        if rows:
            with file.transaction() as db:
                self._check_epoch(db)
                db.execute(_TRIED, (dest, rows[-1].sequence))
        return rows, complete

    def renew(self, token: bytes) -> tuple[bytes, Run]:
        with self._opened().transaction() as db:
            self._check_epoch(db)
            db.execute("UPDATE meta SET producer = ?", (token,))
            db.execute("DELETE FROM run")
            db.execute("DELETE FROM peer")
            db.execute("UPDATE message SET again = 1")
            self._epoch = _begin_run(db, token)
            run = Run(*db.execute("SELECT epoch, token, first FROM run").fetchone())
        return token, run

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _opened(self) -> SqliteFile:
        if self._file is None:
            raise RuntimeError("the store is not open")
        return self._file

    def _check_epoch(self, db: sqlite3.Connection) -> None:
        newest = db.execute("SELECT max(epoch) FROM run").fetchone()[0]
        if newest != self._epoch:
            raise StoreFencedError(f"a newer process has opened {self.path}: it belongs to that one; stop this process")


def _begin_run(db: sqlite3.Connection, token: bytes) -> int:
    """Returns the epoch. AUTOINCREMENT: neither an epoch nor a sequence is used twice, whatever was deleted."""
    known = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'").fetchone()
    first = (known[0] if known else 0) + 1
    epoch = db.execute("INSERT INTO run (token, first) VALUES (?, ?)", (token, first)).lastrowid
    assert epoch is not None
    db.execute("DELETE FROM run WHERE epoch <= ?", (epoch - RUNS_KEPT,))
    return epoch


def _insert(db: sqlite3.Connection, rows: Sequence[NewRow]) -> None:
    """`NewRow` has its fields in the order of the table."""
    at = 0
    for size in _CHUNKS:
        while len(rows) - at >= size:
            db.execute(_INSERT[size], tuple(chain.from_iterable(rows[at : at + size])))
            at += size


def _bury(
    db: sqlite3.Connection, which: str, values: tuple[object, ...], died: tuple[float, str], written: Written
) -> list[tuple[str, int]]:
    """Make dead letters of messages; `died`: when and why. Returns dests and sequences."""
    written.freed += db.execute(f"SELECT {_COST} FROM message WHERE {which}", values).fetchone()[0]
    gone: list[tuple[str, int]] = db.execute(
        f"SELECT dest, sequence FROM message WHERE {which} ORDER BY sequence", values
    ).fetchall()
    if gone:
        db.execute(
            f"INSERT INTO dead SELECT sequence, dest, key, created, ?, ?, 0, data FROM message WHERE {which}",
            (*died, *values),
        )
        db.execute(f"DELETE FROM message WHERE {which}", values)
    for dest, _ in gone:
        written.removed[dest] = written.removed.get(dest, 0) + 1
    return gone
