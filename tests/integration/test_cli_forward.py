"""`litz expose` and `litz forward` in real processes: connections that outlive their wires, and what their ends see.

The parts are `outproc.cli.expose`, `outproc.cli.forward`, `outproc.cli.node_run`, `outproc.cli.joining_node` and
`outproc.cli.passage_feed`.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from outproc.cli.control_socket import ask
from outproc.cli.outcome import CommandError
from outproc.cli.runtime_dir import socket_path
from tests.integration.cli_process import Litz, short_folder
from tests.prove.fault_proxy import FaultProxy

PATIENCE = 120.0
MANY = 50

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    """Sends back what comes, and ends when that has ended; the port."""
    writers: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            await closed(writer)
        await server.wait_closed()


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def through(stream: Stream, data: bytes) -> bytes:
    """Send all, say that it is all, and read to the end."""
    reader, writer = stream

    async def send() -> None:
        for at in range(0, len(data), 1 << 16):
            writer.write(data[at : at + (1 << 16)])
            await writer.drain()
        writer.write_eof()

    try:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(send())
            return await group.create_task(reader.read())
    finally:
        await closed(writer)


async def is_reset(port: int) -> bool:
    """Whether a connection there is reset at once: perhaps before it is known here that it was made."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionResetError:
        return True
    try:
        async with asyncio.timeout(PATIENCE):
            await reader.read()
        return False
    except ConnectionResetError:
        return True
    finally:
        await closed(writer)


async def question(folder: Path, node: str, what: str, **given: str) -> Any:
    """What the node answers over its control socket."""
    return await asyncio.to_thread(ask, socket_path(Path(short_folder(folder)), node), what, **given)


@asynccontextmanager
async def running(folder: Path, *arguments: str, until: str) -> AsyncIterator[Litz]:
    with Litz(folder, *arguments) as process:
        await asyncio.to_thread(process.hear, until)
        yield process


async def ended(process: Litz) -> int:
    process.process.send_signal(signal.SIGTERM)
    return await asyncio.to_thread(process.wait)


def unused_port() -> socket.socket:
    """Bound, and nobody listens: connections to it are refused."""
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))
    return nobody


async def test_connections_outlive_their_wires_and_their_ends_are_passed_on(tmp_path: Path) -> None:
    folder = Path(short_folder(tmp_path))
    folder.mkdir(mode=0o700)  # noqa: ASYNC240 - one system call
    at = folder / "echo"
    content = Random(1).randbytes(8 << 20)
    with unused_port() as nobody:
        down = nobody.getsockname()[1]
        async with echo_server() as target:
            exposed = ("--expose", f"echo=127.0.0.1:{target}", "--expose", f"down=127.0.0.1:{down}")
            up = ("up", "--id", "bob", "--listen", "ws://127.0.0.1:0", *exposed)
            async with running(tmp_path, *up, until="is up at") as bob:
                listening = int(bob.text.split("is up at ws://127.0.0.1:")[1].split()[0])
                async with FaultProxy("127.0.0.1", listening) as proxy:
                    forwards = ("0=bob:echo", f"unix:{at}=bob:echo", "0=bob:down", "0=bob:secrets")
                    to = ("--to", f"ws://127.0.0.1:{proxy.port}", "--id", "alice")
                    async with running(tmp_path, "forward", *forwards, *to, until="is up") as alice:
                        ports = [int(line.split()[0].rpartition(":")[2]) for line in alice.lines if "1:" in line[:12]]
                        await connections(proxy, ports, at, content)
                        await refusals(alice, bob, ports)
                        await counters(tmp_path, len(content))
                        assert await ended(alice) == 0
                        assert not at.exists()
                        assert "Traceback" not in alice.text
                assert await ended(bob) == 0
                assert "Traceback" not in bob.text


async def connections(proxy: FaultProxy, ports: list[int], at: Path, content: bytes) -> None:
    """Bulk while all wires are cut again and again; many at once; a Unix socket."""

    async def cut() -> None:
        while True:
            passed = proxy.counts["bytes up"] + sum(
                flow.passed for link in proxy.links.values() for flow in link.flows.values()
            )
            if passed >= (1 << 20) * (1 + proxy.counts["reset"]):
                for link in list(proxy.links.values()):
                    proxy.reset(link)
            await asyncio.sleep(0.002)

    cutting = asyncio.create_task(cut())
    try:
        assert await through(await asyncio.open_connection("127.0.0.1", ports[0]), content) == content
    finally:
        cutting.cancel()
        await asyncio.wait([cutting])
    assert proxy.counts["reset"] >= 4

    streams = [await asyncio.open_connection("127.0.0.1", ports[0]) for _ in range(MANY)]
    words = [b"%d" % number * 1000 for number in range(MANY)]
    assert await asyncio.gather(*map(through, streams, words)) == words

    assert await through(await asyncio.open_unix_connection(at), b"hello") == b"hello"


async def refusals(alice: Litz, bob: Litz, ports: list[int]) -> None:
    assert await is_reset(ports[1])
    await asyncio.to_thread(bob.hear, "down: 127.0.0.1:[0-9]+ took no connection")
    await asyncio.to_thread(alice.hear, "'down' has no connection to its target")
    assert await is_reset(ports[2])
    await asyncio.to_thread(alice.hear, f"{ports[2]}: .*(secrets|refused)")


async def counters(folder: Path, size: int) -> None:
    forwards = (await question(folder, "alice", "status"))["forwards"]
    words = sum(len(b"%d" % number) for number in range(MANY)) * 1000
    expected = [
        {"open": 0, "total": 1 + MANY, "sent": size + words, "received": size + words, "refused": 0, "last_error": ""},
        {"open": 0, "total": 1, "sent": 5, "received": 5, "refused": 0, "last_error": ""},
    ]
    assert [{name: row[name] for name in expected[0]} for row in forwards[:2]] == expected
    assert [(row["refused"], bool(row["last_error"])) for row in forwards[2:]] == [(1, True), (1, True)]
    exposed = (await question(folder, "bob", "status"))["exposed"]
    assert [(row["service"], row["total"], row["refused"]) for row in exposed] == [
        ("echo", 2 + MANY, 0),
        ("down", 0, 1),
    ]


async def test_nodes_that_run_do_it_for_as_long_as_the_command_runs(tmp_path: Path) -> None:
    up = ("up", "--listen", "ws://127.0.0.1:0", "--id")
    async with (
        echo_server() as target,
        running(tmp_path, *up, "bob", until="is up at") as bob,
        running(tmp_path, *up, "alice", until="is up at") as alice,
        running(tmp_path, "expose", f"bob:echo=127.0.0.1:{target}", until="is exposed") as expose,
        running(tmp_path, "forward", "0=bob:echo", "--id", "alice", until="leads to") as forward,
    ):
        port = int(forward.lines[-1].split()[0].rpartition(":")[2])
        assert await through(await asyncio.open_connection("127.0.0.1", port), b"hello") == b"hello"
        with pytest.raises(CommandError, match="echo"):
            await question(tmp_path, "bob", "expose", wanted=f"echo=127.0.0.1:{target}")

        assert await ended(expose) == 0
        async with asyncio.timeout(PATIENCE):
            while (await question(tmp_path, "bob", "status"))["exposed"]:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)
        assert await is_reset(port)
        await asyncio.to_thread(forward.hear, "echo")

        assert await ended(alice) == 0
        assert await asyncio.to_thread(forward.wait) == 1, "its node has ended"
        assert "alice has ended" in forward.text
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert await ended(bob) == 0
