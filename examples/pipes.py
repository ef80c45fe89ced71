"""A byte pipe: asyncio's reader and writer, over any wires. All of them are cut on the way, and nobody notices."""

import asyncio
import hashlib

from outproc import OutprocTransportManager

SENT = bytes(range(256)) * 20_000


async def store(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As for asyncio.start_server: take everything, answer with its checksum."""
    name = (await reader.readline()).decode().strip()
    data = await reader.read()
    writer.write(f"{name} from {writer.get_extra_info('peername')}: {hashlib.sha256(data).hexdigest()}\n".encode())
    writer.close()
    await writer.wait_closed()


async def main() -> None:
    async with OutprocTransportManager("bob") as bob:
        await bob.listen("ws://127.0.0.1:0")
        bob.listen_pipes("store", store)
        async with OutprocTransportManager("alice", directory={"bob": bob.endpoints}) as alice:
            reader, writer = await alice.open_pipe("bob", "store")
            writer.write(b"picture\n")
            for start in range(0, len(SENT), 1_000_000):
                writer.write(SENT[start : start + 1_000_000])
                await writer.drain()
                await alice.reconnect("bob")  # every wire is replaced under the pipe
            writer.write_eof()
            answer = (await reader.readline()).decode().strip()
            print(answer.removesuffix(hashlib.sha256(SENT).hexdigest()) + "as it was sent")
            writer.close()
            await writer.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
