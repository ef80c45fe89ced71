"""Requests: the reply comes back, an exception of the handler comes back typed, and a cancel reaches the handler."""

import asyncio

from litz import Message, RemoteError
from outproc import OutprocTransportManager


async def handle(message: Message) -> bytes:
    match message.data:
        case b"fail":
            raise LookupError("nothing here")
        case b"sleep":
            try:
                await asyncio.sleep(3600)
            finally:
                print("bob: the caller gave up, so I stop too")
    return b"you said " + bytes(message.data)


async def main() -> None:
    async with OutprocTransportManager("bob") as bob:
        listener = await bob.listen("ws://127.0.0.1:0")
        serving = asyncio.create_task(bob.serve(handle))
        directory = {"bob": [str(endpoint) for endpoint in listener.endpoints]}
        async with OutprocTransportManager("alice", directory=directory) as alice:
            peer = alice.peer("bob")  # a handle bound to one id: the same verbs
            print("alice got:", (await peer.request(b"hello", timeout=5)).decode())
            try:
                await peer.request(b"fail", timeout=5)
            except RemoteError as error:
                print(f"alice got: {error.kind}: {error.detail}")
            try:
                await peer.request(b"sleep", timeout=1)
            except TimeoutError:
                print("alice gave up")
            print("alice got:", (await peer.request(b"bye", timeout=5)).decode())
        serving.cancel()
        await asyncio.wait([serving])


if __name__ == "__main__":
    asyncio.run(main())
