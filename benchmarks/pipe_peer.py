"""The ends of the benchmark of pipes: the same code on readers and writers, over a litz pipe and over plain TCP."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from outproc import OutprocTransportManager
from tests.prove.control import Control

PIECE: Final = 1 << 18
_DATA: Final = bytes(PIECE)


async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Count what comes, and answer how much it was."""
    count = 0
    while part := await reader.read(PIECE):
        count += len(part)
    writer.write(count.to_bytes(8, "big"))
    writer.close()
    await writer.wait_closed()


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int) -> float:
    """Write `size` bytes; seconds until all have been counted."""
    begun = time.perf_counter()
    for _ in range(size // PIECE):
        writer.write(_DATA)
        await writer.drain()
    writer.write_eof()
    counted = int.from_bytes(await reader.readexactly(8), "big")
    took = time.perf_counter() - begun
    assert counted == size // PIECE * PIECE
    writer.close()
    await writer.wait_closed()
    return took


async def far(control: Control) -> None:
    """Takes both: pipes to the service "sink" of "bob", and TCP connections."""
    server = await asyncio.start_server(sink, "127.0.0.1", 0)
    async with OutprocTransportManager("bob") as bob, server:
        await bob.listen("ws://127.0.0.1:0")
        bob.listen_pipes("sink", sink)
        control.emit("ready", url=bob.endpoints[0], port=server.sockets[0].getsockname()[1])
        await control.gone()


async def near(control: Control, *, url: str) -> None:
    """Pours into either."""
    async with OutprocTransportManager("alice", directory={"bob": [url]}) as alice:

        async def pipe(size: int) -> float:
            return await pour(*await alice.open_pipe("bob", "sink"), size)

        async def tcp(port: int, size: int) -> float:
            return await pour(*await asyncio.open_connection("127.0.0.1", port), size)

        control.commands.update(pipe=pipe, tcp=tcp)
        control.emit("ready")
        await control.gone()
