"""A pipe does what a TCP connection of asyncio does: the same random script on both gives the same answers."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from litz.testing.manager_case import MakeManagers
from tests.contract.test_outproc_manager import over_memory, over_tcp
from tests.contract.test_pipes import in_process

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Ends = AbstractAsyncContextManager[list[Streams]]

LIMIT = 1_000
"""Of the readers."""


@asynccontextmanager
async def tcp() -> AsyncIterator[list[Streams]]:
    accepted: asyncio.Queue[Streams] = asyncio.Queue()
    server = await asyncio.start_server(lambda r, w: accepted.put_nowait((r, w)), "127.0.0.1", 0, limit=LIMIT)
    here = await asyncio.open_connection(*server.sockets[0].getsockname()[:2], limit=LIMIT)
    there = await accepted.get()
    try:
        yield [here, there]
    finally:
        for _, writer in (here, there):
            writer.transport.abort()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def pipe(make_pair: MakeManagers) -> AsyncIterator[list[Streams]]:
    accepted: asyncio.Queue[Streams] = asyncio.Queue()
    async with make_pair() as (a, b):
        b.listen_pipes("diff", lambda r, w: accepted.put_nowait((r, w)), limit=LIMIT)
        here = await a.open_pipe(b.local_id, "diff", limit=LIMIT, timeout=120.0)
        there = await accepted.get()
        yield [here, there]
        for _, writer in (here, there):
            writer.transport.abort()
        await asyncio.sleep(0.01)


class End:
    """What a script knows of one end, so that what it asks for has one right answer."""

    def __init__(self) -> None:
        self.waiting = b""
        """What the other end wrote and this one did not read."""
        self.finished = False
        self.saw_end = False


class Script:
    """One run of seed `seed` over two ends. Everything observable goes into `answers`."""

    def __init__(self, seed: int, ends: list[Streams]) -> None:
        self.rng = random.Random(f"like tcp {seed}")
        self.streams = ends
        self.ends = [End(), End()]
        self.answers: list[object] = []

    async def run(self) -> list[object]:
        for _ in range(self.rng.randrange(5, 40)):
            side = self.rng.randrange(2)
            deed = self.rng.choice(
                [self.write, self.write, self.read_some, self.read_line, self.write_eof, self.read_end, self.misuse]
            )
            await deed(side)
        await self.rng.choice([self.close_both, self.close_one, self.reset])(self.rng.randrange(2))
        return self.answers

    async def note(self, what: str, doing: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(100):
                answer = await doing
        except asyncio.IncompleteReadError as error:
            self.answers.append((what, "IncompleteReadError", error.partial, error.expected))
        except asyncio.LimitOverrunError:
            self.answers.append((what, "LimitOverrunError"))
        except (ConnectionResetError, BrokenPipeError):
            self.answers.append((what, "reset"))
        except (RuntimeError, TypeError, ValueError) as error:
            self.answers.append((what, type(error).__name__))
        else:
            self.answers.append((what, answer))

    async def write(self, side: int) -> None:
        if self.ends[side].finished:
            return
        data = self.rng.randbytes(self.rng.choice([0, 1, 100, 5_000])) + self.rng.choice([b"", b"\n"])
        writer = self.streams[side][1]
        if self.rng.random() < 0.5:
            writer.write(self.rng.choice([bytes, bytearray, memoryview])(data))
        else:
            writer.writelines([data[:10], memoryview(data)[10:]])
        self.ends[1 - side].waiting += data
        if len(data) < 10_000:
            await self.note("drain", writer.drain())

    async def read_some(self, side: int) -> None:
        end = self.ends[side]
        over = self.ends[1 - side].finished
        size = self.rng.randrange(len(end.waiting) + (20 if over else 1))
        await self.note(f"readexactly {size}", self.streams[side][0].readexactly(size))
        end.waiting = end.waiting[size:]

    async def read_line(self, side: int) -> None:
        end = self.ends[side]
        at = end.waiting.find(b"\n")
        if at < 0 or at > LIMIT // 2:
            return
        await self.note("readline", self.streams[side][0].readline())
        end.waiting = end.waiting[at + 1 :]

    async def read_end(self, side: int) -> None:
        if self.ends[1 - side].finished:
            reader = self.streams[side][0]
            await self.note("read", reader.read())
            self.ends[side].waiting = b""
            self.answers.append(("at_eof", reader.at_eof()))
            await self.note("read again", reader.read(10))
            await self.note("readline at the end", reader.readline())

    async def write_eof(self, side: int) -> None:
        if self.rng.random() < 0.3:
            writer = self.streams[side][1]
            self.answers.append(("can_write_eof", writer.can_write_eof()))
            writer.write_eof()
            self.ends[side].finished = True

    async def misuse(self, side: int) -> None:
        writer = self.streams[side][1]

        async def text() -> None:
            writer.write("text")  # type: ignore[arg-type]  # the mistake under test

        async def behind_the_end() -> None:
            writer.write(b"x")

        if self.ends[side].finished:
            await self.note("behind the end", behind_the_end())
        else:
            await self.note("text", text())

    async def take_all(self) -> None:
        """Nothing may wait unread when a TCP connection is closed: that would reset it."""
        for side in (0, 1):
            size = len(self.ends[side].waiting)
            await self.note(f"readexactly {size}", self.streams[side][0].readexactly(size))
            self.ends[side].waiting = b""

    async def close_both(self, _side: int) -> None:
        await self.take_all()
        for side in (0, 1):
            writer = self.streams[side][1]
            writer.close()
            self.answers.append(("is_closing", writer.is_closing()))
        for side in (0, 1):
            await self.note("wait_closed", self.streams[side][1].wait_closed())
            await self.note("read when closed", self.streams[side][0].read())

    async def close_one(self, side: int) -> None:
        await self.take_all()
        last = self.rng.randbytes(3_000)
        writer = self.streams[side][1]
        if not self.ends[side].finished:
            writer.write(last)
        writer.close()
        await self.note("wait_closed", writer.wait_closed())
        reader, other = self.streams[1 - side]
        await self.note("the rest", reader.read())
        if self.ends[1 - side].finished:
            other.close()
            await self.note("its wait_closed", other.wait_closed())
            return

        async def write_until_it_breaks() -> None:
            while True:
                other.write(b"nobody reads this")
                await other.drain()
                await asyncio.sleep(0.001)

        await self.note("writes to nobody", write_until_it_breaks())
        await self.note("drain behind that", other.drain())
        await self.note("its wait_closed", other.wait_closed())
        await self.note("read behind that", reader.read())

    async def reset(self, side: int) -> None:
        await self.take_all()
        reader, writer = self.streams[side]
        its_socket = writer.get_extra_info("socket")
        if its_socket is not None:  # what abort of a pipe always does, TCP does with this option
            its_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await self.note("wait_closed of who aborted", writer.wait_closed())
        await self.note("read of who aborted", reader.read())
        other_reader, other = self.streams[1 - side]
        if self.ends[side].finished:
            return  # behind its end TCP tells a reset as soon as it comes, a pipe when somebody writes
        await self.note("wait_closed", other.wait_closed())
        await self.note("read", other_reader.read())
        await self.note("drain", other.drain())
        self.answers.append(("is_closing", other.is_closing()))


async def answers(seed: int, ends: Ends) -> list[object]:
    async with ends as streams:
        return await Script(seed, streams).run()


KINDS: dict[str, Callable[[], Ends]] = {
    "inproc": lambda: pipe(in_process),
    "memory": lambda: pipe(over_memory),
    "websocket": lambda: pipe(over_tcp),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(25))
async def test_the_same_script_gives_the_same_answers(kind: str, seed: int) -> None:
    want = await answers(seed, tcp())
    assert await answers(seed, KINDS[kind]()) == want


@pytest.mark.prove
@pytest.mark.limit(1200)
@pytest.mark.parametrize("kind", KINDS)
async def test_many_scripts(kind: str) -> None:
    for seed in range(1_000, 1_300):
        want = await answers(seed, tcp())
        assert await answers(seed, KINDS[kind]()) == want, f"seed {seed}"
