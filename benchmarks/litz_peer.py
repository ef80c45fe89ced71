"""Both ends of the litz contestant: default options, acks and replay on, plain verbs of the public contract."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from litz import Message, PayloadType, TransportManager
from outproc import OutprocTransportManager
from tests.prove.control import Control

_END = b"end"
"""The only message of three bytes: answer how many have come."""


async def far(control: Control) -> None:
    """Counts what comes on `messages()`, and answers the end mark; `serve`s an echo to requests instead once the
    command `echo` was given."""
    async with OutprocTransportManager("bob") as bob:
        await bob.listen("ws://127.0.0.1:0")
        counting = asyncio.create_task(count_messages(bob))

        async def echo() -> None:
            nonlocal counting
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)
            counting = asyncio.create_task(bob.serve(_same))

        control.commands["echo"] = echo
        control.emit("ready", url=bob.endpoints[0])
        await control.gone()
        counting.cancel()


def _same(message: Message) -> bytes:
    return bytes(message.data)


async def count_messages(manager: TransportManager) -> None:
    """Counts what comes, and answers the end mark with the count."""
    received, end_size = 0, len(_END)
    async for message in manager.messages():
        received += 1
        if len(message.data) == end_size:
            await manager.send(message.sender, str(received).encode())
            received = 0


async def one_way_command(alice: TransportManager) -> Callable[[int, int], Awaitable[float]]:
    """What sends to "bob", who counts: seconds until all of `count` messages of `size` bytes have arrived."""
    answers = alice.messages()

    async def one_way(count: int, size: int) -> float:
        payload = b"x" * size
        begun = time.perf_counter()
        for _ in range(count):
            await alice.send("bob", payload)
        await alice.send("bob", _END)
        answer = await anext(answers)
        took = time.perf_counter() - begun
        if int(answer.data) != count + 1:
            raise RuntimeError(f"sent {count + 1} messages, {int(answer.data)} arrived")
        return took

    await alice.send("bob", b"hello", payload_type=PayloadType.RPC_SIGNAL, confirm="received")
    await alice.send("bob", _END)
    await anext(answers)  # the greeting is not counted
    return one_way


async def near(control: Control, *, url: str) -> None:
    """The same commands as `benchmarks.websockets_peer.near`; `echo` is `request` to a sync handler."""
    async with OutprocTransportManager("alice", directory={"bob": [url]}) as alice:
        one_way = await one_way_command(alice)

        async def echo(count: int, size: int) -> list[float]:
            payload = b"x" * size
            took = []
            for _ in range(count):
                begun = time.perf_counter()
                await alice.request("bob", payload, timeout=30)
                took.append(time.perf_counter() - begun)
            return took

        control.commands["one_way"] = one_way
        control.commands["echo"] = echo
        control.emit("ready")
        await control.gone()
