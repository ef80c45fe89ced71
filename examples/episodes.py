"""A long answer, token by token, for three who come late: one here, one at another node, one that starts again."""

import asyncio
from collections.abc import AsyncIterator

from litz.episode_buffer import EpisodeBuffer
from litz.episode_publisher import publish
from litz.episode_subscriber import subscribe_remote
from litz.episodes import EpisodeKey, Item
from outproc import OutprocTransportManager

KEY = EpisodeKey("question-7")
TOKENS = [b"token %d " % number for number in range(1, 301)]


async def produce(buffer: EpisodeBuffer) -> None:
    buffer.create(KEY)
    for token in TOKENS:
        buffer.append(KEY, token, role="assistant")  # no await: it never waits for a reader
        await asyncio.sleep(0.002)
    buffer.close(KEY)


async def read(who: str, parts: AsyncIterator[Item]) -> None:
    got = [part[1] async for part in parts]  # ends plainly only when the episode is complete
    print(f"{who}: {len(got)} tokens, all in order: {got == TOKENS}")


async def read_in_two_lives(alice: OutprocTransportManager) -> None:
    cursor, got = 0, []
    async with subscribe_remote(alice, "bob", KEY) as parts:
        async for part in parts:
            got.append(part[1])
            cursor = parts.cursor  # a plain number: keep it where it outlives you
            if cursor == 100:
                break
    async with subscribe_remote(alice, "bob", KEY, after=cursor) as parts:
        got += [part[1] async for part in parts]
    print(f"restarted after {cursor}: {len(got)} tokens, all in order: {got == TOKENS}")


async def main() -> None:
    async with EpisodeBuffer() as buffer, OutprocTransportManager("bob") as bob, publish(bob, buffer):
        await bob.listen("ws://127.0.0.1:0")
        async with (
            OutprocTransportManager("alice", directory={"bob": bob.endpoints}) as alice,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(produce(buffer))
            tasks.create_task(read_in_two_lives(alice))
            await asyncio.sleep(0.1)  # the answer is under way
            tasks.create_task(read("local", buffer.subscribe(KEY)))
            tasks.create_task(read("remote", subscribe_remote(alice, "bob", KEY)))


if __name__ == "__main__":
    asyncio.run(main())
