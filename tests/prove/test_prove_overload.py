"""Overload: a slow reader stops its sender and nobody else, and a frozen peer costs its sender what was configured."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.prove.processes import MemoryLog, Worker

pytestmark = pytest.mark.prove

WORKER = "tests.prove.manager_worker:serve"
COUNT = 60_000
MIB = 1 << 20
PATIENCE = 300.0
"""Seconds without any news after which it hangs."""


async def received(worker: Worker, sender: str) -> int:
    progress = await worker.control.call("progress")
    assert (progress["wrong"], progress["ended"]) == ([], [])
    return int(progress["received"][sender])


async def until_still(worker: Worker, dest: str, *, seconds: float = 8.0) -> int:
    """Wait until the worker's sending to `dest` has begun and makes no progress any more; return how far it came."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < seconds:
        await asyncio.sleep(0.1)
        sent = (await worker.control.call("progress"))["sent"][dest]
        if sent != last or not sent:
            last, since = sent, time.monotonic()
    return last


async def until_all(worker: Worker, sender: str, count: int) -> None:
    last, since = -1, time.monotonic()
    while (now := await received(worker, sender)) < count:
        if now != last:
            last, since = now, time.monotonic()
        assert time.monotonic() - since < PATIENCE, f"{sender} stands at {now} of {count}"
        await asyncio.sleep(0.1)


@pytest.mark.limit(1200)
async def test_a_slow_reader_stops_its_sender_and_nobody_else(capsys: pytest.CaptureFixture[str]) -> None:
    async with (
        Worker(WORKER, loop="uvloop", name="sender", options={}) as sender,
        Worker(WORKER, loop="uvloop", name="slow", options={}) as slow,
        Worker(WORKER, loop="uvloop", name="third", options={}) as third,
    ):
        for worker, name in ((slow, "slow"), (third, "third")):
            await sender.control.call("hint", dest=name, urls=await worker.control.call("where"))
            await worker.control.call("expect", sender="sender", count=COUNT)
            await sender.control.call("expect", sender=name, count=COUNT)
        await sender.control.call("consume")
        await third.control.call("consume")
        await sender.control.call("send", dest="slow", count=COUNT)
        await sender.control.call("connect", dest="third")
        blocked_at = await until_still(sender, "slow")
        assert 0 < blocked_at < COUNT, "the sender was not stopped"
        held = (await slow.control.call("state"))["inbox"]
        # The third peer's traffic both ways, and the other direction of the slow one, flow to their end.
        begun = time.monotonic()
        await sender.control.call("send", dest="third", count=COUNT)
        await third.control.call("send", dest="sender", count=COUNT)
        await slow.control.call("send", dest="sender", count=COUNT)
        await until_all(third, "sender", COUNT)
        await until_all(sender, "third", COUNT)
        await until_all(sender, "slow", COUNT)
        took = time.monotonic() - begun
        assert (await sender.control.call("progress"))["sent"]["slow"] == blocked_at, "the blocked one moved"
        await slow.control.call("consume")
        await until_all(slow, "sender", COUNT)
        dests = (await sender.control.call("state"))["dests"]
    with capsys.disabled():
        print(f"\nblocked after {blocked_at} messages, {held / MIB:.1f} MiB unread at the slow one; meanwhile")
        print(f"{3 * COUNT} messages of the others passed in {took:.1f} s; then the rest came, once and in order")
    assert [dest["heals"] for dest in dests.values()] == [0, 0]


@pytest.mark.limit(1200)
@pytest.mark.parametrize("size", [1024, 100_000])
async def test_a_frozen_peer_costs_what_was_configured(size: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The bound: `process_log_size`, with logs per lane as large, so that only it stops the sender."""
    bound = 128 * MIB
    options: dict[str, Any] = {
        "process_log_size": bound,
        "log_size": bound,
        "log_messages": 1 << 20,
        "window_messages": 1 << 20,
        "ping_after": 0.5,
        "dead_after": 0.5,
        "handshake_timeout": 1.0,
        "backoff_cap": 0.5,
    }
    async with (
        Worker(WORKER, loop="uvloop", name="a", options=options) as a,
        Worker(WORKER, loop="uvloop", name="b", options=options) as b,
    ):
        await a.control.call("hint", dest="b", urls=await b.control.call("where"))
        await b.control.call("swallow")
        await a.control.call("press", dest="b", size=1, seconds=0.2)
        await a.control.call("drain", dest="b", timeout=120)
        warm = (await b.control.call("state"))["dests"]["a"]["received"]
        b.freeze()
        async with MemoryLog(a) as log:
            pressed = await a.control.call("press", dest="b", size=size, seconds=30)
            logged = (await a.control.call("state"))["logged"]
        growth = log.growth(a)
        b.thaw()
        await a.control.call("drain", dest="b", timeout=120)
        await b.control.call("progress")
        state_a, state_b = await a.control.call("state"), await b.control.call("state")
    there, here = state_b["dests"]["a"], state_a["dests"]["b"]
    with capsys.disabled():
        print(f"\n{size} B: {pressed}; log {logged / MIB:.0f} MiB; resident memory grew by {growth / MIB:.0f} MiB,")
        print(f"{growth / bound:.2f} times the bound of {bound / MIB:.0f} MiB; then all came; {here}")
    assert pressed["refused"] > 100, "the bound was never met"
    assert logged <= bound + 3 * (64 << 10), "more than one unflushed batch per lane over the bound"
    assert growth <= 1.3 * bound
    assert there["received"] - warm == pressed["accepted"], "after SIGCONT not everything arrived, or more"
    assert there["session"] == 0
