"""A subscription to another node (`litz.episode_subscriber`): what its user can do while a step waits."""

from __future__ import annotations

import asyncio

import pytest

from inproc import Hub, InprocTransportManager
from litz.episode_messages import SERVICE
from litz.episode_subscriber import subscribe_remote
from litz.episodes import BufferClosedError, EpisodeKey
from litz.stream import Stream


async def test_who_leaves_does_not_wait_for_a_publisher_that_does_not_answer() -> None:
    """It was held until the open timed out, 30 s later."""

    async def never(stream: Stream) -> None:
        raise AssertionError("not started")

    hub = Hub()
    async with InprocTransportManager("alice", hub) as alice, InprocTransportManager("bob", hub) as bob:
        listener = bob.listen_streams(SERVICE, never, start=False)
        parts = subscribe_remote(alice, "bob", EpisodeKey("answer"))
        step = asyncio.get_running_loop().create_task(anext(parts))
        async with asyncio.timeout(60):
            while not listener.waiting:  # noqa: ASYNC110 - until the publisher has been asked
                await asyncio.sleep(0)
        parts.cancel()
        parts.cancel()
        async with asyncio.timeout(20):
            with pytest.raises(BufferClosedError):
                await step
            while listener.waiting:  # noqa: ASYNC110 - until it knows that nobody asks any more
                await asyncio.sleep(0)
        await listener.stop("abort")
