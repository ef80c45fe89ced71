"""A second event loop in a thread of its own, for tests of peers that live in different threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from inproc import InprocTransportManager
from litz import PayloadType

LANES = (PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE)


@contextmanager
def elsewhere(work: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """`work()` runs in a loop and thread of its own, and must end well."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
        assert not thread.is_alive(), "the other thread hangs"
    if failures:
        raise failures[0]


async def in_thread(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 60)


async def exchange(manager: InprocTransportManager, dest: str, count: int) -> None:
    """Send `count` messages on each lane and receive as many; check order and completeness."""

    async def flood(lane: PayloadType) -> None:
        for number in range(count):
            await manager.send(dest, number, payload_type=lane)

    got: dict[PayloadType, list[tuple[int, int]]] = {lane: [] for lane in LANES}
    async with asyncio.TaskGroup() as group:
        for lane in LANES:
            group.create_task(flood(lane))
        async for message in manager.messages():
            got[message.payload_type].append((message.number, message.data))
            if sum(map(len, got.values())) == count * len(LANES):
                break
    for lane in LANES:
        assert got[lane] == [(number, number) for number in range(count)], lane
