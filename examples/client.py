"""Sends to "bob", which examples/server.py runs. The directory says where bob is; sending needs the id only."""

import asyncio
import sys

from litz import PayloadType
from outproc import OutprocTransportManager


async def main(url: str) -> None:
    async with OutprocTransportManager("alice", directory={"bob": [url]}) as alice:
        channel, number = await alice.send("bob", b"hello")  # accepted: from now on it is litz's business
        print(f"accepted as number {number} of lane {channel.lane} to {channel.dest}")
        await alice.send("bob", b"now!", payload_type=PayloadType.RPC_SIGNAL, confirm="processed")
        print("bob has processed the signal")
        for word in (b"one", b"two", b"three"):
            await alice.send("bob", word)
        await alice.drain("bob", timeout=5)  # closing does not wait for what is on its way; this does
        print("bob has everything")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8400"))
