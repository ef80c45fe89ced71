"""Two real connections joined by a pump: bytes, ends, resets pass, and nobody is read faster than the other takes."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from litz.pump import HIGH_WATER, Pump

pytestmark = pytest.mark.both_loops

PATIENCE = 60.0


class Joined:
    """`ours` and `theirs` are the far ends of the two connections that the pump joins."""

    def __init__(self, pump: Pump, ours: socket.socket, theirs: socket.socket) -> None:
        self.pump = pump
        self.ours = ours
        self.theirs = theirs
        self.told: list[BaseException | None] = []


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    return near, far


@asynccontextmanager
async def joined(pair: Callable[[], tuple[socket.socket, socket.socket]] = tcp_pair) -> AsyncIterator[Joined]:
    loop = asyncio.get_running_loop()
    ends = [*pair(), *pair()]
    for end in ends:
        end.setblocking(False)
    told: list[BaseException | None] = []
    pump = Pump(told.append)
    it = Joined(pump, ends[0], ends[2])
    it.told = told
    try:
        await loop.create_connection(lambda: pump.here, sock=ends[1])
        await loop.create_connection(lambda: pump.there, sock=ends[3])
        yield it
    finally:
        ends[0].close()
        ends[2].close()
        pump.abort(ConnectionAbortedError("the test is over"))
        await until(lambda: bool(told))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - of another socket, which tells nobody
            await asyncio.sleep(0.001)


async def read(end: socket.socket, size: int) -> bytes:
    loop, got = asyncio.get_running_loop(), b""
    async with asyncio.timeout(PATIENCE):
        while len(got) < size and (data := await loop.sock_recv(end, size - len(got))):
            got += data
    return got


async def write(end: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        await asyncio.get_running_loop().sock_sendall(end, data)


def reset(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


async def test_bytes_go_both_ways_and_are_counted() -> None:
    data = bytes(range(256)) * 16384
    async with joined() as it:
        up, down = asyncio.create_task(read(it.theirs, len(data))), asyncio.create_task(read(it.ours, len(data)))
        await asyncio.gather(write(it.ours, data), write(it.theirs, data[::-1]))
        assert await up == data
        assert await down == data[::-1]
        assert (it.pump.here.passed, it.pump.there.passed) == (len(data), len(data))


@pytest.mark.parametrize("pair", [tcp_pair, socket.socketpair])
async def test_each_direction_ends_by_itself(pair: Callable[[], tuple[socket.socket, socket.socket]]) -> None:
    async with joined(pair) as it:
        await write(it.ours, b"question")
        it.ours.shutdown(socket.SHUT_WR)
        assert await read(it.theirs, 100) == b"question", "and then the end"
        assert it.told == []
        await write(it.theirs, b"answer" * 100_000)
        it.theirs.shutdown(socket.SHUT_WR)
        assert await read(it.ours, 1_000_000) == b"answer" * 100_000
        await until(lambda: it.told == [None])


@pytest.mark.parametrize("side", ["ours", "theirs"])
async def test_a_reset_is_passed_on(side: str) -> None:
    async with joined() as it:
        resetting, other = (it.ours, it.theirs) if side == "ours" else (it.theirs, it.ours)
        await write(resetting, b"x")
        assert await read(other, 1) == b"x"
        reset(resetting)
        with pytest.raises(ConnectionResetError):
            await read(other, 1)
        await until(lambda: bool(it.told))
        assert isinstance(it.told[0], OSError)


async def test_a_reset_after_the_end_of_one_direction_is_passed_on() -> None:
    async with joined() as it:
        it.theirs.shutdown(socket.SHUT_WR)
        assert await read(it.ours, 1) == b""
        reset(it.ours)
        with pytest.raises(ConnectionResetError):
            await write_until_it_breaks(it.theirs)
        await until(lambda: bool(it.told))
        assert it.told[0] is not None


async def write_until_it_breaks(end: socket.socket) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await write(end, b"x")
            except BrokenPipeError as error:
                raise ConnectionResetError from error
            await asyncio.sleep(0.001)


async def test_who_is_not_read_is_not_fed_for_ever() -> None:
    async with joined() as it:
        sent = 0
        to = it.pump.there.transport
        assert to is not None
        async with asyncio.timeout(PATIENCE):
            while to.get_write_buffer_size() <= HIGH_WATER:
                sent += await send_some(it.ours)
        before = it.pump.here.passed
        with pytest.raises(BlockingIOError):
            while True:
                sent += it.ours.send(bytes(1 << 16))
        for _ in range(20):
            await asyncio.sleep(0)
        assert it.pump.here.passed <= before + 2 * HIGH_WATER, "paused, but for what was being read"
        it.ours.shutdown(socket.SHUT_WR)
        got = 0
        while data := await read(it.theirs, 1 << 20):
            got += len(data)
        assert got == sent


async def send_some(end: socket.socket) -> int:
    await asyncio.sleep(0)
    try:
        return end.send(bytes(1 << 16))
    except BlockingIOError:
        return 0


async def test_what_comes_before_the_other_side_waits_for_it() -> None:
    loop = asyncio.get_running_loop()
    (ours, here), (theirs, there) = tcp_pair(), tcp_pair()
    told: list[BaseException | None] = []
    begun: list[Pump] = []
    pump = Pump(told.append, begun.append)
    ours.sendall(b"early")
    ours.shutdown(socket.SHUT_WR)
    await loop.create_connection(lambda: pump.here, sock=here)
    assert begun == [pump]
    for _ in range(20):
        await asyncio.sleep(0)
    await loop.create_connection(lambda: pump.there, sock=there)
    theirs.setblocking(False)
    assert await read(theirs, 100) == b"early"
    theirs.close()
    await until(lambda: told == [None])
    ours.close()
    assert begun == [pump]


async def test_who_comes_too_late_is_reset() -> None:
    loop = asyncio.get_running_loop()
    told: list[BaseException | None] = []
    pump = Pump(told.append)
    error = ConnectionAbortedError("no room")
    pump.abort(error)
    assert told == [error], "nobody to wait for"
    ours, here = tcp_pair()
    ours.setblocking(False)
    await loop.create_connection(lambda: pump.here, sock=here)
    with pytest.raises(ConnectionResetError):
        await read(ours, 1)
    await until(lambda: pump.here.lost)
    ours.close()
    here.detach()  # uvloop closed it, and does not tell the object that was aborted in `connection_made`
    assert told == [error]


async def test_a_client_that_sends_at_once_is_not_read_for_ever() -> None:
    """What came before the other side was there filled that up, and then reading went on all the same: a forward took
    the whole of a file into memory."""
    loop = asyncio.get_running_loop()
    told: list[BaseException | None] = []
    begun: list[Pump] = []
    pump = Pump(told.append, begun.append)
    server = await loop.create_server(lambda: pump.here, "127.0.0.1", 0)
    ours = socket.create_connection(server.sockets[0].getsockname())
    ours.setblocking(False)
    sent = await fill(ours)
    await until(lambda: bool(begun))
    for _ in range(20):
        await asyncio.sleep(0)
        sent += await fill(ours)
    before = pump.here.passed
    assert before <= 4 * HIGH_WATER, "it waits for the other side"
    theirs, there = tcp_pair()
    theirs.setblocking(False)
    there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await loop.create_connection(lambda: pump.there, sock=there)
    for _ in range(50):
        await asyncio.sleep(0)
        sent += await fill(ours)
    to = pump.there.transport
    assert to is not None
    assert to.get_write_buffer_size() <= 8 * HIGH_WATER
    ours.shutdown(socket.SHUT_WR)
    got = 0
    while data := await read(theirs, 1 << 20):
        got += len(data)
    assert got == sent
    theirs.close()
    await until(lambda: told == [None])
    ours.close()
    server.close()
    await server.wait_closed()


async def fill(end: socket.socket) -> int:
    """Send as much as the system takes now."""
    sent = 0
    try:
        while True:
            sent += end.send(bytes(1 << 16))
    except BlockingIOError:
        return sent
