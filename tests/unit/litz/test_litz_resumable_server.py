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
from litz.resume_frames import Ack, FrameReader, Hello, Kind, hello_frame, read_hello
from litz.resume_handshake import Role, first_keys
from litz.resume_options import ResumeOptions
from litz.seldom import EVERY, OF_HANDLER
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


async def test_who_makes_handlers_raise_again_and_again_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(pipe: ResumablePipe) -> None:
        raise LookupError("a bug")

    began = asyncio.get_running_loop().time()
    async with serving(ResumableServer(handler, options=QUICK)) as host:
        for _ in range(20):
            async with ResumablePipe(host.dial, options=QUICK) as pipe:
                with pytest.raises(ConnectionResetError):
                    await pipe.reader.read()
    *told, end = [record.getMessage() for record in caplog.records]
    minutes = int((asyncio.get_running_loop().time() - began) / EVERY)
    assert OF_HANDLER <= len(told) <= OF_HANDLER + minutes
    if not minutes:
        assert f"{20 - OF_HANDLER} more failures" in end


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


async def stranger(host: Host, session: bytes, *, proves: bool) -> None:
    """Says HELLO for a session of its own, perhaps shakes hands to the end, and hangs up."""
    reader, writer = await host.dial()
    hello = Hello(True, session, bytes(16), 1)
    writer.write(hello_frame(hello))
    if proves:
        frames, came = FrameReader(), list[tuple[Kind, bytes]]()
        while not came and (data := await reader.read(1_000)):
            came = frames.feed(data)
        if came:
            keys = first_keys(hello, read_hello(came[0][1]))
            writer.write(keys.proof_frame(Role.ACTIVE, Ack(0, 1 << 20, False)))
            await reader.read(1_000)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("proves", [False, True])
async def test_strangers_that_begin_pipes_and_use_none_take_no_places_from_users(proves: bool) -> None:
    async with serving(ResumableServer(echo, options=QUICK, max_pipes=4)) as host:
        async with ResumablePipe(host.dial, options=QUICK) as early:
            early.writer.write(b"x")
            assert await early.reader.readexactly(1) == b"x"
            for number in range(40):
                await stranger(host, b"%16d" % number, proves=proves)
            async with ResumablePipe(host.dial, options=QUICK) as pipe:
                pipe.writer.write(b"hello")
                async with asyncio.timeout(30.0):  # those of strangers would be kept for 60 s
                    assert await pipe.reader.readexactly(5) == b"hello"
            early.writer.write(b"still here")
            assert await early.reader.readexactly(10) == b"still here"
            assert early.error is None
        assert len(host.pipes.pipes) <= 4


async def test_a_hello_alone_begins_no_handler_and_leaves_nothing() -> None:
    begun = list[ResumablePipe]()

    async def handler(pipe: ResumablePipe) -> None:
        begun.append(pipe)

    async with serving(ResumableServer(handler, options=QUICK)) as host:
        for number in range(5):
            await stranger(host, b"%16d" % number, proves=False)
        assert not begun
        assert not host.pipes.pipes
    assert not begun


async def test_a_pipe_that_was_used_or_is_connected_never_goes_for_another_one() -> None:
    async with serving(ResumableServer(echo, options=QUICK, max_pipes=2)) as host:
        refusing = False

        async def dial() -> Streams:
            if refusing:
                raise ConnectionRefusedError
            return await host.dial()

        async with ResumablePipe(dial, options=QUICK) as used:
            used.writer.write(b"x")
            assert await used.reader.readexactly(1) == b"x"
            async with ResumablePipe(host.dial, options=QUICK) as silent:
                await silent.wait_connected()
                refusing = True
                host.writers[0].transport.abort()
                async with ResumablePipe(host.dial, options=QUICK) as late:
                    with pytest.raises((OSError, EOFError)):
                        await late.reconnect()
                refusing = False
                for pipe in (used, silent):
                    pipe.writer.write(b"y")
                    assert await pipe.reader.readexactly(1) == b"y"
