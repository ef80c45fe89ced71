"""A pipe that survives its connections, without any manager: here over TCP, which is reset after every answer."""

import asyncio

from litz import ResumablePipe, ResumableServer


async def shout(pipe: ResumablePipe) -> None:
    """Runs once for each pipe, however many connections that has."""
    while line := await pipe.reader.readline():
        pipe.writer.write(line.upper())
        await pipe.writer.drain()


async def main() -> None:
    connections: list[asyncio.StreamWriter] = []

    async def dial() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        connections.append(writer)
        return reader, writer

    async with ResumableServer(shout) as pipes:
        server = await asyncio.start_server(pipes.connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, ResumablePipe(dial) as pipe:
            for line in (b"one\n", b"two\n", b"three\n"):
                pipe.writer.write(line)
                print((await pipe.reader.readline()).decode().strip())
                connections[-1].transport.abort()  # the network breaks
            pipe.writer.write_eof()
            print(f"{len(await pipe.reader.read())} bytes more, then the end; one connection: {pipe.connections == 1}")


if __name__ == "__main__":
    asyncio.run(main())
