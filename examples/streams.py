"""Streams: conversations of their own with the services of a dest; how they end, and who is told what."""

import asyncio

from litz import Stream, StreamAbortedError, StreamRefusedError
from outproc import OutprocTransportManager

PARTS = 200


async def total(stream: Stream) -> None:
    """Add up what comes; answer when the peer has said that it was all."""
    size = 0
    async for part in stream:  # ends when the peer has finished, and only then
        size += sum(map(len, part))
    await stream.send(f"{stream.metadata.decode()}: {size} bytes from {stream.dest}".encode())


async def count_for_ever(stream: Stream) -> None:
    number = 0
    while True:
        await stream.send(number.to_bytes(8, "big"))  # waits while the reader is slower
        number += 1


async def main() -> None:
    async with OutprocTransportManager("bob") as bob:
        await bob.listen("ws://127.0.0.1:0")
        bob.listen_streams("total", total)
        bob.listen_streams("numbers", count_for_ever)
        bob.listen_streams("private", total, accept=lambda offer: None if offer.verified else "members only")

        async with OutprocTransportManager("alice", directory={"bob": bob.endpoints}) as alice:
            async with alice.open_stream("bob", "total", metadata=b"holiday.jpg") as stream:
                for part in range(PARTS):
                    await stream.send([b"part %d:" % part, bytes(10_000)])  # a list goes out unjoined
                await stream.send_eof()  # half-close: bob may still answer
                print(bytes(await stream.receive()).decode())

            async with alice.open_stream("bob", "numbers") as stream:
                numbers = [int.from_bytes(await stream.receive(), "big") for _ in range(5)]
            print("enough of", numbers)  # leaving told bob, who stopped counting

            try:
                await alice.open_stream("bob", "private")
            except StreamRefusedError as error:
                print("refused:", "members only" in str(error))

            stream = await alice.open_stream("bob", "numbers")
            await bob.close_transport("alice", reason="moving house")
            try:
                async for _ in stream:
                    pass
            except StreamAbortedError as error:
                print("cut off:", type(error).__name__)  # never mistaken for the end


if __name__ == "__main__":
    asyncio.run(main())
