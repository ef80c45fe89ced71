"""What the tests of durable messages share: a sender and a receiver with files in one folder, and looking into them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from litz.message import Message
from litz.payload import PayloadType
from outproc.outbox import Inbox, InboxOptions, Outbox, OutboxOptions
from tests.integration.outproc_nodes import LOOPBACK, Manager, node, until

DURABLE = PayloadType.RPC_DURABLE
QUICK = OutboxOptions(synchronous="off", revisit=0.05)
QUICK_INBOX = InboxOptions(synchronous="off")
HURRIED = InboxOptions(synchronous="off", lock_timeout=0.05)
SOON = 120.0
"""Deadlines of what comes at once on a machine that has time."""


def outbox(folder: Path, **changes: object) -> Outbox:
    return Outbox(folder / "outbox", QUICK.model_copy(update=changes))


def inbox(folder: Path) -> Inbox:
    return Inbox(
        folder / "inbox",
        QUICK_INBOX,
        prepare=lambda db: db.execute("CREATE TABLE IF NOT EXISTS effect (what BLOB)"),
    )


def effects(folder: Path) -> list[bytes]:
    with closing(sqlite3.connect(folder / "inbox")) as db:
        return [what for (what,) in db.execute("SELECT what FROM effect ORDER BY rowid")]


@asynccontextmanager
async def alice_of(folder: Path, bob: str, **changes: object) -> AsyncIterator[Manager]:
    async with node("alice", knows={"bob": [bob]}, outbox=outbox(folder, **changes)) as alice:
        yield alice


@asynccontextmanager
async def bob_of(folder: Path, url: str = LOOPBACK) -> AsyncIterator[Manager]:
    async with node("bob", listen=url, inbox=inbox(folder)) as bob:
        yield bob


def address(folder: Path) -> str:
    """Where the receiver is, in all its lives."""
    return f"unix:{folder / 'bob.socket'}"


def bodies(messages: list[Message]) -> list[bytes]:
    return [message.data for message in messages]


async def send_all(alice: Manager, first: int, last: int, *, size: int = 4) -> None:
    sends = [alice.send("bob", number.to_bytes(size, "big"), payload_type=DURABLE) for number in range(first, last)]
    await asyncio.gather(*sends)


def outbox_of(manager: Manager) -> Outbox:
    found = manager._durable.outbox
    assert isinstance(found, Outbox)
    return found


def backlog(manager: Manager) -> int:
    return outbox_of(manager).backlog().get("bob", 0)


async def until_session_over(manager: Manager) -> None:
    """Until `manager` has heard that bob is gone."""
    port = manager._durable._port
    assert port is not None
    await until(lambda: not port.has_session("bob"), "the session is over")
