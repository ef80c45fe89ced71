"""Durable messages and their files: who owns them, backups, and disks that are full, locked, damaged or missing.

Covers `outproc.outbox.errors` and `outproc.outbox.events`.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from litz.errors import ManagerStateError
from litz.message import Message
from outproc.local_node import system_environment
from outproc.outbox import (
    DeadLettered,
    Inbox,
    InboxWentBack,
    Outbox,
    OutboxRestored,
    StoreCorruptError,
    StoreFailed,
    StoreFencedError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
)
from outproc.outbox.sqlite_outbox import SqliteOutboxStore
from outproc.outbox.sqlite_upkeep import OutboxUpkeep
from outproc.outbox.store import Group, Written
from tests.integration.outbox_nodes import (
    DURABLE,
    HURRIED,
    QUICK,
    SOON,
    address,
    alice_of,
    backlog,
    bob_of,
    bodies,
    effects,
    inbox,
    outbox,
    outbox_of,
    send_all,
    until_session_over,
)
from tests.integration.outproc_nodes import LOOPBACK, next_of, node, take, until

# -- files ------------------------------------------------------------------------------------------------


async def test_the_newest_process_owns_the_file_and_the_other_is_told(tmp_path: Path) -> None:
    async with bob_of(tmp_path, address(tmp_path)) as bob, alice_of(tmp_path, "ws://127.0.0.1:9") as zombie:
        await zombie.send("bob", b"before", payload_type=DURABLE)
        events = zombie.events()
        async with alice_of(tmp_path, address(tmp_path)) as alice:
            for _ in range(2):
                with pytest.raises(StoreFencedError, match="newer process"):
                    await zombie.send("bob", b"zombie", payload_type=DURABLE)
            assert isinstance((await next_of(events, StoreFailed)).error, StoreFencedError)
            with pytest.raises(StoreFencedError, match="newer process"):
                await zombie.drain("bob", timeout=SOON)
            await alice.send("bob", b"after", payload_type=DURABLE)
            assert bodies(await take(bob, 2)) == [b"before", b"after"]


async def test_a_restored_outbox_goes_on_as_another_producer_and_loses_nothing_new(tmp_path: Path) -> None:
    async with bob_of(tmp_path, address(tmp_path)) as bob:
        async with alice_of(tmp_path, address(tmp_path)) as alice:
            await send_all(alice, 0, 2)
            await take(bob, 2)
            await alice.drain(timeout=SOON)
        shutil.copy(tmp_path / "outbox", tmp_path / "saved")
        async with alice_of(tmp_path, address(tmp_path)) as alice:
            await send_all(alice, 2, 9)
            await take(bob, 7)
            await alice.drain(timeout=SOON)
        for name in ("outbox", "outbox-wal", "outbox-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        shutil.copy(tmp_path / "saved", tmp_path / "outbox")
        async with alice_of(tmp_path, address(tmp_path)) as alice:
            events = alice.events()
            await send_all(alice, 100, 103)
            got: list[int] = []
            async with asyncio.timeout(SOON):
                async for message in bob.messages():
                    got.append(int.from_bytes(message.data, "big"))
                    if got[-1] == 102:
                        break
            await next_of(events, OutboxRestored)
            assert got[-3:] == [100, 101, 102]
            assert set(got[:-3]) <= {0, 1}


async def test_an_inbox_that_went_back_is_told(tmp_path: Path) -> None:
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        events = alice.events()
        async with bob_of(tmp_path, address(tmp_path)) as bob:
            await send_all(alice, 0, 3)
            await take(bob, 3)
            await alice.drain(timeout=SOON)
        for name in ("inbox", "inbox-wal", "inbox-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        async with bob_of(tmp_path, address(tmp_path)) as bob:
            await send_all(alice, 3, 4)
            assert bodies(await take(bob, 1)) == [(3).to_bytes(4, "big")]
            told = await next_of(events, InboxWentBack)
            assert (told.stated, told.acked) == (0, 3)


@pytest.mark.parametrize("side", ["outbox", "inbox"])
@pytest.mark.parametrize("harm", ["locked", "no database", "missing directory"])
async def test_a_file_that_cannot_be_opened_is_named_and_nothing_is_left(tmp_path: Path, side: str, harm: str) -> None:
    folder = tmp_path / "sub"
    errors = {"locked": StoreLockedError, "no database": StoreCorruptError, "missing directory": StoreReadOnlyError}
    if harm != "missing directory":
        folder.mkdir()
    if harm == "no database":
        (folder / side).write_bytes(b"no database " * 1000)
    holder = sqlite3.connect(folder / side, isolation_level=None) if harm == "locked" else None
    if holder is not None:
        holder.execute("PRAGMA journal_mode=WAL")
        holder.execute("BEGIN IMMEDIATE")
    parts: dict[str, Any] = {"outbox": outbox(tmp_path), "inbox": inbox(tmp_path)}
    if side == "outbox":
        parts["outbox"] = outbox(folder, lock_timeout=0.05)
    else:
        parts["inbox"] = Inbox(folder / "inbox", HURRIED)
    with pytest.raises(errors[harm]):
        async with node("alice", **parts):
            pass
    if holder is not None:
        holder.close()
    with pytest.raises(ManagerStateError):
        async with node("alice", **parts):
            pass


class FailingOutboxStore(SqliteOutboxStore):
    """A real store on a disk that can become full."""

    full = False

    def write(self, group: Group, now: float) -> Written:
        assert self._file is not None
        pages = self._file.db.execute("PRAGMA page_count").fetchone()[0] if self.full else 1 << 20
        self._file.db.execute(f"PRAGMA max_page_count={pages}")
        return super().write(group, now)


async def test_a_full_disk_is_told_to_those_who_send_and_harms_nobody_else(tmp_path: Path) -> None:
    store = FailingOutboxStore(tmp_path / "outbox", QUICK)
    async with (
        bob_of(tmp_path) as bob,
        node("alice", knows={"bob": bob.endpoints}, outbox=Outbox(store, QUICK)) as alice,
    ):
        await alice.send("bob", b"one", payload_type=DURABLE)
        store.full = True
        outcomes = await asyncio.gather(
            *(alice.send("bob", bytes(9000), payload_type=DURABLE, confirm="durable") for _ in range(3)),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [StoreFullError] * 3
        await alice.send("bob", b"memory", confirm="received", timeout=SOON)
        store.full = False
        await alice.send("bob", b"two", payload_type=DURABLE)
        assert sorted(bodies(await take(bob, 3))) == [b"memory", b"one", b"two"]
        await alice.drain(timeout=SOON)


async def test_positions_that_cannot_be_committed_are_tried_again_and_nothing_is_confirmed_before(
    tmp_path: Path,
) -> None:
    async with (
        node("bob", listen=LOOPBACK, inbox=Inbox(tmp_path / "inbox", HURRIED)) as bob,
        alice_of(tmp_path, bob.endpoints[0]) as alice,
    ):
        events = bob.events()
        with closing(sqlite3.connect(tmp_path / "inbox", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            await alice.send("bob", b"one", payload_type=DURABLE)
            await take(bob, 1)
            assert isinstance((await next_of(events, StoreFailed)).error, StoreLockedError)
            assert backlog(alice) == 1
            await alice.send("bob", b"memory", confirm="received", timeout=SOON)
            holder.execute("ROLLBACK")
        await alice.drain(timeout=SOON)


async def test_sends_under_way_when_the_manager_closes_are_committed_or_told(tmp_path: Path) -> None:
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        sends = [asyncio.create_task(alice.send("bob", b"%d" % each, payload_type=DURABLE)) for each in range(50)]
        waiting = asyncio.create_task(alice.send("bob", b"w", payload_type=DURABLE, confirm="durable"))
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    with pytest.raises(ManagerStateError):
        await waiting
    told = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(each, ManagerStateError) for each in told)
    found = outbox(tmp_path)
    await found.open(system_environment())
    assert found.backlog().get("bob", 0) >= 51 - len(told)
    await found.aclose(SOON)


async def test_an_effect_waits_for_a_disk_that_fails_and_happens_once(tmp_path: Path) -> None:
    taken = Inbox(tmp_path / "inbox", HURRIED, prepare=lambda db: db.execute("CREATE TABLE effect (what BLOB)"))
    outcomes: list[bool] = []

    async def handler(message: Message) -> None:
        outcomes.append(
            await taken.apply(message, lambda db: db.execute("INSERT INTO effect VALUES (?)", (message.data,)))
        )

    async with node("bob", listen=LOOPBACK, inbox=taken) as bob, alice_of(tmp_path, bob.endpoints[0]) as alice:
        events = bob.events()
        served = asyncio.create_task(bob.serve(handler))
        with closing(sqlite3.connect(tmp_path / "inbox", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            await alice.send("bob", b"one", payload_type=DURABLE)
            assert isinstance((await next_of(events, StoreFailed)).error, StoreLockedError)
            assert outcomes == []
            holder.execute("ROLLBACK")
        await alice.drain(timeout=SOON)
        served.cancel()
        await asyncio.gather(served, return_exceptions=True)
    assert outcomes == [True]
    assert effects(tmp_path) == [b"one"]


async def test_a_work_that_ends_the_transaction_harms_no_other(tmp_path: Path) -> None:
    taken = inbox(tmp_path)
    bad: list[BaseException] = []

    def work(body: bytes, db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO effect VALUES (?)", (body,))
        if body == (5).to_bytes(4, "big"):
            db.execute("COMMIT")

    async def handler(message: Message) -> None:
        try:
            await taken.apply(message, partial(work, message.data))
        except RuntimeError as error:
            bad.append(error)

    async with node("bob", listen=LOOPBACK, inbox=taken) as bob, alice_of(tmp_path, bob.endpoints[0]) as alice:
        served = asyncio.create_task(bob.serve(handler, concurrency=20))
        await send_all(alice, 0, 20)
        await alice.drain(timeout=SOON)
        served.cancel()
        await asyncio.gather(served, return_exceptions=True)
    assert len(bad) == 1
    found = [int.from_bytes(what, "big") for what in effects(tmp_path)]
    assert sorted(each for each in found if each != 5) == [each for each in range(20) if each != 5]


async def test_what_is_too_old_becomes_a_dead_letter_where_nobody_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        await send_all(alice, 0, 3)
    monkeypatch.setattr("outproc.outbox.outbox.TIDY_EVERY", 0.0)
    monkeypatch.setattr("outproc.outbox.outbox.LONGEST_GRACE", 0.0)
    async with alice_of(tmp_path, address(tmp_path), max_age=1e-6) as alice:
        told = await next_of(alice.events(), DeadLettered)
        assert (told.dest, told.sequences, told.reason) == ("bob", (1, 2, 3), "expired")
        await alice.drain(timeout=SOON)
        await until(lambda: outbox_of(alice).used, "dead letters count in max_bytes")
        assert backlog(alice) == 0
    with OutboxUpkeep(tmp_path / "outbox") as upkeep:
        assert [letter.reason for letter in upkeep.dead()] == ["expired"] * 3


async def test_a_message_at_which_receivers_die_becomes_a_dead_letter_and_the_next_one_goes(tmp_path: Path) -> None:
    async with alice_of(tmp_path, address(tmp_path), max_attempts=2) as alice:
        events = alice.events()
        await send_all(alice, 0, 2)
        poisoned = 0
        while poisoned < 2:
            async with bob_of(tmp_path, address(tmp_path)) as bob:
                with pytest.raises(ZeroDivisionError):
                    async with bob.messages() as stream:
                        assert (await anext(stream)).number == 1
                        poisoned += 1
                        raise ZeroDivisionError  # and the process is gone
            await until_session_over(alice)
        async with bob_of(tmp_path, address(tmp_path)) as bob:
            assert [message.number for message in await take(bob, 1)] == [2]
            assert (await next_of(events, DeadLettered)).sequences == (1,)
            await alice.drain(timeout=SOON)
