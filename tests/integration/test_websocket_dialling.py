"""The dialling side on real sockets: `outproc.wires.websocket.builder`, `outproc.wires.websocket.opening`,
`outproc.wires.websocket.binding`, `outproc.wires.websocket.tuning` and `outproc.wires.websocket.ends`."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from litz.errors import HandshakeError, IncompatibleError, UnauthenticatedError
from litz.testing.recording import RecordingSink
from litz.wire import LossReason, Wire
from outproc.wires.websocket import WebSocketWireBuilder, binding
from outproc.wires.websocket.port import PortLimits
from tests.unit.outproc_websocket.certificates import client_context, server_context
from tests.unit.outproc_websocket.kit import endpoint, fake_server, frame, gone, in_time, listening

TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)

pytestmark = pytest.mark.both_loops


async def _build(url: str, **options: float) -> Wire:
    return await WebSocketWireBuilder(**options).build("peer", endpoint(url))  # type: ignore[arg-type]  # floats only


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", HandshakeError),
        (b"\x00\xff" * 100 + b"\n", HandshakeError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", HandshakeError),
        (b"HTTP/1.1 302 Found\r\nLocation: ws://evil\r\nContent-Length: 0\r\n\r\n", HandshakeError),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", HandshakeError),
        (b"HTTP/1.1 101 Sw\r\n" + b"x: y\r\n" * 20000, HandshakeError),
        (b"HTTP/1.1 500 No\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000, HandshakeError),
        (b"", OSError),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgr", OSError),
    ],
)
async def test_answers_that_are_no_litz(answer: bytes, kind: type[Exception]) -> None:
    async with fake_server(answer, close=len(answer) < 50) as url:
        with pytest.raises(kind) as caught:
            await _build(url, open_timeout=120.0)
        assert not isinstance(caught.value, TimeoutError) or kind is OSError


async def test_a_websocket_server_without_litz_is_named() -> None:
    from websockets.asyncio.server import ServerConnection, serve

    async def nothing(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(nothing, "127.0.0.1", 0) as server:
        with pytest.raises(IncompatibleError, match=r"litz\.1"):
            await _build(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")


async def test_a_silent_server_costs_no_more_than_the_timeout() -> None:
    async with fake_server(b"HTTP/1.1 101 ") as url:
        with pytest.raises(TimeoutError, match="did not open a WebSocket"):
            await in_time(2.0, _build(url, open_timeout=0.2))


async def test_nobody_there_is_an_os_error() -> None:
    async with listening() as port:
        gone_port = port.port
    with pytest.raises(ConnectionRefusedError):
        await _build(f"ws://127.0.0.1:{gone_port}")
    with pytest.raises(ConnectionRefusedError):
        await _build(f"ws://localhost:{gone_port}")
    with pytest.raises(OSError, match=r"(?i)no such file"):
        await _build("unix:/nowhere/at/all")


async def test_frames_right_behind_the_answer_are_not_lost() -> None:
    async with fake_server(None, frame(b"early", mask=False) * 3 + frame(b"", 8, mask=False)) as url:
        wire = await _build(url)
        await asyncio.sleep(0.05)
        sink = RecordingSink()
        wire.start(sink)
        await gone(sink)
        assert sink.frames == [b"early"] * 3
        assert sink.loss is not None
        assert sink.loss.reason is LossReason.REMOTE


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:0", "ws://localhost:0", "wss://127.0.0.1:0", "wss://localhost:0", "unix"]
)
async def test_a_dial_may_be_cancelled_at_any_step(url: str, tmp_path: Path) -> None:
    """After k turns of the loop, for every k up to the end of the dial. The fixtures look for what is left."""
    tls = {"ssl": server_context()} if url.startswith("wss") else {}
    async with listening(f"unix:{tmp_path}/s" if url == "unix" else url, **tls) as port:
        (await port.dial()).abort()
        finished = 0
        for turns in range(300):
            dial = asyncio.ensure_future(port.dial())
            for _ in range(turns):
                await asyncio.sleep(0)
            dial.cancel()
            [done] = await asyncio.gather(dial, return_exceptions=True)
            if isinstance(done, Wire):
                done.abort()
                finished += 1
                if finished == 5:
                    break
            else:
                assert isinstance(done, asyncio.CancelledError), done
    # Only now is nothing more on its way.
    while not port.accepted.empty():
        sink = RecordingSink()
        port.accepted.get_nowait().start(sink)
        await gone(sink)


async def test_certificates_are_verified() -> None:
    async with listening("wss://127.0.0.1:0", ssl=server_context()) as port:
        with pytest.raises(UnauthenticatedError, match="not trusted"):
            await WebSocketWireBuilder().build("peer", port.endpoint)
        wrong_name = endpoint(port.endpoint.address.replace("127.0.0.1", "127.0.0.2"))
        with pytest.raises(OSError):  # nobody listens there, or the name does not fit
            await port.builder.build("peer", wrong_name)
        plain = endpoint(port.endpoint.address.replace("wss", "ws"))
        with pytest.raises((HandshakeError, OSError)):
            await port.builder.build("peer", plain)
    async with listening(limits=PortLimits(handshake_timeout=0.3)) as port:  # what comes is not a whole request
        with pytest.raises((HandshakeError, OSError)):
            await port.builder.build("peer", endpoint(port.endpoint.address.replace("ws:", "wss:")))


async def test_both_ends_of_tls_know_the_same_binding() -> None:
    async with listening("wss://127.0.0.1:0", ssl=server_context()) as port:
        dialled, accepted = await port.pair()
        assert dialled.channel_binding is not None
        assert dialled.channel_binding.startswith(b"tls-server-end-point:")
        assert dialled.channel_binding == accepted.channel_binding
        assert dialled.secure
        assert accepted.secure
        for wire in (dialled, accepted):
            wire.abort()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("oldest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_server_knows_its_binding_whatever_its_context(oldest: ssl.TLSVersion) -> None:
    context = server_context()
    context.minimum_version = context.maximum_version = oldest
    seen = binding.of_server(context)
    assert seen is not None
    assert seen == binding.of_server(server_context())
    if oldest is ssl.TLSVersion.TLSv1_3:
        context.verify_mode = ssl.CERT_REQUIRED
        assert binding.of_server(context) == seen
    context.sni_callback = lambda *_: None
    assert binding.of_server(context) is None


def test_a_context_without_a_certificate_has_no_binding() -> None:
    assert binding.of_server(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) is None
    assert binding.of_peer(None) is None
    assert binding.end_point(b"no certificate") is None


async def test_addresses_and_options_of_a_wire() -> None:
    async with listening() as port:
        dialled, accepted = await port.pair()
        assert dialled.path.remote == accepted.path.local == f"127.0.0.1:{port.port}"
        assert dialled.path.local == accepted.path.remote
        assert dialled.channel_binding is None
        assert dialled.secure, "loopback never leaves this host"
        for wire in (dialled, accepted):
            sock = wire._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # the one thing looked at inside
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
            assert sock.getsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT) == 128 * 1024
            wire.abort()
        await asyncio.sleep(0.01)


WAYS = pytest.mark.parametrize("way", ["dialled", "accepted"])


@asynccontextmanager
async def ends(way: str) -> AsyncIterator[tuple[Wire, Wire]]:
    """The end of a connection that was dialled or accepted, and the other one, neither started."""
    async with listening() as port:
        dialled, accepted = await port.pair()
        yield (dialled, accepted) if way == "dialled" else (accepted, dialled)
        dialled.abort()
        accepted.abort()


@WAYS
async def test_the_kernel_may_hold_a_whole_large_frame_while_such_are_written(way: str) -> None:
    async with ends(way) as (wire, other):
        sink = RecordingSink()
        other.start(sink)
        sock = wire._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # its socket
        allowed = []
        for kib in (1, 64, 256, 900, 1, 900, 256, 900, 1, 64, 64):
            wire.write([bytes(kib << 10)])
            allowed.append(sock.getsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT) >> 10)
        assert allowed == [128, 128, 128, 1024, 1024, 1024, 128, 1024, 1024, 1024, 128]
        await sink.until(lambda: len(sink.frames) == 11, "eleven frames")


@WAYS
async def test_a_peer_that_does_not_read_large_frames_is_noticed(way: str) -> None:
    """Python 3.12.0 and 3.13.0 did not notice: what asyncio gathered was without limit."""
    async with ends(way) as (wire, _):
        wire.start(RecordingSink())
        frames = 0
        while wire.writable:
            wire.write([b"head", bytes(900 << 10), b"tail"])
            frames += 1
            assert frames < 100, "more than any socket holds"
        assert wire.buffered_bytes < 2 << 20


async def test_secrets_stay_out_of_reprs_and_errors() -> None:
    builder = WebSocketWireBuilder(headers={"Authorization": "Bearer hush"})
    async with fake_server(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n") as url:
        with pytest.raises(UnauthenticatedError) as caught:
            await builder.build("peer", endpoint(url))
    assert "hush" not in repr(builder) + repr(caught.value) + str(caught.value)


async def test_a_trusting_context_is_enough() -> None:
    async with listening("wss://localhost:0", ssl=server_context()) as port:
        wire = await WebSocketWireBuilder(ssl=client_context()).build("peer", port.endpoint)
        wire.abort()
        (await port.accepted.get()).abort()
        await asyncio.sleep(0.01)
