"""The files of nodes: what is in them, kept in memory or by SQLite, older copies of them, and how their disk is."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Generic, Protocol, Self, TypeVar

from outproc.outbox.options import InboxOptions, OutboxOptions
from outproc.outbox.sqlite_inbox import SqliteInboxStore
from outproc.outbox.sqlite_outbox import SqliteOutboxStore
from outproc.outbox.store import InboxStore, OutboxStore
from tests.simulation.durable.memory_stores import InboxContent, MemoryInboxStore, MemoryOutboxStore, OutboxContent

Content = TypeVar("Content", bound="Copied")

EFFECTS = "CREATE TABLE IF NOT EXISTS effect (uid INTEGER)"


class Disk:
    """The disk of one file. `full`: every write fails. `slow`: seconds that a call takes at the most."""

    def __init__(self, rng: Random, slow: float) -> None:
        self.rng = rng
        self.usual = slow
        self.full = False
        self.slow = slow

    def heal(self) -> None:
        self.full, self.slow = False, self.usual

    def takes(self) -> float:
        """Seconds that the next step takes."""
        return self.rng.random() ** 3 * self.slow


class Copied(Protocol):
    """What a file in memory holds."""

    def copy(self) -> Self: ...


class SavedFile(Generic[Content]):
    """A file of which there may be an older copy; in memory, or (`path`) by SQLite."""

    def __init__(self, content: Content, path: Path | None) -> None:
        self._content, self._saved = content, content.copy()
        self._path = path

    def save(self) -> None:
        """Keep an older copy: a backup, or what a power cut may leave."""
        if self._path is None:
            self._saved = self._content.copy()
        else:
            _save(self._path)

    def restore(self) -> None:
        """The older copy is the file. Processes that have the other one open keep that."""
        if self._path is None:
            self._content = self._saved.copy()
        else:
            self._path = _restore(self._path)


class OutboxFile(SavedFile[OutboxContent]):
    """The file of an outbox, in memory; `folder`: by SQLite."""

    def __init__(self, name: str, folder: Path | None, options: OutboxOptions) -> None:
        super().__init__(OutboxContent(), folder / f"{name}.outbox" if folder is not None else None)
        self._options = options

    def store(self) -> OutboxStore:
        return MemoryOutboxStore(self._content) if self._path is None else SqliteOutboxStore(self._path, self._options)

    def rows(self) -> list[tuple[int, bytes]]:
        """Sequences and data of the messages."""
        if self._path is None:
            return [(sequence, row.data) for sequence, (row, _, _) in self._content.messages.items()]
        return [(sequence, data) for sequence, data in _rows(self._path, "SELECT sequence, data FROM message")]

    def dead(self) -> list[tuple[bytes, str, float]]:
        """Data, reason and time of creation of the dead letters."""
        if self._path is None:
            return [(row.data, reason, row.created) for row, reason, _ in self._content.dead.values()]
        return [(data, why, at) for data, why, at in _rows(self._path, "SELECT data, reason, created FROM dead")]

    def retries(self) -> int:
        """How many dead letters are to be sent again, and the owner of the file has not seen it yet."""
        if self._path is None:
            return sum(again for _, _, again in self._content.dead.values())
        return sum(again for (again,) in _rows(self._path, "SELECT retry FROM dead"))

    def retry_dead(self) -> None:
        """As `litz outbox retry --all`."""
        if self._path is not None:
            _rows(self._path, "UPDATE dead SET retry = 1")
        for sequence, (row, reason, _) in list(self._content.dead.items()):
            self._content.dead[sequence] = (row, reason, True)


class InboxFile(SavedFile[InboxContent]):
    """The file of an inbox, in memory; `folder`: by SQLite."""

    def __init__(self, name: str, folder: Path | None) -> None:
        super().__init__(InboxContent(), folder / f"{name}.inbox" if folder is not None else None)

    def store(self) -> InboxStore:
        if self._path is None:
            return MemoryInboxStore(self._content)
        options = InboxOptions(synchronous="off", lock_timeout=0.01)
        return SqliteInboxStore(self._path, options, prepare=lambda db: db.execute(EFFECTS))

    def effects(self) -> list[int]:
        """What the works did."""
        if self._path is None:
            return list(self._content.effects)
        return [uid for (uid,) in _rows(self._path, "SELECT uid FROM effect ORDER BY rowid")]


def insert_effect(db: Any, uid: int) -> None:
    """A work of a user: to be called in the inbox's transaction."""
    if isinstance(db, list):
        db.append(uid)
    else:
        db.execute("INSERT INTO effect VALUES (?)", (uid,))


def _save(path: Path) -> None:
    saved = path.with_suffix(".saved" + path.suffix[1:])
    saved.unlink(missing_ok=True)
    if not path.exists():
        return  # the one before was taken away, and nobody opened this one yet: SQLite would make an empty file of it
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(saved)) as copy:
        live.backup(copy)


def _restore(path: Path) -> Path:
    saved = path.with_suffix(".saved" + path.suffix[1:])
    number = int(path.stem.rpartition("-")[2]) + 1 if "-" in path.stem else 1
    restored = path.with_stem(f"{path.stem.partition('-')[0]}-{number}")
    if saved.exists():
        shutil.copy(saved, restored)
        shutil.copy(saved, restored.with_suffix(".saved" + path.suffix[1:]))
    return restored


def _rows(path: Path, statement: str) -> list[Any]:
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as db, db:
        return db.execute(statement).fetchall()
