"""Messages that outlive processes: accepted while the dest is down, by a process that ends, and taken exactly once."""

import asyncio
import sqlite3
import tempfile
from pathlib import Path

from litz import Message, PayloadType
from outproc import OutprocTransportManager
from outproc.outbox import Inbox, Outbox


async def accept_orders(folder: Path, bob: str) -> None:
    outbox = Outbox(folder / "alice.outbox")
    async with OutprocTransportManager("alice", directory={"bob": [bob]}, outbox=outbox) as alice:
        for number in (1, 2, 3):
            await alice.send(
                "bob", b"order %d" % number, payload_type=PayloadType.RPC_DURABLE
            )  # returns when committed
        print(f"alice: accepted for bob, who is down: {outbox.backlog()['bob']}")


async def ship_orders(folder: Path, bob: str) -> None:
    def prepare(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE IF NOT EXISTS shipped (what TEXT)")

    inbox = Inbox(folder / "bob.db", prepare=prepare)

    async def ship(message: Message) -> None:
        what = message.data.decode()
        # The row, and that the message is done, are committed together: also if it came again, there is one row.
        await inbox.apply(message, lambda db: db.execute("INSERT INTO shipped VALUES (?)", (what,)))
        print(f"bob: shipped {what}")

    outbox = Outbox(folder / "alice.outbox")
    async with OutprocTransportManager("bob", inbox=inbox) as manager:
        await manager.listen(bob)
        work = asyncio.create_task(manager.serve(ship))
        async with OutprocTransportManager("alice", directory={"bob": [bob]}, outbox=outbox) as alice:
            await alice.drain()  # a new process on the same file goes on by itself; this waits until bob has all
            print(f"alice: left in the outbox: {sum(outbox.backlog().values())}")
    await work


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        bob = f"unix:{name}/bob.socket"
        await accept_orders(Path(name), bob)
        await ship_orders(Path(name), bob)


if __name__ == "__main__":
    asyncio.run(main())
