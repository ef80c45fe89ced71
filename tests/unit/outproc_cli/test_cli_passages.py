"""Exposed services and forwards, over streams in memory: what a client of the forward and its target see.

The parts are `outproc.cli.exposing`, `outproc.cli.forwarding`, `outproc.cli.connections` and
`outproc.cli.passage_tables`.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from rich.console import Console

from litz.errors import ConsumerConflictError
from litz.stream_port import Refusal, Refused
from outproc.cli import passages as limits
from outproc.cli.complaints import QUIET
from outproc.cli.forward_words import Exposed, Forwarded, TcpPlace, UnixPlace
from outproc.cli.outcome import CommandError
from outproc.cli.passage_tables import show_passages
from outproc.cli.passages import Passages
from outproc.cli.running import Stop
from tests.integration.cli_process import short_folder
from tests.unit.litz.side_pair import MemoryCarrier

pytestmark = pytest.mark.both_loops

PATIENCE = 60.0
ANY = TcpPlace("127.0.0.1", 0)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Target:
    """A server that does with each connection what the test says; `came` are their streams."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[Stream] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.came.put_nowait((reader, writer))

    async def next(self) -> Stream:
        async with asyncio.timeout(PATIENCE):
            return await self.came.get()

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        for writer in self._writers:
            await gone(writer)


async def gone(writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await writer.wait_closed()
    except OSError:
        pass


@asynccontextmanager
async def target() -> AsyncIterator[tuple[Target, TcpPlace]]:
    it = Target()
    server = await asyncio.start_server(it.take, "127.0.0.1", 0)
    try:
        yield it, TcpPlace("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await it.close()
        await server.wait_closed()


class Setting:
    """A node that forwards to itself: `said` is what it told people."""

    def __init__(self) -> None:
        self.carrier = MemoryCarrier()
        self.said: list[str] = []
        self.passages = Passages(lambda: self.carrier, self.said.append)
        self._writers: list[asyncio.StreamWriter] = []

    async def forward(self, service: str = "echo") -> TcpPlace:
        """Where the new forward listens."""
        await self.passages.forward(Forwarded(ANY, "bob", service))
        host, _, port = self.passages.tables()["forwards"][-1]["at"].rpartition(":")
        return TcpPlace(host, int(port))

    async def connect(self, place: TcpPlace) -> Stream:
        stream = await asyncio.open_connection(place.host, place.port)
        self._writers.append(stream[1])
        return stream

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        for writer in self._writers:
            await gone(writer)


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    it = Setting()
    async with it.passages:
        yield it
        await it.close()


async def read(reader: asyncio.StreamReader, size: int) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await reader.readexactly(size)


async def rest(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await reader.read()


async def test_bytes_and_ends_pass_and_are_counted(setting: Setting) -> None:
    async with target() as (server, place):
        await setting.passages.expose(Exposed(None, "echo", place))
        at = await setting.forward()
        reader, writer = await setting.connect(at)
        there_reader, there_writer = await server.next()
        writer.write(b"question")
        writer.write_eof()
        assert await rest(there_reader) == b"question"
        there_writer.write(b"answer!" * 100_000)
        assert await read(reader, 700_000) == b"answer!" * 100_000
        forwards, exposed = (setting.passages.tables()[each][0] for each in ("forwards", "exposed"))
        assert (forwards["open"], forwards["total"], forwards["sent"], forwards["received"]) == (1, 1, 8, 700_000)
        assert (exposed["open"], exposed["total"], exposed["sent"], exposed["received"]) == (1, 1, 700_000, 8)
        there_writer.write_eof()
        assert await rest(reader) == b""
        await open_is(setting, 0)
        row = setting.passages.tables()["forwards"][0]
        assert (row["open"], row["total"], row["sent"], row["received"], row["last_error"]) == (0, 1, 8, 700_000, "")


async def open_is(setting: Setting, count: int, *which: str) -> None:
    async with asyncio.timeout(PATIENCE):
        tables, all_of = setting.passages.tables, which or ("exposed", "forwards")
        while any(row["open"] != count for each in all_of for row in tables()[each]):  # noqa: ASYNC110 - counters tell nobody
            await asyncio.sleep(0)


def cut(writer: asyncio.StreamWriter) -> None:
    """RST, as when its process is killed with unread data."""
    end: socket.socket = writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("who", ["client", "target"])
async def test_a_reset_of_one_side_resets_the_other(setting: Setting, who: str) -> None:
    async with target() as (server, place):
        await setting.passages.expose(Exposed(None, "echo", place))
        reader, writer = await setting.connect(await setting.forward())
        there_reader, there_writer = await server.next()
        writer.write(b"x")
        await read(there_reader, 1)
        breaking, other = (writer, there_reader) if who == "client" else (there_writer, reader)
        cut(breaking)
        with pytest.raises(ConnectionResetError):
            await rest(other)
        await open_is(setting, 0)
        assert all(rows[0]["last_error"] for rows in setting.passages.tables().values())


async def test_a_service_that_nobody_exposes_resets_the_client(setting: Setting) -> None:
    reader, _ = await setting.connect(await setting.forward("secrets"))
    with pytest.raises(ConnectionResetError):
        await rest(reader)
    row = setting.passages.tables()["forwards"][0]
    assert (row["open"], row["total"], row["refused"]) == (0, 0, 1)
    assert len([line for line in setting.said if "leads to" not in line]) == 1, "why is said, once"


async def test_reasons_that_vary_do_not_flood_the_terminal(setting: Setting) -> None:
    """Who refuses chooses the reason, and a client may try as often as it likes."""
    asked = itertools.count()
    setting.carrier.services["echo"] = lambda offer, side: Refused(Refusal.REJECTED, f"reason {next(asked)}")
    at = await setting.forward()
    began = asyncio.get_running_loop().time()
    for _ in range(20):
        reader, _ = await setting.connect(at)
        with pytest.raises(ConnectionResetError):
            await rest(reader)
    row = setting.passages.tables()["forwards"][0]
    assert (row["refused"], "reason 19" in row["last_error"]) == (20, True)
    lines = [line for line in setting.said if "reason" in line]
    assert "reason 0" in lines[0]
    assert len(lines) <= 1 + (asyncio.get_running_loop().time() - began) / QUIET


async def test_a_target_that_is_down_is_named_to_its_own_node_alone(setting: Setting) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and not listening
        place = TcpPlace("127.0.0.1", nobody.getsockname()[1])
        await setting.passages.expose(Exposed(None, "echo", place))
        reader, _ = await setting.connect(await setting.forward())
        with pytest.raises(ConnectionResetError):
            await rest(reader)
        tables = setting.passages.tables()
        assert [rows[0]["refused"] for rows in tables.values()] == [1, 1]
        here, peer = tables["exposed"][0]["last_error"], tables["forwards"][0]["last_error"]
        assert str(place) in here
        assert any(str(place) in line and line.startswith("echo: ") for line in setting.said)
        assert "the service 'echo' has no connection to its target; try again later" in peer
        assert place.host not in peer
        assert str(place.port) not in peer


async def test_too_many_connections_are_refused_typed(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 2)
    async with target() as (server, place):
        await setting.passages.expose(Exposed(None, "echo", place))
        first, second = await setting.forward(), await setting.forward()
        streams = [await setting.connect(first), await setting.connect(first)]
        for _ in streams:
            await server.next()
        for at, row in ((first, 0), (second, 1)):
            reader, _ = await setting.connect(at)
            with pytest.raises(ConnectionResetError):
                await rest(reader)
            assert setting.passages.tables()["forwards"][row]["refused"] == 1
        assert "me has 2 connections open" in setting.passages.tables()["exposed"][0]["last_error"]
        cut(streams[0][1])
        await open_is(setting, 1, "exposed")
        await setting.connect(second)
        await server.next()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    short = Path(short_folder(tmp_path))
    short.mkdir(mode=0o700)
    return short


async def test_unix_sockets_on_both_sides_and_nothing_is_left_of_them(setting: Setting, folder: Path) -> None:
    it = Target()
    server = await asyncio.start_unix_server(it.take, folder / "target")
    await setting.passages.expose(Exposed(None, "echo", UnixPlace(str(folder / "target"))))
    passage = await setting.passages.forward(Forwarded(UnixPlace(str(folder / "at")), "bob", "echo"))
    reader, writer = await asyncio.open_unix_connection(folder / "at")
    there_reader, there_writer = await it.next()
    there_writer.write(b"hello")
    there_writer.write_eof()
    assert await rest(reader) == b"hello"
    writer.write(b"bye")
    writer.close()
    assert await rest(there_reader) == b"bye"
    await gone(writer)
    await open_is(setting, 0)
    passage.stop()
    assert not (folder / "at").exists()
    server.close()
    await it.close()
    await server.wait_closed()


def listening() -> set[str]:
    """The places at which this process takes connections."""
    places: set[str] = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            if str(entry.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry.name))) as end:
                    if end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        places.add(str(end.getsockname()))
    return places


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the hosts in it resolve to, each at once."""
    found: dict[str, list[str]] = {}

    async def resolve(host: str, port: int, **_: object) -> list[object]:
        await asyncio.sleep(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found[host]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    return found


async def test_a_name_with_two_addresses_and_any_free_port_listens_where_it_says(
    setting: Setting, names: dict[str, list[str]]
) -> None:
    """As `localhost:0` where that is 127.0.0.1 and ::1: it had a port at each, and named one."""
    names["two.example"] = ["127.0.0.1", "127.0.0.2"]
    before = listening()
    await setting.passages.forward(Forwarded(TcpPlace("two.example", 0), "bob", "echo"))
    port = int(setting.passages.tables()["forwards"][0]["at"].removeprefix("two.example:"))
    assert listening() - before == {str(("127.0.0.1", port))}


async def test_a_port_that_is_taken_is_refused_with_its_name(setting: Setting) -> None:
    async with target() as (_, place):
        wrong = f"^cannot listen at 127.0.0.1 port {place.port}: .*; choose another PORT"
        with pytest.raises(CommandError, match=wrong):
            await setting.passages.forward(Forwarded(place, "bob", "echo"))


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_a_forward_that_is_cancelled_at_any_step_listens_nowhere(
    setting: Setting, names: dict[str, list[str]], kind: str, folder: Path
) -> None:
    names["one.example"] = ["127.0.0.1"]
    file = folder / "at"
    place = TcpPlace("one.example", 0) if kind == "tcp" else UnixPlace(str(file))
    before = listening()
    for steps in range(100):
        begun = asyncio.create_task(setting.passages.forward(Forwarded(place, "bob", "echo")))
        for _ in range(steps):
            await asyncio.sleep(0)
        begun.cancel()
        await asyncio.wait([begun])
        if not begun.cancelled():
            break
        assert (listening(), file.exists()) == (before, False), f"cancelled after {steps} steps"
    assert len(listening() - before) == 1
    begun.result().stop()
    assert (listening(), file.exists()) == (before, False)


async def test_a_service_can_be_exposed_once_at_a_time(setting: Setting) -> None:
    await setting.passages.expose(Exposed(None, "echo", ANY))
    with pytest.raises((ConsumerConflictError, AssertionError)):
        await setting.passages.expose(Exposed(None, "echo", ANY))
    assert len(setting.passages) == 1


async def test_beyond_loopback_it_says_what_that_means(setting: Setting) -> None:
    await setting.passages.forward(Forwarded(TcpPlace("0.0.0.0", 0), "bob", "echo"))
    assert "open to other machines" in "\n".join(setting.said)


async def test_at_the_end_connections_may_finish_and_nothing_new_begins(setting: Setting) -> None:
    async with target() as (server, place):
        await setting.passages.expose(Exposed(None, "echo", place))
        at = await setting.forward()
        reader, writer = await setting.connect(at)
        _, there_writer = await server.next()
        stop = Stop()
        ending = asyncio.create_task(setting.passages.end(stop, PATIENCE))
        for _ in range(5):
            await asyncio.sleep(0)
        with pytest.raises(ConnectionError):
            late, _ = await setting.connect(at)
            await read(late, 1)
        there_writer.write(b"the last words")
        there_writer.close()
        assert await rest(reader) == b"the last words"
        writer.close()
        await ending
        assert len(setting.passages) == 0


async def test_a_second_signal_resets_what_is_open(setting: Setting) -> None:
    async with target() as (server, place):
        await setting.passages.expose(Exposed(None, "echo", place))
        reader, _ = await setting.connect(await setting.forward())
        await server.next()
        stop = Stop()
        stop.set()
        stop.set()
        await setting.passages.end(stop, PATIENCE)
        with pytest.raises(ConnectionResetError):
            await rest(reader)


def test_the_tables_have_every_counter() -> None:
    out = io.StringIO()
    counts = {"open": 1, "total": 4, "sent": 2048, "received": 5, "refused": 2, "last_error": "[red]no[/red]"}
    show_passages(
        Console(file=out, width=120),
        [{"service": "ssh", "target": "127.0.0.1:22", **counts}],
        [{"at": "127.0.0.1:2222", "dest": "bob", "service": "db", **counts}],
    )
    text = out.getvalue()
    for each in ("exposed", "ssh", "127.0.0.1:22", "forwards", "127.0.0.1:2222", "bob:db", "2.0 KiB", "5 B"):
        assert each in text
    assert text.count("[red]no[/red]") == 2
