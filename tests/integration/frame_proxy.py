"""Somebody in the middle of a WebSocket wire, who reads and changes frames; with TLS too, if both ends trust it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Change = Callable[[bytes], bytes]

_SPOKEN = [Subprotocol("litz.1")]


@asynccontextmanager
async def frame_proxy(
    url: str, change: Change, *, server: ssl.SSLContext | None = None, client: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Where to dial instead of `url`. Every frame, in both directions, goes through `change`."""

    async def copy(source: Connection, sink: Connection) -> None:
        with suppress(ConnectionClosed):
            async for frame in source:
                await sink.send(change(frame if isinstance(frame, bytes) else frame.encode()))
        await sink.close()

    async def meet(near: ServerConnection) -> None:
        async with connect(
            f"{url}/litz", subprotocols=_SPOKEN, compression=None, max_size=None, proxy=None, ssl=client
        ) as far:
            await asyncio.gather(copy(near, far), copy(far, near))

    async with serve(meet, "127.0.0.1", 0, subprotocols=_SPOKEN, compression=None, max_size=None, ssl=server) as served:
        port = next(iter(served.sockets)).getsockname()[1]
        yield f"{'wss' if server is not None else 'ws'}://127.0.0.1:{port}"
