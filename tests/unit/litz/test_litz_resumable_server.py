"""`litz.resumable_server`, and pipes over real TCP."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from litz.backoff import Backoff
from litz.errors import PipeResetError, ResumeImpossibleError
from litz.resumable_pipe import ResumablePipe
from litz.resumable_server import ResumableServer
from litz.resume_options import ResumeOptions
from tests.simulation.resumable.network import Streams

QUICK = ResumeOptions(kept=60.0, backoff=Backoff(base=0.001, cap=0.01))
"""For real sockets: nothing here waits for a deadline."""


async def echo(pipe: ResumablePipe) -> None:
    while part := await pipe.reader.read(65_536):
        pipe.writer.write(part)
        await pipe.writer.drain()


class Host:
    """A `ResumableServer` on a TCP port, and the connections that came."""

    def __init__(self, pipes: ResumableServer) -> None:
        self.pipes = pipes
        self.writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self._tasks.append(asyncio.get_running_loop().create_task(self.pipes.connected(reader, writer)))

    async def dial(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self._port)

    def reset_all(self) -> None:
        for writer in self.writers:
            writer.transport.abort()

    async def aclose(self) -> None:
        self._server.close()
        await self._server.wait_closed()
        await self.pipes.aclose()
        self.reset_all()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(pipes: ResumableServer) -> AsyncIterator[Host]:
    host = Host(pipes)
    await host.listen()
    try:
        yield host
    finally:
        await host.aclose()


@pytest.mark.both_loops
async def test_megabytes_over_tcp_whose_connections_are_reset_all_the_time() -> None:
    async with serving(ResumableServer(echo, options=QUICK)) as host:
        sent = random.Random(1).randbytes(3_000_000)
        async with ResumablePipe(host.dial, options=QUICK) as pipe:

            async def write() -> None:
                for at in range(0, len(sent), 50_000):
                    pipe.writer.write(sent[at : at + 50_000])
                    await pipe.writer.drain()
                pipe.writer.write_eof()

            writing = asyncio.get_running_loop().create_task(write())
            got = bytearray()
            resets = 0
            while part := await pipe.reader.read(100_000):
                got += part
                if len(got) > (resets + 1) * 150_000:
                    resets += 1
                    host.reset_all()
            await writing
            assert bytes(got) == sent
            assert resets > 10
            assert pipe.connections > 2
        assert pipe.error is None
        assert pipe.unconfirmed == 0


async def test_a_server_that_lost_its_state_is_a_typed_end() -> None:
    async with serving(ResumableServer(echo, options=QUICK)) as host:
        async with ResumablePipe(host.dial, options=QUICK) as pipe:
            pipe.writer.write(b"x")
            assert await pipe.reader.readexactly(1) == b"x"
            forgetful, host.pipes = host.pipes, ResumableServer(echo, options=QUICK)
            host.reset_all()
            with pytest.raises(PipeResetError) as caught:
                await pipe.reader.read()
            assert isinstance(caught.value.__cause__, ResumeImpossibleError)
            assert isinstance(pipe.error, ResumeImpossibleError)
            with pytest.raises(ResumeImpossibleError, match="state is lost"):
                await pipe.reconnect()
            with pytest.raises(ResumeImpossibleError):
                await pipe.wait_connected()
        await forgetful.aclose()


async def test_handlers_that_return_or_raise_end_their_pipes(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(pipe: ResumablePipe) -> None:
        if await pipe.reader.readline() == b"raise\n":
            raise LookupError("a bug")
        pipe.writer.write(b"done")

    async with serving(ResumableServer(handler, options=QUICK, max_pipes=2)) as host:
        async with ResumablePipe(host.dial, options=QUICK) as pipe:
            pipe.writer.write(b"return\n")
            assert await pipe.reader.read() == b"done"
        async with ResumablePipe(host.dial, options=QUICK) as pipe:
            pipe.writer.write(b"raise\n")
            with pytest.raises(ConnectionResetError):
                await pipe.reader.read()
    assert [record.getMessage()[:11] for record in caplog.records] == ["the handler"]
    assert not host.pipes.pipes


async def test_more_pipes_than_may_be_wait_outside() -> None:
    async with serving(ResumableServer(echo, options=QUICK, max_pipes=1)) as host:
        one = ResumablePipe(host.dial, options=QUICK)
        await one.wait_connected()
        async with ResumablePipe(host.dial, options=QUICK) as other:
            with pytest.raises((OSError, EOFError)):
                await other.reconnect()
            await one.aclose()
            await other.wait_connected(60.0)
            other.writer.write(b"x")
            assert await other.reader.readexactly(1) == b"x"
