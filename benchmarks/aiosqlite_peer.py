"""What an outbox is in many programs: a row inserted and committed for each message, with the pragmas of ours."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import aiosqlite

from tests.prove.control import Control


async def near(control: Control) -> None:
    """`one_way(count, size)`: seconds until `count` messages of `size` bytes are committed. Nothing is sent."""
    with TemporaryDirectory() as folder:
        async with aiosqlite.connect(Path(folder) / "outbox") as db:
            await db.execute("PRAGMA journal_mode=WAL")
            await db.execute("PRAGMA synchronous=FULL")
            await db.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, dest TEXT NOT NULL, data BLOB NOT NULL)")
            await db.commit()

            async def one_way(count: int, size: int) -> float:
                payload = bytes(size)
                begun = time.perf_counter()
                for _ in range(count):
                    await db.execute("INSERT INTO message (dest, data) VALUES (?, ?)", ("bob", payload))
                    await db.commit()
                return time.perf_counter() - begun

            control.commands["one_way"] = one_way
            control.emit("ready")
            await control.gone()
