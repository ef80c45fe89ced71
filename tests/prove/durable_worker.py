"""The two sides of durable messages as processes that are killed and started again on the same files.

What they did is written down beside litz, one line each in files that only grow: a SIGKILL takes nothing of them.
`accepted`: "life first last", when `send` returned for these numbers. `handled`: "life-of-receiver life number
redelivered", when a handler began. The effects are in the inbox's own file.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from pathlib import Path
from struct import Struct

from litz.events import LostReceipt
from litz.message import Message
from litz.payload import PayloadType
from outproc import OutprocTransportManager, TransportOptions
from outproc.outbox import Inbox, Outbox, OutboxOptions
from outproc.wires.websocket import WebSocketWireBuilder
from tests.prove.control import Control

BODY = Struct("<IQ")
"""Life of the sender, and number: what is sent again by a later life is another message."""
GROUP = 250
AHEAD = 8
"""Groups that the sender is ahead of what is confirmed."""
OPTIONS = TransportOptions(backoff_base=0.01, backoff_cap=0.2)


def _appending(path: Path) -> int:
    return os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)


def accepted_in(folder: Path) -> list[tuple[int, int, int]]:
    """The lines of `accepted`."""
    path = folder / "accepted"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(life), int(first), int(last)) for life, first, last in map(str.split, lines)]


async def sender(control: Control, *, folder: str, url: str, life: int, total: int) -> None:
    """Send the numbers below `total` that no life before has seen accepted. Emits `sent`; `drain` waits for all."""
    place = Path(folder)
    done = accepted_in(place)
    number = done[-1][2] + 1 if done else 0
    journal = _appending(place / "accepted")
    outbox = Outbox(place / "outbox", OutboxOptions(revisit=0.2, max_attempts=1000))
    async with OutprocTransportManager(
        "alice", directory={"bob": [url]}, builders=[WebSocketWireBuilder()], options=OPTIONS, outbox=outbox
    ) as alice:
        control.commands["drain"] = lambda: alice.drain("bob")
        control.emit("ready")
        drains: deque[asyncio.Task[tuple[LostReceipt, ...]]] = deque()
        while number < total:
            last = min(number + GROUP, total) - 1
            await asyncio.gather(
                *(
                    alice.send("bob", BODY.pack(life, each), payload_type=PayloadType.RPC_DURABLE)
                    for each in range(number, last + 1)
                )
            )
            os.write(journal, b"%d %d %d\n" % (life, number, last))
            number = last + 1
            drains.append(asyncio.get_running_loop().create_task(alice.drain("bob")))
            if len(drains) > AHEAD:
                await drains.popleft()
        await asyncio.gather(*drains)
        control.emit("sent")
        await control.gone()


async def receiver(control: Control, *, folder: str, url: str, life: int, concurrency: int) -> None:
    """Handle what comes: first a line, which is an effect outside of the inbox, then a row in its transaction."""
    place = Path(folder)
    journal = _appending(place / "handled")
    inbox = Inbox(place / "inbox", prepare=_prepare)

    async def handler(message: Message) -> None:
        row = BODY.unpack(message.data)
        os.write(journal, b"%d %d %d %d\n" % (life, *row, message.redelivered))
        await inbox.apply(message, lambda db: db.execute("INSERT INTO effect VALUES (?, ?)", row))

    async with OutprocTransportManager("bob", builders=[WebSocketWireBuilder()], options=OPTIONS, inbox=inbox) as bob:
        await bob.listen(url)
        control.emit("ready")
        serving = asyncio.get_running_loop().create_task(bob.serve(handler, concurrency=concurrency))
        await control.gone()
    await asyncio.gather(serving, return_exceptions=True)


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS effect (life INTEGER, number INTEGER)")
