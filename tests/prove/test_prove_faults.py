"""Two processes, and a proxy that resets, blackholes, half-closes and cuts: a million messages each way, once each."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from tests.prove.processes import MemoryLog, Worker

pytestmark = pytest.mark.prove

COUNT = int(os.environ.get("LITZ_PROVE_MESSAGES", "1000000"))
OPTIONS: dict[str, Any] = {
    "ping_after": 0.3,
    "dead_after": 0.5,
    "handshake_timeout": 1.0,
    "dial_timeout": 2.0,
    "backoff_base": 0.02,
    "backoff_cap": 0.5,
}
PATIENCE = 300.0
"""Seconds without any news after which it hangs."""
WORKER = "tests.prove.manager_worker:serve"


async def finished(a: Worker, b: Worker, log: MemoryLog) -> list[tuple[float, int, int]]:
    """Wait until both have received everything. Returns (share received, memory of a, memory of b) over time."""
    samples: list[tuple[float, int, int]] = []
    last, moved = -1, time.monotonic()
    while True:
        await asyncio.sleep(0.5)
        states = [await worker.control.call("progress") for worker in (a, b)]
        assert [state["wrong"] for state in states] == [[], []]
        assert [state["ended"] for state in states] == [[], []]
        done = sum(sum(state["received"].values()) for state in states)
        samples.append((done / (2 * COUNT), log.samples[a][-1], log.samples[b][-1]))
        if done > last:
            last, moved = done, time.monotonic()
        assert time.monotonic() - moved < PATIENCE, f"nothing moves any more: {states} {await a.control.call('state')}"
        if done >= 2 * COUNT:
            return samples


def flat(samples: list[tuple[float, int, int]], who: int) -> tuple[float, float]:
    """Mean memory of the second and of the last quarter of the run (the first one is the warm-up)."""
    quarters = [[s[who] for s in samples if low <= s[0] < low + 0.25] for low in (0.25, 0.75)]
    means = [sum(quarter) / max(1, len(quarter)) for quarter in quarters]
    return means[0], means[1]


@pytest.mark.limit(1800)
async def test_a_million_messages_each_way_through_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    async with (
        Worker(WORKER, loop="uvloop", name="a", options=OPTIONS) as a,
        Worker(WORKER, loop="uvloop", name="b", options=OPTIONS) as b,
    ):
        (url,) = await b.control.call("where")
        port = int(url.rpartition(":")[2])
        async with Worker("tests.prove.proxy_worker:serve", host="127.0.0.1", port=port, seed=11) as proxy:
            host, through = await proxy.control.call("where")
            await a.control.call("hint", dest="b", urls=[f"ws://{host}:{through}"])
            for worker, other in ((a, "b"), (b, "a")):
                await worker.control.call("expect", sender=other, count=COUNT)
                await worker.control.call("consume")
            begun = time.monotonic()
            await a.control.call("send", dest="b", count=COUNT)
            await b.control.call("connected", dest="a")
            await b.control.call("send", dest="a", count=COUNT)
            await proxy.control.call("torment", seed=12)
            async with MemoryLog(a, b) as log:
                samples = await finished(a, b, log)
            took = time.monotonic() - begun
            await proxy.control.call("calm")
            for worker, other in ((a, "b"), (b, "a")):
                await worker.control.call("drain", dest=other, timeout=120)
            counts = await proxy.control.call("counts")
            state_a, state_b = await a.control.call("state"), await b.control.call("state")
            totals = [await worker.control.call("progress") for worker in (a, b)]
    received = [next(iter(total["received"].values())) for total in totals]
    size = sum(next(iter(total["bytes"].values())) for total in totals)
    there = state_a["dests"]["b"]
    with capsys.disabled():
        print(f"\n{received} messages, {size / 1e9:.2f} GB in {took:.0f} s; faults {counts}")
        print(f"a: {there}\nb: {state_b['dests']['a']}")
        for name, who in (("a", 1), ("b", 2)):
            early, late = flat(samples, who)
            print(f"memory of {name}: {early / 2**20:.0f} MiB in the 2nd quarter, {late / 2**20:.0f} MiB in the last")
    assert received == [COUNT, COUNT]
    assert size <= 4e9
    assert there["session"] == state_b["dests"]["a"]["session"] == 0
    assert there["heals"] >= min(20, COUNT // 10_000), "too few heals to prove anything"
    assert [total["ended"] for total in totals] == [[], []]
    for who in (1, 2):
        early, late = flat(samples, who)
        assert late <= early * 1.15 + (16 << 20), "memory grows"
