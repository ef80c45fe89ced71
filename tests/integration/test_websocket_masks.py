"""Where a client masks its frames with keys that nobody can foresee, and where with zero: as a server reads them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.utils import accept_key, apply_mask

from litz.message import Buffer
from litz.testing.recording import RecordingSink
from litz.wire import Wire
from outproc.wires.websocket import WebSocketWireBuilder, builder
from outproc.wires.websocket.ends import ends_of
from outproc.wires.websocket.framing import LARGE
from tests.integration.small_proxies import SmallHttpProxy, SmallProxy, SmallSocksProxy
from tests.unit.outproc_websocket.certificates import client_context, server_context
from tests.unit.outproc_websocket.kit import endpoint

PROXIES = pytest.mark.parametrize("kind", [SmallHttpProxy, SmallSocksProxy])
FRAMES = 5
"""That five keys in a row are zero by chance is not to be expected."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """Answers the opening handshake. `clients` are the connections behind it, `url` is where it is."""

    def __init__(self) -> None:
        self.url = ""
        self.clients: asyncio.Queue[Streams] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        names = (line.partition(":")[::2] for line in head.split("\r\n"))
        key = next(value.strip() for name, value in names if name == "Sec-WebSocket-Key")
        answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        answer += f"Sec-WebSocket-Accept: {accept_key(key)}\r\nSec-WebSocket-Protocol: litz.1\r\n\r\n"
        writer.write(answer.encode())
        self.clients.put_nowait((reader, writer))


@asynccontextmanager
async def serving(*, tls: ssl.SSLContext | None = None, file: Path | None = None) -> AsyncIterator[Server]:
    server = Server()
    if file is not None:
        listening = await asyncio.start_unix_server(server.serve, file)
        server.url = f"unix:{file}"
    else:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
        server.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()


async def keys_of(dialling: WebSocketWireBuilder, server: Server) -> set[bytes]:
    """The keys with which a wire masks small and large frames. What the keys hide is what was written."""
    wire = await dialling.build("peer", endpoint(server.url))
    reader, writer = await server.clients.get()
    wire.start(RecordingSink())
    keys = set()
    try:
        for number in range(FRAMES):
            frames: list[list[Buffer]] = [[b"%d" % number], [b"a", bytes([number]) * (2 * LARGE), b"b"]]
            for buffers in frames:
                keys.add(await _key_of(wire, buffers, reader))
    finally:
        wire.abort()
        writer.transport.abort()
    return keys


async def _key_of(wire: Wire, buffers: list[Buffer], reader: asyncio.StreamReader) -> bytes:
    wire.write(buffers)
    head = await reader.readexactly(2)
    assert head[0] == 0x82
    assert head[1] & 0x80, "a client's frame says that it is masked"
    size = head[1] & 0x7F
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    key = await reader.readexactly(4)
    assert apply_mask(await reader.readexactly(size), key) == b"".join(buffers)
    return key


@pytest.mark.both_loops
async def test_between_two_ends_on_one_host_the_key_is_zero(tmp_path: Path) -> None:
    async with serving() as loopback, serving(file=tmp_path / "s") as unix:
        assert await keys_of(WebSocketWireBuilder(), loopback) == {bytes(4)}
        assert await keys_of(WebSocketWireBuilder(), unix) == {bytes(4)}


@pytest.mark.both_loops
@PROXIES
async def test_through_a_proxy_on_this_host_every_frame_has_a_key_of_its_own(kind: type[SmallProxy]) -> None:
    async with kind() as proxy, serving() as server:
        assert len(await keys_of(WebSocketWireBuilder(proxy=proxy.url), server)) == 2 * FRAMES


@pytest.mark.both_loops
async def test_under_tls_every_frame_has_a_key_of_its_own() -> None:
    async with serving(tls=server_context()) as server:
        assert len(await keys_of(WebSocketWireBuilder(ssl=client_context()), server)) == 2 * FRAMES


@pytest.mark.both_loops
async def test_to_another_host_every_frame_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ends of the socket are all that tells: they say here what they say of a connection to another host."""
    transport = asyncio.Transport({"sockname": ("10.0.0.7", 50_000), "peername": ("10.0.0.8", 8400)})
    monkeypatch.setattr(builder, "ends_of", lambda _: ends_of(transport))
    async with serving() as server:
        assert len(await keys_of(WebSocketWireBuilder(), server)) == 2 * FRAMES


@pytest.mark.both_loops
async def test_to_a_name_every_frame_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it resolves to: what stands between may have given it an address of its own."""
    async with serving() as server:
        port = int(server.url.rpartition(":")[2])

        async def getaddrinfo(*_: object, **__: object) -> list[object]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", getaddrinfo)
        server.url = f"ws://a-name.test:{port}"
        assert len(await keys_of(WebSocketWireBuilder(), server)) == 2 * FRAMES


@pytest.mark.parametrize(
    ("ours", "theirs"), [("10.0.0.7", "10.0.0.8"), ("10.0.0.7", "10.0.0.7"), ("fd00::1", "fd00::2")]
)
def test_an_address_of_a_network_is_no_proof_that_both_ends_are_on_one_host(ours: str, theirs: str) -> None:
    transport = asyncio.Transport({"sockname": (ours, 50_000), "peername": (theirs, 8400)})
    assert not ends_of(transport)[1]
