"""Writes to an outbox and an inbox in child processes that are killed at random points, and looks at what is left.

`python -m tests.prove.store_killer FOLDER KILLS SEED`: one child after the other opens both files and commits groups as
fast as it can, telling each commit when it is done. After each SIGKILL the files must open and hold all that was told,
and of what was not told everything of a group or nothing. Prints how many kills there were, and how many hit a commit.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import NoReturn

from outproc.outbox.options import InboxOptions, OutboxOptions
from outproc.outbox.sqlite_inbox import SqliteInboxStore
from outproc.outbox.sqlite_outbox import SqliteOutboxStore
from outproc.outbox.store import Group, InboxGroup, NewRow, Peer, Position, Work

SIZE = 7
"""Rows of a group. Each carries the number of its group."""
KEEP = 3
"""Groups that are not deleted yet."""
KEY = ("alice", b"p" * 16)


def child(folder: Path, told: int) -> NoReturn:
    """Commit until killed."""
    outbox = SqliteOutboxStore(folder / "outbox", OutboxOptions(lock_timeout=60))
    inbox = SqliteInboxStore(folder / "inbox", InboxOptions(lock_timeout=60), prepare=_prepare)
    sequence = outbox.open(os.urandom(16), 0.0).runs[-1].first
    known = inbox.open().get(KEY)
    done = known[0].committed if known is not None else 0
    while True:
        number = sequence // SIZE + 1
        rows = [NewRow(sequence + at, "bob", "", 0.0, number.to_bytes(4, "big") * 300) for at in range(SIZE)]
        gone = sequence - 1 - KEEP * SIZE
        outbox.write(
            Group(rows, {"bob": gone}, peers={"bob": Peer(gone, sequence, 0, number.to_bytes(16, "big"))}), 1.0
        )
        os.write(told, b"o%16d" % (sequence + SIZE - 1))
        sequence += SIZE
        inbox.write(InboxGroup([Work(KEY, done + at, _effect(done + at), _at(done + at), True) for at in range(1, 5)]))
        done += 4
        os.write(told, b"i%16d" % done)


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS effect (sequence INTEGER)")


def _effect(sequence: int) -> Callable[[sqlite3.Connection], object]:
    return lambda db: db.execute("INSERT INTO effect VALUES (?)", (sequence,))


def _at(sequence: int) -> Position:
    return Position(1, b"r" * 16, sequence)


def look(folder: Path, stored: int, done: int) -> tuple[int, int]:
    """Complain about what is wrong in the files; `stored` and `done` were told. Returns what is there."""
    outbox = SqliteOutboxStore(folder / "outbox", OutboxOptions(lock_timeout=60))
    with closing(outbox):
        last = outbox.open(os.urandom(16), 0.0).runs[-1].first - 1
        rows = outbox.read("bob", 0, 1000, 1 << 30)[0]
        peer = outbox.open(os.urandom(16), 0.0).peers.get("bob", Peer())
    assert stored <= last <= stored + SIZE, f"{stored} was told and {last} is there"
    assert last % SIZE == 0, f"a group that is not whole: {last}"
    sequences = [row.sequence for row in rows]
    assert sequences == list(range(max(1, last - (KEEP + 1) * SIZE + 1), last + 1)), f"{sequences} up to {last}"
    assert all(row.data == ((row.sequence - 1) // SIZE + 1).to_bytes(4, "big") * 300 for row in rows), "data"
    assert int.from_bytes(peer.boot, "big") * SIZE == last, "the peer is not of the last group"
    inbox = SqliteInboxStore(folder / "inbox", InboxOptions(lock_timeout=60), prepare=_prepare)
    with closing(inbox):
        known = inbox.open().get(KEY)
    committed = known[0].committed if known is not None else 0
    assert done <= committed <= done + 4, f"{done} was told and {committed} is there"
    with closing(sqlite3.connect(folder / "inbox")) as db:
        effects = [sequence for (sequence,) in db.execute("SELECT sequence FROM effect ORDER BY rowid")]
    assert effects == list(range(1, committed + 1)), "effects and position differ"
    for name in ("outbox", "inbox"):
        with closing(sqlite3.connect(folder / name)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], name
    return last, committed


def kill_one(folder: Path, rng: Random, before: tuple[int, int]) -> tuple[int, int, bool]:
    """One child, killed. Returns what is there afterwards, and whether more was there than told."""
    mine, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(mine)
            child(folder, its)
        finally:
            os._exit(1)
    os.close(its)
    with os.fdopen(mine, "rb") as news:
        first = news.read(17)  # it has opened both, and is at work
        time.sleep(rng.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        rest = news.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, f"the child ended by itself: {status}"
    told = first + rest
    records = [told[at : at + 17] for at in range(0, len(told) - len(told) % 17, 17)]
    stored = max([int(each[1:]) for each in records if each[:1] == b"o"], default=before[0])
    done = max([int(each[1:]) for each in records if each[:1] == b"i"], default=before[1])
    last, committed = look(folder, stored, done)
    return last, committed, (last, committed) != (stored, done)


def main(folder: Path, kills: int, seed: int) -> None:
    """Kill so many children."""
    rng = Random(seed)
    last = committed = within = 0
    for _ in range(kills):
        last, committed, hit = kill_one(folder, rng, (last, committed))
        within += hit
    print(f"{kills} kills, {within} between a commit and its telling, {last} rows, {committed} effects")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
