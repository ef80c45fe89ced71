"""Bytes through `litz expose` and `litz forward`, next to the same bytes through two plain TCP relays of asyncio.

Every contestant is two processes that pass on what comes, one core each, between the same two ends, which have cores of
their own where the machine has four.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from benchmarks.contest import Outcome, compare, interleaved
from tests.integration.cli_process import Litz
from tests.prove.processes import Worker, pin

FAR_CPU, NEAR_CPU, SINK_CPU, SOURCE_CPU = 0, 1, 2, 3
AT_LEAST = 0.9
SIZE = 1 << 29
"""Bytes of one run: about half a second."""
ROUNDS = 11
"""Four processes that wake each other feel every other guest of the machine: single rounds differ by a half."""


@asynccontextmanager
async def relays(port: int, loop: str = "asyncio") -> AsyncIterator[int]:
    """Two chained relays that lead to `port`; where the first listens."""
    peer = "benchmarks.relay_peer:relay"
    async with (
        Worker(peer, loop=loop, cpu=FAR_CPU, port=port) as second,
        Worker(peer, loop=loop, cpu=NEAR_CPU, port=second.ready["port"]) as first,
    ):
        yield first.ready["port"]


@asynccontextmanager
async def litz_forward(port: int, folder: Path) -> AsyncIterator[int]:
    """`litz expose` of `port`, and `litz forward` to it; where that listens."""
    with Litz(folder, "expose", f"far:bytes=127.0.0.1:{port}", "--listen", "ws://127.0.0.1:0") as far:
        await asyncio.to_thread(far.hear, "is up at")
        with Litz(folder, "forward", "0=far:bytes") as near:
            found = await asyncio.to_thread(near.hear, r"127\.0\.0\.1:(\d+) leads to")
            await asyncio.to_thread(near.hear, "is up")
            pin(far.process.pid, FAR_CPU)
            pin(near.process.pid, NEAR_CPU)
            yield int(found[1])


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[dict[str, Callable[[str, int], Awaitable[float]]]]:
    """By contestant: moves so many bytes "u"p or "d"own, and returns megabytes a second."""
    peer = "benchmarks.relay_peer"
    async with (
        Worker(f"{peer}:far", cpu=SINK_CPU) as sink,
        Worker(f"{peer}:near", cpu=SOURCE_CPU) as source,
        relays(sink.ready["port"]) as plain,
        litz_forward(sink.ready["port"], folder) as ours,
    ):

        async def move(port: int, way: str, size: int) -> float:
            took: float = await source.control.call("move", port=port, way=way, size=size)
            return size / took / 1e6

        yield {"relays": partial(move, plain), "litz": partial(move, ours)}


async def forward(way: str = "u", size: int = SIZE) -> Outcome:
    """Bulk from the client of `litz forward` to the exposed service, megabytes a second."""
    with tempfile.TemporaryDirectory() as folder:
        async with both(Path(folder)) as contestants:
            rounds = await interleaved({name: partial(move, way, size) for name, move in contestants.items()}, ROUNDS)
    name = "forward" if way == "u" else "forward_down"
    return compare(name, "MB/s", rounds, at_least=AT_LEAST, against="relays", by_round=True)


async def forward_down() -> Outcome:
    """Bulk from the exposed service to the client of `litz forward`, megabytes a second."""
    return await forward("d")
