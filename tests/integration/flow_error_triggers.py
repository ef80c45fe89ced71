"""How tests make a user meet the errors of streams, pipes, order and admission."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litz import Fifo, ResumablePipe, ResumableServer
from litz.admission import Amount, Reject
from litz.limiter import Limiter
from litz.message import Message
from litz.stream import Stream
from tests.integration.error_triggers import raised, two
from tests.integration.outproc_nodes import Manager


@asynccontextmanager
async def stream_to(handler: str) -> AsyncIterator[tuple[Manager, Stream]]:
    """A stream from a to b, whose handler answers by `handler`."""

    async def serve(stream: Stream) -> None:
        await stream.receive()
        if handler == "abort":
            stream.abort("no more of this")
        elif handler == "wait":
            await asyncio.Event().wait()

    async with two() as (a, b):
        b.listen_streams("files", serve)
        stream = await a.open_stream("b", "files")
        await stream.send(b"x")
        yield b, stream


async def stream_refused() -> BaseException:
    async with two() as (a, _):
        return await raised(a.peer("b").open_stream("nothing"))


async def stream_aborted() -> BaseException:
    async with stream_to("abort") as (_, stream):
        return await raised(stream.receive())


async def stream_lost() -> BaseException:
    async with stream_to("wait") as (b, stream):
        await b.aclose()
        return await raised(stream.receive())


async def end_of_stream() -> BaseException:
    async with stream_to("return") as (_, stream):
        return await raised(stream.receive())


async def stream_state() -> BaseException:
    async with stream_to("return") as (_, stream):
        await stream.send_eof()
        return await raised(stream.send(b"one more"))


async def pipe_reset() -> BaseException:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with two() as (a, b):
        b.listen_pipes("shell", serve)
        reader, writer = await a.open_pipe("b", "shell")
        writer.write(b"x")
        return await raised(reader.read())


async def resume_impossible() -> BaseException:
    async def wait(_: ResumablePipe) -> None:
        await asyncio.Event().wait()

    first, second = ResumableServer(wait), ResumableServer(wait)
    servers, writers = [first, second], list[asyncio.StreamWriter]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await servers[0].connected(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with ResumablePipe(lambda: asyncio.open_connection(host, port)) as pipe:
        await pipe.wait_connected()
        servers.reverse()
        writers[0].transport.abort()
        await raised(pipe.reconnect())
        error = pipe.error
    server.close()
    for each in servers:
        await each.aclose()
    await server.wait_closed()
    assert error is not None
    return error


async def order_broken() -> BaseException:
    async def slow(_: Message) -> None:
        await asyncio.Event().wait()

    async with two() as (a, b):
        serving = asyncio.create_task(raised(b.serve(slow, order=Fifo(messages=1, full="break"))))
        for _ in range(4):
            await a.send("b", b"work")
        return await serving


async def admission_refused() -> BaseException:
    limiter = Limiter(Reject(Amount(count=1)), name="uploads")
    async with limiter.permit():
        return await raised(limiter.acquire())
