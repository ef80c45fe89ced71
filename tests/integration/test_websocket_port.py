"""The accepting side on real sockets: `outproc.wires.websocket.port`, `outproc.wires.websocket.upgrade`,
`outproc.wires.websocket.health` and `outproc.node.service`."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import time
import warnings
from pathlib import Path

import pytest
from aiohttp import ClientSession, UnixConnector, web

from litz.errors import BusyError, HandshakeError, InvalidEndpointError, UnauthenticatedError
from litz.testing.recording import RecordingSink
from litz.wire import Wire
from outproc.node.service import NodeService
from outproc.wires.websocket import WebSocketWireBuilder
from outproc.wires.websocket.port import HttpPort, PortLimits
from outproc.wires.websocket.upgrade import add_litz_route
from tests.unit.outproc_websocket.certificates import server_context
from tests.unit.outproc_websocket.kit import (
    echo,
    endpoint,
    frame,
    gone,
    hang_up,
    in_time,
    listening,
    request_head,
    until,
    works,
)

pytestmark = pytest.mark.both_loops

SHORT = PortLimits(handshake_timeout=0.3)


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (request_head("/other"), 404),
        (request_head("/litz/"), 404),
        (request_head(method="POST"), 405),
        (request_head(origin="https://evil.example"), 403),
        (request_head(origin="null"), 403),
        (request_head(sec_websocket_protocol=None), 400),
        (request_head(sec_websocket_protocol="chat, litz.2"), 400),
        (request_head(sec_websocket_version="12"), 400),
        (request_head(sec_websocket_key="short"), 400),
        (request_head(upgrade=None), 426),
        (request_head(content_length="3") + b"abc", 400),
        (request_head().replace(b"HTTP/1.1", b"HTTP/1.0"), 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client hello\r\n\r\n", 400),
        (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 100 + b"\r\n", 400),
    ],
)
async def test_what_is_no_good_upgrade_is_refused(head: bytes, status: int) -> None:
    async with listening() as port:
        reader, writer = await port.raw(head)
        answer = await reader.readuntil(b"\r\n")
        assert answer.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.0 %d " % status)), answer[:200]
        assert port.accepted.empty()
        await hang_up(writer)
        await echo(port)


async def test_only_listed_origins_may_connect() -> None:
    async with listening(origins=["https://app.example"]) as port:
        good = WebSocketWireBuilder(headers={"Origin": "https://app.example"})
        await works(await good.build("peer", port.endpoint), await port.accepted.get())
        bad = WebSocketWireBuilder(headers={"Origin": "https://app.example.evil"})
        with pytest.raises(UnauthenticatedError, match="origins="):
            await bad.build("peer", port.endpoint)


async def test_the_limit_hook_turns_into_a_busy_error() -> None:
    asked: list[str] = []

    def admit(ip: str) -> float | None:
        asked.append(ip)
        return 7.0 if len(asked) == 1 else None

    async with listening(admit=admit) as port:
        with pytest.raises(BusyError) as caught:
            await port.dial()
        assert caught.value.retry_after == 7.0
        await echo(port)
        assert asked == ["127.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize("sent", [b"", b"GET /litz HT", request_head()[:-2]], ids=["nothing", "half a line", "no end"])
async def test_a_client_that_does_not_finish_its_request_is_gone_at_the_deadline(sent: bytes) -> None:
    async with listening(limits=SHORT) as port:
        reader, writer = await port.raw(sent)
        assert await in_time(2.0, reader.read()) == b""
        await hang_up(writer)


async def test_a_client_that_was_refused_and_stays_is_gone_at_the_deadline() -> None:
    async with listening(limits=SHORT) as port:
        reader, writer = await port.raw(request_head("/other"))
        answer = await in_time(2.0, reader.read())
        assert answer.startswith(b"HTTP/1.1 404 ") or not answer  # when the loop is late, it is gone first
        await hang_up(writer)


async def test_headers_that_trickle_in_do_not_move_the_deadline() -> None:
    async with listening(limits=SHORT) as port:
        reader, writer = await port.raw(b"GET /litz HTTP/1.1\r\n")
        ended = asyncio.ensure_future(reader.read())
        for _ in range(40):
            if not ended.done():
                writer.write(b"x-slow: 1\r\n")
                await asyncio.wait([ended], timeout=0.05)
        assert ended.done()
        await asyncio.gather(ended, return_exceptions=True)
        await hang_up(writer)


async def test_a_tls_handshake_that_never_comes_has_the_same_deadline() -> None:
    limits = PortLimits(handshake_timeout=2.0)  # long enough for the handshake that comes after it
    async with listening("wss://127.0.0.1:0", ssl=server_context(), limits=limits) as port:
        reader, writer = await port.raw(b"")
        assert await in_time(4.0, reader.read()) == b""
        await hang_up(writer)
        await echo(port)


async def test_connections_that_are_no_wires_are_limited_and_wires_are_not() -> None:
    async with listening(limits=PortLimits(handshake_timeout=120.0, max_connections=4)) as port:
        wires = [await port.pair() for _ in range(6)]
        idle = [await port.raw(b"") for _ in range(4)]  # connections are taken in the order in which they come
        with pytest.raises((BusyError, OSError)):
            await port.dial()
        await hang_up(*(writer for _, writer in idle))
        await echo(port)
        for dialled, accepted in wires:
            await works(dialled, accepted)


async def test_other_routes_answer_on_the_same_port_while_wires_run() -> None:
    app = web.Application()

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app.router.add_get("/", hello)
    async with listening(app=app) as port, ClientSession() as http:
        pairs = [await port.pair() for _ in range(3)]
        for dialled, accepted in pairs:
            async with http.get(f"http://127.0.0.1:{port.port}/") as answer:
                assert await answer.text() == "hello"
            async with http.get(f"http://127.0.0.1:{port.port}/health") as answer:
                assert await answer.json() == {"status": "ok"}
            await works(dialled, accepted)


async def test_a_connection_that_asked_for_a_page_may_become_a_wire() -> None:
    async with listening() as port:
        page = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
        reader, writer = await port.raw(page + request_head() + frame(b"behind the head", mask=True))
        answer = await reader.readuntil(b"101 Switching Protocols")
        assert b'{"status": "ok"}' in answer
        sink = RecordingSink()
        (await port.accepted.get()).start(sink)
        await sink.until(lambda: sink.frames == [b"behind the head"], "what aiohttp had read already")
        await hang_up(writer)
        await gone(sink)


async def test_the_route_can_be_mounted_in_a_users_own_server() -> None:
    app = web.Application()
    accepted: asyncio.Queue[Wire] = asyncio.Queue()
    add_litz_route(app, accepted.put_nowait, path="/deep/down")
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"ws://127.0.0.1:{runner.addresses[0][1]}/deep/down"
    builder = WebSocketWireBuilder()
    dialled = await builder.build("peer", endpoint(url))
    with pytest.raises(HandshakeError, match="404"):
        await builder.build("peer", endpoint(url.removesuffix("/down")))
    await runner.cleanup()
    await works(dialled, await accepted.get())


async def test_a_wire_leaves_no_task_and_no_request_handler_with_aiohttp() -> None:
    accepted: asyncio.Queue[Wire] = asyncio.Queue()
    service = NodeService()
    service.add_wires(accepted.put_nowait)
    async with service:
        url = await service.listen("ws://127.0.0.1:0")
        before = len(asyncio.all_tasks())
        pairs = [(await WebSocketWireBuilder().build("peer", url), await accepted.get()) for _ in range(20)]
        await until(lambda: len(asyncio.all_tasks()) == before)
        gc.collect()
        assert [one for one in gc.get_objects() if type(one).__name__ == "RequestHandler"] == []
    for dialled, there in pairs:
        await works(dialled, there)


async def test_two_thousand_connects_and_aborts_leave_nothing() -> None:
    async with listening() as port:
        await echo(port)
        gc.collect()
        before = _descriptors(), len(asyncio.all_tasks())
        for turn in range(50):
            raws = [await port.raw(request_head()[: turn * 4]) for _ in range(20)]
            dials = [asyncio.ensure_future(port.dial()) for _ in range(20)]
            await asyncio.sleep(0.0005 * (turn % 5))
            for dial in dials[::2]:
                dial.cancel()
            for done in await asyncio.gather(*dials, return_exceptions=True):
                if isinstance(done, Wire):
                    done.abort()
            for _, writer in raws:
                writer.transport.abort()
            while not port.accepted.empty():
                port.accepted.get_nowait().abort()

        def as_before() -> bool:
            while not port.accepted.empty():
                port.accepted.get_nowait().abort()
            gc.collect()
            return (_descriptors(), len(asyncio.all_tasks())) == before

        await until(as_before)
        await echo(port)


async def test_running_out_of_descriptors_does_not_spin_and_passes(loop_errors: list[str]) -> None:
    async with listening() as port:
        await echo(port)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        sockets: list[socket.socket] = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (_descriptors() + 20, limits[1]))
            while len(sockets) < 100:
                try:
                    sockets.append(socket.socket())
                except OSError:
                    break
            last = sockets.pop()
            last.setblocking(False)
            await asyncio.get_running_loop().sock_connect(last, ("127.0.0.1", port.port))
            used = time.process_time()
            await asyncio.sleep(0.3)
            assert time.process_time() - used < 0.15, "accept() spins"
            last.close()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for one in sockets:
                one.close()
        await asyncio.sleep(0)
        await echo(port)
        loop_errors[:] = [error for error in loop_errors if "out of system resource" not in error]


async def test_one_service_has_many_addresses_and_routes(tmp_path: Path) -> None:
    accepted: asyncio.Queue[Wire] = asyncio.Queue()
    service = NodeService(health=lambda: {"wires": accepted.qsize()})
    service.add_wires(accepted.put_nowait)
    builder = WebSocketWireBuilder()
    async with service:
        tcp = await service.listen("ws://127.0.0.1:0")
        unix = await service.listen(f"unix:{tmp_path}/socket")
        with pytest.raises(InvalidEndpointError):
            await service.listen("wss://127.0.0.1:0")
        assert service.endpoints == (tcp, unix)
        async with (
            ClientSession(connector=UnixConnector(path=f"{tmp_path}/socket")) as http,
            http.get("http://x/health") as answer,
        ):
            assert await answer.json() == {"status": "ok", "wires": 0}
        for url in service.endpoints:
            await works(await builder.build("peer", url), await accepted.get())
    assert not (tmp_path / "socket").exists()


async def test_an_accept_callback_that_raises_costs_only_that_connection(caplog: pytest.LogCaptureFixture) -> None:
    app = web.Application()
    calls: list[Wire] = []

    def accept(wire: Wire) -> None:
        calls.append(wire)
        raise RuntimeError("embedder's bug")

    add_litz_route(app, accept)
    port = HttpPort(app)
    await port.open()
    runner_port = await _bound(port)
    for _ in range(2):
        dialled = await WebSocketWireBuilder().build("peer", endpoint(f"ws://127.0.0.1:{runner_port}"))
        sink = RecordingSink()
        dialled.start(sink)
        await gone(sink)
    assert len(calls) == 2
    assert "embedder's bug" in caplog.text
    await port.aclose()


@pytest.mark.parametrize("turns", range(5))
async def test_what_was_accepted_as_it_closed_is_closed_too(turns: int) -> None:
    """asyncio has accepted it, and has given it no transport yet."""
    port = HttpPort(web.Application())
    await port.open()
    address = ("127.0.0.1", await _bound(port))
    clients = [socket.create_connection(address, timeout=60) for _ in range(3)]
    for _ in range(turns):
        await asyncio.sleep(0)
    await port.aclose()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for client in clients:
            client.close()
        gc.collect()
    assert [str(each.message) for each in warned] == []


async def _bound(port: HttpPort) -> int:
    from outproc.wires.websocket.address import parse

    await port.bind(parse("ws://127.0.0.1:0"))
    return parse(port.endpoints[0].address).port
