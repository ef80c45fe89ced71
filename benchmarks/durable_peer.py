"""Both ends of durable messages, default options: an outbox on disk here, an inbox on disk there."""

from __future__ import annotations

import asyncio
import time
from itertools import count as counting
from pathlib import Path
from tempfile import TemporaryDirectory

from litz import PayloadType, TransportManager
from outproc import OutprocTransportManager
from outproc.outbox import Inbox, Outbox
from tests.prove.control import Control

_DURABLE = PayloadType.RPC_DURABLE
SENDERS = 4_000
"""Tasks that send at the same time."""


async def far(control: Control) -> None:
    """Takes what comes, and commits that it did."""
    with TemporaryDirectory() as folder:
        async with OutprocTransportManager("bob", inbox=Inbox(Path(folder) / "inbox")) as bob:
            await bob.listen("ws://127.0.0.1:0")
            taking = asyncio.create_task(_take(bob))
            control.emit("ready", url=bob.endpoints[0])
            await control.gone()
            taking.cancel()


async def _take(manager: TransportManager) -> None:
    async for _ in manager.messages():
        pass


async def near(control: Control, *, url: str) -> None:
    """`one_way(count, size)`: seconds until `send` has returned for all. `confirmed(count, size)`: until the other side
    has committed all. `paced(rate, seconds, size)`: how long each `send` took at that rate."""
    with TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder) / "outbox")
        async with OutprocTransportManager("alice", directory={"bob": [url]}, outbox=outbox) as alice:

            async def one_way(count: int, size: int) -> float:
                await alice.drain()
                return await _send(alice, count, size)

            async def confirmed(count: int, size: int) -> float:
                begun = time.perf_counter()
                await _send(alice, count, size)
                await alice.drain()
                return time.perf_counter() - begun

            async def paced(rate: int, seconds: float, size: int) -> list[float]:
                await alice.drain()
                took: list[float] = []
                begun = time.perf_counter()
                async with asyncio.TaskGroup() as sends:
                    for number in range(int(rate * seconds)):
                        await asyncio.sleep(begun + number / rate - time.perf_counter())
                        sends.create_task(_timed(alice, bytes(size), took))
                return took

            control.commands.update(one_way=one_way, confirmed=confirmed, paced=paced)
            await alice.send("bob", b"hello", payload_type=_DURABLE, confirm="durable")
            control.emit("ready")
            await control.gone()


async def _send(alice: TransportManager, count: int, size: int) -> float:
    payload, numbers = bytes(size), counting()

    async def one() -> None:
        while next(numbers) < count:
            await alice.send("bob", payload, payload_type=_DURABLE)

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(SENDERS)))
    return time.perf_counter() - begun


async def _timed(alice: TransportManager, payload: bytes, took: list[float]) -> None:
    begun = time.perf_counter()
    await alice.send("bob", payload, payload_type=_DURABLE)
    took.append(time.perf_counter() - begun)
