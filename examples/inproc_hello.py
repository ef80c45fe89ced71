"""Two managers in one process: objects pass by reference, nothing is serialised."""

import asyncio

from inproc import Hub, InprocTransportManager


async def main() -> None:
    hub = Hub()
    async with InprocTransportManager("alice", hub) as alice, InprocTransportManager("bob", hub) as bob:
        await alice.send("bob", {"hello": "bob"})
        async for message in bob.messages():
            print(f"{bob.local_id} got {message.data} from {message.sender}")
            break

        serving = asyncio.create_task(bob.serve(lambda message: sum(message.data)))
        print("1 + 2 + 3 =", await alice.request("bob", [1, 2, 3], timeout=5))
        serving.cancel()
        await asyncio.wait([serving])


if __name__ == "__main__":
    asyncio.run(main())
