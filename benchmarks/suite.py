"""The benchmarks, by name. Each starts its own processes, one core each where the machine has two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from benchmarks.contest import Outcome, compare, interleaved
from benchmarks.forwarding import forward, forward_down
from benchmarks.pipes import pipe
from tests.prove.percentiles import median, percentile
from tests.prove.processes import Worker

FAR_CPU, NEAR_CPU = 0, 1
SMALL = 64
BULK = 1 << 20
SECONDS_PER_ROUND = 1.5
WEBRTC_ROUNDS = 5
PACED_LIMIT = 10_000
"""Microseconds that `send` of a durable message may take, 99 times of 100, at 1,000 messages a second."""
IDLE_DESTS = 10_000
IDLE_CROWD = 500
IDLE_LIMIT = 20_000
"""Bytes that an idle dest without wires may take."""


@asynccontextmanager
async def pair(module: str, **arguments: Any) -> AsyncIterator[tuple[Worker, Worker]]:
    """The two processes of a contestant, connected and ready, each on its own core, on uvloop."""
    async with Worker(f"{module}:far", loop="uvloop", cpu=FAR_CPU, **arguments) as far:
        url = far.ready["url"]
        async with Worker(f"{module}:near", loop="uvloop", cpu=NEAR_CPU, url=url, **arguments) as near:
            yield far, near


async def _rate(near: Worker, size: int, count: int) -> float:
    took: float = await near.control.call("one_way", count=count, size=size)
    return count / took


async def _count_for(near: Worker, size: int, first: int) -> int:
    """How many messages take about `SECONDS_PER_ROUND`."""
    return max(first, int(await _rate(near, size, first) * SECONDS_PER_ROUND))


async def one_way() -> Outcome:
    """64 bytes one way: `await send` against `async for messages()`, messages a second."""
    return await _rates("one_way", SMALL, 20_000, "messages/s", 1.0, at_least=15)


async def bulk() -> Outcome:
    """1 MiB messages one way, megabytes a second."""
    return await _rates("bulk", BULK, 20, "MB/s", BULK / 1e6)


async def _rates(
    name: str, size: int, first: int, unit: str, scale: float, *, at_least: float | None = None
) -> Outcome:
    async with pair("benchmarks.websockets_peer") as (_, bare), pair("benchmarks.litz_peer") as (_, litz):
        runs: dict[str, Callable[[], Awaitable[float]]] = {}
        for contestant, near in (("websockets", bare), ("litz", litz)):
            runs[contestant] = partial(_rate, near, size, await _count_for(near, size, first))
        rounds = await interleaved(runs)
    scaled = {contestant: [value * scale for value in values] for contestant, values in rounds.items()}
    return compare(name, unit, scaled, at_least=at_least)


async def webrtc() -> Outcome:
    """64 bytes one way over WebRTC, against a bare aiortc data channel."""
    return await _webrtc("webrtc", SMALL, 4_000, "messages/s", 1.0, at_least=40, best_of=(SMALL,))


async def webrtc_bulk() -> Outcome:
    """1 MiB messages one way over WebRTC, against the best message size of a bare aiortc data channel."""
    return await _webrtc(
        "webrtc_bulk", BULK, 4, "MB/s", BULK / 1e6, at_least=1, best_of=(16 << 10, 64 << 10, 256 << 10)
    )


async def wrtc_bulk() -> Outcome:
    """1 MiB messages one way over WebRTC on wrtc, against the best message size of a bare wrtc data channel."""
    return await _webrtc(
        "wrtc_bulk", BULK, 16, "MB/s", BULK / 1e6, engine="wrtc", at_least=0.9, best_of=(16 << 10, 64 << 10, 256 << 10)
    )


async def _webrtc(
    name: str,
    size: int,
    first: int,
    unit: str,
    scale: float,
    *,
    engine: str = "aiortc",
    at_least: float,
    best_of: tuple[int, ...],
) -> Outcome:
    async with _bare_pair(engine) as bare, pair("benchmarks.litz_webrtc_peer", engine=engine) as (_, litz):
        runs: dict[str, Callable[[], Awaitable[float]]] = {}
        for each in best_of:
            count = await _count_for(bare, each, first * size // each)
            runs[engine if each == size else f"{engine} {each >> 10} KiB"] = partial(
                _scaled, bare, each, count, each / size
            )
        runs["litz"] = partial(_rate, litz, size, await _count_for(litz, size, first))
        rounds = await interleaved(runs, WEBRTC_ROUNDS)
    scaled = {contestant: [value * scale for value in values] for contestant, values in rounds.items()}
    best = max((each for each in scaled if each != "litz"), key=lambda each: median(scaled[each]))
    return compare(name, unit, scaled, at_least=at_least, against=best, by_round=True)


async def _scaled(near: Worker, size: int, count: int, weight: float) -> float:
    return await _rate(near, size, count) * weight


@asynccontextmanager
async def _bare_pair(engine: str) -> AsyncIterator[Worker]:
    """The sender of a bare connection of this library: the offer goes in place of a URL, the answer comes back."""
    async with Worker(f"benchmarks.{engine}_peer:far", loop="uvloop", cpu=FAR_CPU) as far:
        url = far.ready["url"]
        async with Worker(f"benchmarks.{engine}_peer:near", loop="uvloop", cpu=NEAR_CPU, url=url) as near:
            await far.control.call("answered", sdp=near.ready["sdp"])
            yield near


async def webrtc_busy() -> Outcome:
    """A request and its answer while bulk fills a WebRTC wire, median microseconds, against the same on one channel."""
    return await _busy("webrtc_busy", "aiortc")


async def wrtc_busy() -> Outcome:
    """The same on wrtc."""
    return await _busy("wrtc_busy", "wrtc")


async def _busy(name: str, engine: str) -> Outcome:
    module = "benchmarks.busy_webrtc_peer"
    async with (
        pair(module, engine=engine, apart=False) as (_, shared),
        pair(module, engine=engine, apart=True) as (_, apart),
    ):

        async def run(near: Worker) -> float:
            took: list[float] = await near.control.call("echo", count=100, size=SMALL)
            return percentile(took, 50) * 1e6

        rounds = await interleaved({"one channel": partial(run, shared), "litz": partial(run, apart)})
    return compare(name, "us", rounds, against="one channel")


async def latency() -> Outcome:
    """64 bytes there and back, one at a time: median round trip in microseconds (p99 beside it)."""
    async with pair("benchmarks.websockets_peer") as (_, bare), pair("benchmarks.litz_peer") as (far, litz):
        await far.control.call("echo")
        tails: dict[str, list[float]] = {"websockets p99": [], "litz p99": []}

        async def run(contestant: str, near: Worker) -> float:
            took: list[float] = await near.control.call("echo", count=2000, size=SMALL)
            tails[f"{contestant} p99"].append(percentile(took, 99) * 1e6)
            return percentile(took, 50) * 1e6

        rounds = await interleaved({"websockets": partial(run, "websockets", bare), "litz": partial(run, "litz", litz)})
    outcome = compare("latency", "us", rounds)
    warm = {name: percentile(values[1:], 50) for name, values in tails.items()}
    return Outcome("latency", "us", {**outcome.values, **warm}, rounds, outcome.ratio)


async def durable() -> Outcome:
    """64-byte durable messages accepted a second, committed to disk, while another process takes and commits them;
    against a program that inserts and commits each with aiosqlite, and sends nothing."""
    bare_worker = Worker("benchmarks.aiosqlite_peer:near", loop="uvloop", cpu=FAR_CPU)
    async with bare_worker as bare, pair("benchmarks.durable_peer") as (_, litz):
        runs: dict[str, Callable[[], Awaitable[float]]] = {
            "aiosqlite": partial(_rate, bare, SMALL, await _count_for(bare, SMALL, 200)),
            "litz": partial(_rate, litz, SMALL, await _count_for(litz, SMALL, 20_000)),
        }
        rounds = await interleaved(runs)
    return compare("durable", "messages/s", rounds, at_least=20, against="aiosqlite")


async def durable_paced() -> Outcome:
    """How long `send` of a durable message takes at 1,000 messages a second: the 99th percentile in microseconds."""
    async with pair("benchmarks.durable_peer") as (_, litz):
        tails = []
        for number in range(4):
            took: list[float] = await litz.control.call("paced", rate=1_000, seconds=3, size=SMALL)
            if number:
                tails.append((percentile(took, 50) * 1e6, percentile(took, 99) * 1e6))
    p50, p99 = median([each for each, _ in tails]), median([each for _, each in tails])
    limit = f"at most {PACED_LIMIT:,} us"
    return Outcome("durable_paced", "us", {"p50": p50, "p99": p99}, limit=limit, ok=p99 <= PACED_LIMIT)


async def idle() -> Outcome:
    """Resident memory of one dest that has a session, no wire and nothing to do, in bytes."""
    async with Worker("benchmarks.idle_peer:keeper", loop="uvloop", cpu=FAR_CPU) as keeper:
        url = keeper.ready["url"]
        await _crowd(keeper, url, 0, IDLE_CROWD)  # not counted: arenas, caches, lazily imported code
        before = keeper.rss()
        for first in range(IDLE_CROWD, IDLE_CROWD + IDLE_DESTS, IDLE_CROWD):
            await _crowd(keeper, url, first, IDLE_CROWD)
        await keeper.control.call("collect")
        each = (keeper.rss() - before) / IDLE_DESTS
    limit = f"at most {IDLE_LIMIT:,} bytes"
    return Outcome("idle", "bytes/dest", {"litz": each}, limit=limit, ok=each <= IDLE_LIMIT)


async def _crowd(keeper: Worker, url: str, first: int, count: int) -> None:
    crowd = Worker("benchmarks.idle_peer:crowd", loop="uvloop", cpu=NEAR_CPU, url=url, first=first, count=count)
    async with crowd:
        await crowd.kill()
    async with asyncio.timeout(30):
        while (states := await keeper.control.call("states"))["detached"] < first + count:
            if sum(states.values()) < first + count:
                raise RuntimeError(f"dests were lost: {states}")
            await asyncio.sleep(0.05)


BENCHMARKS: dict[str, Callable[[], Awaitable[Outcome]]] = {
    "one_way": one_way,
    "bulk": bulk,
    "webrtc": webrtc,
    "webrtc_bulk": webrtc_bulk,
    "wrtc_bulk": wrtc_bulk,
    "webrtc_busy": webrtc_busy,
    "wrtc_busy": wrtc_busy,
    "latency": latency,
    "durable": durable,
    "durable_paced": durable_paced,
    "forward": forward,
    "forward_down": forward_down,
    "pipe": pipe,
    "idle": idle,
}
