"""A minimal actor runtime on litz: actors live on nodes, and send to each other by the ids of these nodes."""

import asyncio
from collections.abc import Awaitable, Callable

from litz import Message
from outproc import OutprocTransportManager


class Node:
    """Embeds a manager: every actor has a mailbox, and one loop that takes from it."""

    def __init__(self, manager: OutprocTransportManager) -> None:
        self.manager, self.loops = manager, list[asyncio.Task[None]]()
        self.mailboxes: dict[str, asyncio.Queue[str]] = {}

    def spawn(self, name: str, act: Callable[[str], Awaitable[None]]) -> None:
        mailbox = self.mailboxes[name] = asyncio.Queue(100)

        async def loop() -> None:
            while True:
                await act(await mailbox.get())

        self.loops.append(asyncio.create_task(loop()))

    async def tell(self, dest: str, actor: str, text: str) -> None:
        await self.manager.send(dest, f"{actor} {text}".encode())

    async def deliver(self, message: Message) -> None:
        actor, _, text = message.data.decode().partition(" ")
        await self.mailboxes[actor].put(text)  # a full mailbox slows its senders down, and nobody else


async def main() -> None:
    done = asyncio.Event()
    async with OutprocTransportManager("east") as east, OutprocTransportManager("west") as west:
        await east.listen("ws://127.0.0.1:0")  # one side is enough: the other dials, and both can send
        west.add_endpoints("east", east.endpoints)
        nodes = [Node(east), Node(west)]

        async def ping(text: str) -> None:
            print(f"ping at {east.local_id} got {text}")
            await nodes[0].tell("west", "pong", str(int(text) + 1)) if int(text) < 4 else done.set()

        async def pong(text: str) -> None:
            print(f"pong at {west.local_id} got {text}")
            await nodes[1].tell("east", "ping", str(int(text) + 1))

        nodes[0].spawn("ping", ping)
        nodes[1].spawn("pong", pong)
        work = [asyncio.create_task(node.manager.serve(node.deliver)) for node in nodes]
        await nodes[1].tell("east", "ping", "0")
        await done.wait()
        for task in (work := work + nodes[0].loops + nodes[1].loops):
            task.cancel()
    await asyncio.wait(work)


if __name__ == "__main__":
    asyncio.run(main())
