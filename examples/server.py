"""A node that others reach by its id "bob". Start it, then run examples/client.py beside it. Ctrl-C ends it."""

import asyncio
import contextlib
import sys

from litz import Message
from outproc import OutprocTransportManager


def handle(message: Message) -> None:
    print(f"{message.sender} says {message.data.decode()}", flush=True)


async def main(url: str) -> None:
    async with OutprocTransportManager("bob") as bob:
        listener = await bob.listen(url)
        print(f"bob listens at {listener.endpoints[0]}", flush=True)
        await bob.serve(handle)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8400"))
