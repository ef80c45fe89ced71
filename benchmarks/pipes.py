"""Bytes through one pipe between two processes, next to the same bytes through one plain TCP relay of asyncio."""

from __future__ import annotations

from benchmarks.contest import Outcome, compare, interleaved
from tests.prove.processes import Worker

FAR_CPU, NEAR_CPU, RELAY_CPU = 0, 1, 2
SIZE = 1 << 28
"""Bytes of one run."""


async def pipe(size: int = SIZE) -> Outcome:
    """One pipe over a WebSocket on loopback, StreamWriter to StreamReader, megabytes a second. The relay is a process
    of its own between two others; litz has only the two."""
    ends = "benchmarks.pipe_peer"
    async with (
        Worker(f"{ends}:far", cpu=FAR_CPU) as far,
        Worker(f"{ends}:near", cpu=NEAR_CPU, url=far.ready["url"]) as near,
        Worker("benchmarks.relay_peer:relay", cpu=RELAY_CPU, port=far.ready["port"]) as relay,
    ):

        async def litz() -> float:
            took: float = await near.control.call("pipe", size=size)
            return size / took / 1e6

        async def plain() -> float:
            took: float = await near.control.call("tcp", port=relay.ready["port"], size=size)
            return size / took / 1e6

        rounds = await interleaved({"litz": litz, "relay": plain})
    return compare("pipe", "MB/s", rounds, against="relay", by_round=True)
