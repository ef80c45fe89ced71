"""Where a port listens: `outproc.wires.websocket.listener`, `outproc.wires.websocket.tcp_socket` and
`outproc.wires.websocket.unix_socket`, on real sockets."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from litz.errors import InvalidEndpointError
from litz.wire import Wire
from outproc.wires.websocket import WebSocketWireBuilder
from outproc.wires.websocket.port import PortLimits
from tests.unit.outproc_websocket.certificates import server_context
from tests.unit.outproc_websocket.kit import (
    echo,
    endpoint,
    hang_up,
    in_time,
    listening,
    until,
    works,
)

pytestmark = pytest.mark.both_loops

SHORT = PortLimits(handshake_timeout=0.3)


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_closing_the_listener_frees_the_address_and_leaves_wires_alive() -> None:
    builder = WebSocketWireBuilder()
    accepted: asyncio.Queue[Wire] = asyncio.Queue()
    listener = await builder.listen(endpoint("ws://127.0.0.1:0"), accepted.put_nowait)
    [url] = listener.endpoints
    assert not url.address.endswith(":0")
    dialled, there = await builder.build("peer", url), await accepted.get()
    with pytest.raises(OSError, match=r"(?i)in use"):
        await builder.listen(url, accepted.put_nowait)
    _, half_open = await asyncio.open_connection("127.0.0.1", int(url.address.rpartition(":")[2]))

    async def close_twice() -> None:
        await asyncio.gather(listener.aclose(), listener.aclose())

    await in_time(3.0, close_twice())
    await listener.aclose()
    again = await builder.listen(url, accepted.put_nowait)
    assert again.endpoints == (url,)
    await works(dialled, there)
    await works(await builder.build("peer", url), await accepted.get())
    await again.aclose()
    await hang_up(half_open)


async def test_a_listen_that_is_cancelled_at_any_step_leaves_no_port_open(tmp_path: Path) -> None:
    """asyncio has a server serve before it hands it over; one that was cancelled there listened for ever."""
    builder = WebSocketWireBuilder()
    await (await builder.listen(endpoint(f"unix:{tmp_path}/first"), lambda wire: wire.abort())).aclose()
    before = _descriptors()
    steps, listened = 0, False
    while not listened:
        steps += 1
        url = endpoint(f"unix:{tmp_path}/{steps}")
        listen = asyncio.ensure_future(builder.listen(url, lambda wire: wire.abort()))
        for _ in range(steps):
            await asyncio.sleep(0)
        listen.cancel()
        await asyncio.wait([listen])
        if not listen.cancelled():
            await listen.result().aclose()
            listened = True
        await until(lambda: _descriptors() <= before)


async def test_names_wildcards_and_other_paths() -> None:
    for url in ("ws://localhost:0", "ws://0.0.0.0:0", "ws://[::1]:0", "ws://127.0.0.1:0/other/path"):
        async with listening(url) as port:
            assert port.endpoint.address.startswith(url.partition(":0")[0])
            assert port.endpoint.address.endswith("/other/path") == url.endswith("/other/path")
            await echo(port)


@pytest.mark.parametrize(
    ("url", "options", "cure"),
    [
        ("wss://127.0.0.1:0", {}, "ssl="),
        ("ws://127.0.0.1:0", {"ssl": server_context()}, "wss://"),
        ("ws://127.0.0.1:0/litz?token=1", {}, "query"),
    ],
)
async def test_what_cannot_be_listened_at_is_said(url: str, options: dict[str, object], cure: str) -> None:
    with pytest.raises(InvalidEndpointError, match=cure):
        async with listening(url, **options):
            pass


async def test_a_unix_socket_is_private_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(file))
    async with listening(f"unix:{file}") as port:
        assert file.stat().st_mode & 0o777 == 0o600
        with pytest.raises(OSError, match="another process listens"):
            await port.builder.listen(port.endpoint, port.accepted.put_nowait)
        dialled, accepted = await port.pair()
        assert dialled.secure
        assert accepted.secure
        await works(dialled, accepted)
    assert not file.exists()
    file.write_text("precious")
    with pytest.raises(OSError, match="no socket"):
        async with listening(f"unix:{file}"):
            pass
    assert file.read_text() == "precious"


async def test_a_unix_socket_with_too_long_a_path_names_the_cure() -> None:
    with pytest.raises(OSError, match=r"at most \d+ bytes; choose a shorter one.*/xxx"):
        await WebSocketWireBuilder().listen(endpoint("unix:/" + "x" * 150), lambda wire: wire.abort())


async def test_closing_does_not_remove_the_socket_of_a_successor(tmp_path: Path) -> None:
    file = tmp_path / "socket"
    async with listening(f"unix:{file}"):
        file.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(file))
    assert file.exists()
