"""The SQLite stores: what a commit changes, and what happens when the disk is full, read-only, damaged or taken.

Covers `outproc.outbox.sqlite_file`, `outproc.outbox.sqlite_outbox`, `outproc.outbox.sqlite_inbox` and
`outproc.outbox.store`.
"""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from outproc.outbox.errors import (
    StoreCorruptError,
    StoreError,
    StoreFencedError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
)
from outproc.outbox.options import InboxOptions, OutboxOptions
from outproc.outbox.sqlite_inbox import SqliteInboxStore
from outproc.outbox.sqlite_outbox import SqliteOutboxStore
from outproc.outbox.store import ROW_COST, Group, InboxGroup, Key, NewRow, Opened, Peer, Position, Row, Work

QUICK = OutboxOptions(synchronous="off", lock_timeout=0.05)
KEY: Key = ("alice", b"p" * 16)


def opened(path: Path, token: bytes = b"1" * 16, now: float = 5.0) -> tuple[SqliteOutboxStore, Opened]:
    store = SqliteOutboxStore(path, QUICK)
    return store, store.open(token, now)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "box"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteOutboxStore]:
    made, _ = opened(path)
    with closing(made):
        yield made


def new(*sequences: int, dest: str = "bob", created: float = 1.0, data: bytes = b"data") -> Group:
    return Group(rows=[NewRow(sequence, dest, f"k{sequence}", created, data) for sequence in sequences])


def sequences(store: SqliteOutboxStore, dest: str = "bob") -> list[int]:
    return [row.sequence for row in store.read(dest, 0, 100, 1 << 20)[0]]


def connection(store: SqliteOutboxStore) -> sqlite3.Connection:
    assert store._file is not None
    return store._file.db


# -- the outbox -------------------------------------------------------------------------------------------


def test_what_is_written_is_read_in_order_and_by_dest(store: SqliteOutboxStore) -> None:
    store.write(new(1, 3), 6.0)
    store.write(new(2, dest="carol"), 6.0)
    assert store.read("bob", 0, 2, 8) == ([Row(1, "k1", b"data", 0, False), Row(3, "k3", b"data", 0, False)], True)
    assert sequences(store, "carol") == [2]
    assert store.read("bob", 1, 10, 100) == ([Row(3, "k3", b"data", 0, False)], True)
    assert store.read("bob", 0, 1, 100) == ([Row(1, "k1", b"data", 0, False)], False)
    assert store.read("bob", 0, 10, 1) == ([Row(1, "k1", b"data", 0, False)], False), "at least one"
    assert store.read("bob", 3, 10, 1) == ([], True)


def test_a_restart_finds_what_was_there_and_never_uses_a_sequence_twice(path: Path) -> None:
    store, first = opened(path)
    store.write(new(1, 2, 9), 77.0)
    store.write(Group(deleted={"bob": 9}), 78.0)
    store.write(Group(peers={"bob": Peer(9, 9, 3, b"boot")}), 79.0)
    store.close()
    store, second = opened(path, b"2" * 16)
    with closing(store):
        assert second.producer == first.producer
        assert [(run.token, run.first) for run in second.runs] == [(b"1" * 16, 1), (b"2" * 16, 10)]
        assert second.runs[1].epoch > second.runs[0].epoch
        assert second.peers == {"bob": Peer(9, 9, 3, b"boot")}
        assert (second.backlog, second.used, first.last_run, second.last_run) == ({}, 0, 0.0, 79.0)


def test_a_deletion_takes_all_below_of_that_dest_only_and_tells_what_it_freed(store: SqliteOutboxStore) -> None:
    store.write(new(1, 2, 4), 6.0)
    store.write(new(3, dest="carol"), 6.0)
    written = store.write(Group(deleted={"bob": 3, "dave": 9}), 6.0)
    assert (written.removed, written.freed) == ({"bob": 2}, 2 * (4 + ROW_COST))
    assert (sequences(store), sequences(store, "carol")) == ([4], [3])


def test_what_is_confirmed_behind_a_dead_letter_does_not_delete_it(store: SqliteOutboxStore) -> None:
    store.write(new(1, 2, 3), 6.0)
    written = store.write(Group(deleted={"bob": 3}, dead=[(2, "too large")]), 7.0)
    assert (sequences(store), store.look().dead, written.removed) == ([], 1, {"bob": 3})


def test_dead_letters_leave_the_messages_and_come_back_when_asked_for(store: SqliteOutboxStore) -> None:
    store.write(new(1, 2, 3), 6.0)
    written = store.write(Group(dead=[(2, "attempts")]), 7.0)
    assert (written.removed, written.freed) == ({"bob": 1}, 4 + ROW_COST)
    assert sequences(store) == [1, 3]
    assert store.look()[:3] == (1, 4 + ROW_COST, False)
    connection(store).execute("UPDATE dead SET retry = 1")
    assert store.look()[:3] == (1, 4 + ROW_COST, True)
    written = store.write(Group(retry_from=50), 8.0)
    assert (written.retried, written.freed) == ({"bob": 1}, -4 - ROW_COST)
    assert store.look()[:3] == (0, 0, False)
    assert store.read("bob", 3, 9, 99)[0] == [Row(50, "k2", b"data", 0, True)]


def test_what_is_too_old_dies_where_it_is_looked_for(store: SqliteOutboxStore) -> None:
    store.write(new(1, 2, created=10.0), 6.0)
    store.write(new(3, created=30.0), 6.0)
    store.write(new(4, dest="carol", created=10.0), 6.0)
    written = store.write(Group(expire=(20.0, ("bob", "dave"))), 40.0)
    assert (written.expired, written.removed) == ({"bob": [1, 2]}, {"bob": 2})
    assert (sequences(store), sequences(store, "carol")) == ([3], [4])


def test_what_may_be_transmitted_is_noted_before_it_is(path: Path) -> None:
    store, _ = opened(path)
    store.write(new(1, 2, 3), 6.0)
    store.read("bob", 0, 2, 100)
    store.write(Group(peers={"bob": Peer(1, 0, 0, b"boot")}, attempts={1: 4, 99: 1}), 6.0)
    store.close()
    store, again = opened(path)
    with closing(store):
        assert again.peers == {"bob": Peer(1, 2, 0, b"boot")}
        assert store.read("bob", 0, 1, 100)[0][0].attempts == 4


def test_a_new_identity_marks_all_that_is_there(store: SqliteOutboxStore, path: Path) -> None:
    store.write(new(1, 2), 6.0)
    producer, run = store.renew(b"9" * 16)
    assert (run.token, run.first) == (b"9" * 16, 3)
    assert [row.again for row in store.read("bob", 0, 9, 99)[0]] == [True, True]
    store.write(new(3), 6.0)
    store.close()
    again, found = opened(path)
    with closing(again):
        assert (found.producer, found.runs[0]) == (producer, run)


def test_a_process_that_was_only_asleep_finds_that_its_file_belongs_to_another(path: Path) -> None:
    zombie, _ = opened(path)
    with closing(zombie):
        zombie.write(new(1), 6.0)
        successor, _ = opened(path, b"2" * 16)
        with closing(successor):
            for deed in (
                lambda: zombie.write(new(2), 6.0),
                lambda: zombie.read("bob", 0, 1, 1),
                lambda: zombie.renew(b""),
            ):
                with pytest.raises(StoreFencedError, match="newer process"):
                    deed()
            successor.write(new(2), 6.0)
            assert sequences(successor) == [1, 2]


# -- the disk ---------------------------------------------------------------------------------------------


def test_a_full_disk_is_named_and_nothing_is_half_written(store: SqliteOutboxStore) -> None:
    store.write(new(1), 6.0)
    pages = connection(store).execute("PRAGMA page_count").fetchone()[0]
    connection(store).execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(StoreFullError, match="disk is full"):
        store.write(new(*range(2, 40), data=bytes(4000)), 6.0)
    assert sequences(store) == [1]
    connection(store).execute("PRAGMA max_page_count=100000")
    store.write(new(*range(2, 40), data=bytes(4000)), 6.0)
    assert sequences(store) == list(range(1, 40))


def test_a_read_only_file_is_named(store: SqliteOutboxStore) -> None:
    connection(store).execute("PRAGMA query_only=1")
    with pytest.raises(StoreReadOnlyError, match="cannot be written"):
        store.write(new(1), 6.0)


def test_a_new_file_is_for_its_owner_only(store: SqliteOutboxStore, path: Path) -> None:
    store.write(new(1), 6.0)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {"box": 0o600, "box-wal": 0o600, "box-shm": 0o600}


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    store = SqliteOutboxStore(tmp_path / "missing" / "box", QUICK)
    with closing(store), pytest.raises(StoreReadOnlyError, match="directory"):
        store.open(b"1" * 16, 0.0)


@pytest.mark.parametrize("content", [b"this is no database, it only looks like a file" * 100, b"\0" * 8192])
def test_what_is_no_store_is_named_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    store = SqliteOutboxStore(path, QUICK)
    with closing(store), pytest.raises(StoreCorruptError):
        store.open(b"1" * 16, 0.0)
    assert path.read_bytes() == content


def test_somebody_elses_database_is_named_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE mine (x)")
    store = SqliteOutboxStore(path, QUICK)
    with closing(store), pytest.raises(StoreCorruptError, match="something else"):
        store.open(b"1" * 16, 0.0)


def test_a_file_damaged_in_the_middle_is_named(path: Path) -> None:
    store, _ = opened(path)
    for first in range(1, 400, 20):
        store.write(new(*range(first, first + 20), data=bytes(500)), 6.0)
    store.close()
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 3 :] = b"\xff" * (len(damaged) - 4096 * 3)
    path.write_bytes(damaged)
    with pytest.raises(StoreCorruptError, match="damaged"):
        _use(path)


def _use(path: Path) -> None:
    store, _ = opened(path)
    with closing(store):
        store.write(new(1000), 6.0)
        store.read("bob", 0, 1000, 1 << 20)


def test_a_file_that_somebody_holds_is_named(store: SqliteOutboxStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLockedError, match="lock_timeout"):
            store.write(new(1), 6.0)
        other.execute("ROLLBACK")
    store.write(new(1), 6.0)
    assert sequences(store) == [1]


def test_two_that_open_a_new_file_at_once_make_one_store(tmp_path: Path) -> None:
    first, one = opened(tmp_path / "box")
    second, two = opened(tmp_path / "box", b"2" * 16)
    with closing(first), closing(second):
        assert one.producer == two.producer


# -- the inbox --------------------------------------------------------------------------------------------


def inbox(path: Path) -> tuple[SqliteInboxStore, dict[Key, Any]]:
    store = SqliteInboxStore(
        path,
        InboxOptions(synchronous="off", lock_timeout=0.05),
        prepare=lambda db: db.execute("CREATE TABLE IF NOT EXISTS effect (what TEXT)"),
    )
    return store, dict(store.open())


def work(sequence: int, what: str | Exception, *, advance: bool = True) -> Work:
    def run(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO effect VALUES (?)", (str(what),))
        if isinstance(what, Exception):
            raise what

    return Work(KEY, sequence, run, Position(2, b"r" * 16, sequence), advance)


def effects(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [what for (what,) in db.execute("SELECT what FROM effect ORDER BY rowid")]


def test_an_effect_and_its_position_are_committed_once(path: Path) -> None:
    store, found = inbox(path)
    assert found == {}
    first, again = work(4, "four"), work(4, "four")
    store.write(InboxGroup(works=[first, again]))
    assert (first.outcome, again.outcome) == (True, False)
    store.close()
    store, found = inbox(path)
    with closing(store):
        assert found == {KEY: (Position(2, b"r" * 16, 4), [])}
        assert effects(path) == ["four"]


def test_an_effect_ahead_of_the_position_is_noted_by_itself_until_the_position_passes(path: Path) -> None:
    store, _ = inbox(path)
    ahead, again = work(7, "seven", advance=False), work(7, "seven")
    store.write(InboxGroup(works=[ahead]))
    store.write(InboxGroup(works=[again]))
    assert (ahead.outcome, again.outcome) == (True, False)
    store.close()
    store, found = inbox(path)
    assert found == {KEY: (Position(2, b"r" * 16, 0), [7])}
    store.write(InboxGroup(positions={KEY: Position(2, b"r" * 16, 7)}))
    store.write(InboxGroup(positions={KEY: Position(3, b"s" * 16, 5)}))
    store.close()
    store, found = inbox(path)
    with closing(store):
        assert found == {KEY: (Position(3, b"s" * 16, 7), [])}, "a position never goes back"


def test_an_effect_that_fails_leaves_nothing_and_the_others_stay(path: Path) -> None:
    store, _ = inbox(path)
    with closing(store):
        works = [work(1, "one"), work(2, ValueError("two")), work(3, "three")]
        store.write(InboxGroup(works=works))
        assert [str(each.outcome) for each in works] == ["True", "two", "True"]
    assert effects(path) == ["one", "three"]


@pytest.mark.parametrize("rows", ["VALUES (randomblob(99999))", "SELECT randomblob(99999) UNION SELECT 2"])
def test_a_disk_that_is_full_is_no_fault_of_the_effect_and_leaves_nothing(path: Path, rows: str) -> None:
    """SQLite undoes the transaction in the first case, and in the second only the statement."""
    store, _ = inbox(path)
    large = Work(KEY, 2, lambda db: db.execute(f"INSERT INTO effect {rows}"), Position(2, b"r" * 16, 2), advance=True)
    with closing(store):
        assert store._file is not None
        store._file.db.execute(f"PRAGMA max_page_count={path.stat().st_size // 4096 + 5}")
        with pytest.raises(StoreFullError):
            store.write(InboxGroup(works=[work(1, "one"), large]))
        assert effects(path) == []


def test_an_effect_that_ends_the_transaction_is_an_error(path: Path) -> None:
    store, _ = inbox(path)
    bad = Work(KEY, 1, lambda db: db.execute("COMMIT"), Position(2, b"r" * 16, 1), advance=True)
    with closing(store):
        with pytest.raises(RuntimeError, match="neither commit nor roll back"):
            store.write(InboxGroup(works=[bad]))
        store.write(InboxGroup(works=[work(2, "two")]))
    assert effects(path) == ["two"]


def test_the_inbox_lives_in_the_users_own_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (x)")
    store, _ = inbox(path)
    with closing(store):
        store.write(InboxGroup(works=[work(1, "one")]))
    with closing(sqlite3.connect(path)) as db:
        assert {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} == {
            "mine",
            "effect",
            "litz_position",
            "litz_applied",
        }


def test_a_locked_inbox_writes_nothing(path: Path) -> None:
    store, _ = inbox(path)
    with closing(store), closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError):
            store.write(InboxGroup(works=[work(1, "one")]))
        other.execute("ROLLBACK")
        assert effects(path) == []
