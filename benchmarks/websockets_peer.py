"""Both ends of the bare `websockets` contestant: asyncio API, no compression, no keepalive pings, on uvloop."""

from __future__ import annotations

import asyncio
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.prove.control import Control

MAX_SIZE = 32 << 20


async def far(control: Control) -> None:
    """Counts what comes and says `done` at every text frame; echoes on the path /echo."""

    async def handle(connection: ServerConnection) -> None:
        echo = connection.request is not None and connection.request.path == "/echo"
        async for message in connection:
            if echo:
                await connection.send(message)
            elif isinstance(message, str):
                await connection.send("done")

    async with serve(handle, "127.0.0.1", 0, compression=None, max_size=MAX_SIZE, ping_interval=None) as server:
        host, port = server.sockets[0].getsockname()[:2]
        control.emit("ready", url=f"ws://{host}:{port}")
        await asyncio.Event().wait()


def _dial(url: str) -> connect:
    return connect(url, compression=None, max_size=MAX_SIZE, ping_interval=None)


async def near(control: Control, *, url: str) -> None:
    """Commands `one_way(count, size)`: seconds until all has arrived; `echo(count, size)`: seconds of each."""
    async with _dial(f"{url}/count") as counting, _dial(f"{url}/echo") as echoing:

        async def one_way(count: int, size: int) -> float:
            payload = b"x" * size
            begun = time.perf_counter()
            for _ in range(count):
                await counting.send(payload)
            await counting.send("end")
            await counting.recv()
            return time.perf_counter() - begun

        async def echo(count: int, size: int) -> list[float]:
            payload = b"x" * size
            took = []
            for _ in range(count):
                begun = time.perf_counter()
                await echoing.send(payload)
                await echoing.recv()
                took.append(time.perf_counter() - begun)
            return took

        control.commands["one_way"] = one_way
        control.commands["echo"] = echo
        control.emit("ready")
        await asyncio.Event().wait()
