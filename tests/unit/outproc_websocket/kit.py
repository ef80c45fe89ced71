"""What the tests of the WebSocket wire share: a listening port, and peers that speak raw bytes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from litz.testing.recording import RecordingSink
from litz.wire import Endpoint, Wire, WireListener
from outproc.wires.websocket import WebSocketWireBuilder
from tests.unit.outproc_websocket.certificates import client_context

Result = TypeVar("Result")
KEY = base64.b64encode(bytes(16)).decode()


def endpoint(url: str) -> Endpoint:
    return Endpoint("websocket", url)


def request_head(path: str = "/litz", *, method: str = "GET", **changes: str | None) -> bytes:
    """A good upgrade request; `changes` replace headers (underscores stand for dashes), None leaves one out."""
    headers: dict[str, str | None] = {
        "host": "test",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": KEY,
        "sec-websocket-version": "13",
        "sec-websocket-protocol": "litz.1",
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def frame(data: bytes, opcode: int = 2, *, mask: bool, fin: bool = True, rsv1: bool = False) -> bytes:
    """One frame in raw bytes, good or not."""
    one = Frame(Opcode(opcode), data, fin)
    raw = bytearray(Frame(Opcode.BINARY, data).serialize(mask=mask))
    raw[0] = (0x80 if one.fin else 0) | (0x40 if rsv1 else 0) | opcode
    return bytes(raw)


@dataclass
class Listening:
    """A port and the wires that came in."""

    builder: WebSocketWireBuilder
    accepted: asyncio.Queue[Wire] = field(default_factory=asyncio.Queue)
    listener: WireListener = field(init=False)

    @property
    def endpoint(self) -> Endpoint:
        return self.listener.endpoints[0]

    @property
    def port(self) -> int:
        return int(self.endpoint.address.rpartition(":")[2].partition("/")[0])

    async def dial(self) -> Wire:
        return await self.builder.build("peer", self.endpoint)

    async def pair(self) -> tuple[Wire, Wire]:
        """A dialled wire and its accepted end, neither started."""
        return await self.dial(), await self.accepted.get()

    async def raw(self, head: bytes | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that has sent `head` (default: a good upgrade request) and read nothing."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request_head() if head is None else head)
        return reader, writer

    async def upgraded(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Wire]:
        """A raw peer behind a good opening handshake, and the wire that faces it."""
        reader, writer = await self.raw()
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer
        return reader, writer, await self.accepted.get()


@asynccontextmanager
async def listening(url: str = "ws://127.0.0.1:0", **options: Any) -> AsyncIterator[Listening]:
    port = Listening(WebSocketWireBuilder(ssl=client_context()))
    port.listener = await port.builder.listen(endpoint(url), port.accepted.put_nowait, **options)
    try:
        yield port
    finally:
        await port.listener.aclose()


@asynccontextmanager
async def fake_server(answer: bytes | None, then: bytes = b"", *, close: bool = False) -> AsyncIterator[str]:
    """Answers each request with `answer` (None: with a good 101), then sends `then`. Yields its URL."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(
            line.partition(":")[2].strip() for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key")
        )
        good = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(key)}\r\nSec-WebSocket-Protocol: litz.1\r\n\r\n"
        )
        writer.write((good.encode() if answer is None else answer) + then)
        if close:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


async def in_time(seconds: float, verb: Coroutine[Any, Any, Result]) -> Result:
    """What the verb comes to, soon after a timer of `seconds` at the latest. A loop that is late is so for this timer
    and for those of the verb alike; what follows from theirs has some turns to be seen."""
    task = asyncio.ensure_future(verb)
    await asyncio.wait([task], timeout=seconds)
    for _ in range(200):
        if task.done():
            return task.result()
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    raise AssertionError(f"not within {seconds} s")


async def until(condition: Callable[[], object]) -> None:
    """Look at every few turns of the loop until it is so."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.002)


async def gone(sink: RecordingSink) -> None:
    """Wait until `sink` was told of its wire's end."""
    await sink.until(lambda: sink.loss is not None, "wire_closed")


async def hang_up(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0.01)


async def works(dialled: Wire, accepted: Wire) -> None:
    """Frames come through both ways; then it is closed."""
    left, right = RecordingSink(), RecordingSink()
    dialled.start(left)
    accepted.start(right)
    dialled.write([b"there"])
    await right.until(lambda: right.frames == [b"there"], "a frame")
    accepted.write([b"and back"])
    await left.until(lambda: left.frames == [b"and back"], "a frame back")
    dialled.close()
    await gone(left)
    await gone(right)


async def echo(port: Listening) -> None:
    """A wire can be had and works."""
    await works(*await port.pair())
