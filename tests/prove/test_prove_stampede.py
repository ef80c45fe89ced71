"""A server with two thousand clients is killed and started again: all are back soon, and dial little for it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.prove.processes import Worker

pytestmark = [pytest.mark.prove, pytest.mark.limit(300)]

SERVER = "tests.prove.stampede_worker:server"
CLIENTS = "tests.prove.stampede_worker:clients"
PROCESSES = 4
COUNT = 2_000
WITHIN = 30.0
DIALS = 1.1
BUCKET = 0.25
REACHED_NOBODY = ("nobody listened", "reset while it was killed")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def states(clients: list[Worker]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = await asyncio.gather(*(each.control.call("state") for each in clients))
    return told


def dials_in(told: list[dict[str, Any]]) -> int:
    return sum(sum(each["dials"]) for each in told)


def causes_in(told: list[dict[str, Any]]) -> Counter[str]:
    causes: Counter[str] = Counter()
    for each in told:
        causes.update(each["causes"])
    return causes


def curve(came: list[float], begin: float) -> list[int]:
    """How many came in each quarter of a second."""
    buckets = Counter(int((when - begin) / BUCKET) for when in came)
    return [buckets[number] for number in range(max(buckets) + 1)]


async def test_two_thousand_clients_of_a_restarted_server(capsys: pytest.CaptureFixture[str]) -> None:
    """Dials that nobody answered cost the server nothing and are told apart: while it is down each client goes on in
    its backoff. Of those that reach it, at most 1.1 for each client."""
    port = free_port()
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(Worker(SERVER, port=port, options={}))
        share = COUNT // PROCESSES
        clients = [
            await stack.enter_async_context(
                Worker(CLIENTS, url=f"ws://127.0.0.1:{port}", first=number * share, count=share, options={})
            )
            for number in range(PROCESSES)
        ]
        await asyncio.gather(*(each.control.call("connect_all") for each in clients))
        assert await old.control.call("connected") == COUNT
        before = await states(clients)
        killed = time.monotonic()
        await old.kill()
        new = await stack.enter_async_context(Worker(SERVER, port=port, options={}))
        listening = float(new.ready["listening"])
        while (connected := await new.control.call("connected")) < COUNT:
            assert time.monotonic() - killed < 4 * WITHIN, f"{connected} of {COUNT} are back"
            await asyncio.sleep(0.1)
        back = time.monotonic()
        came = await new.control.call("came")
        after = await states(clients)
    dials = dials_in(after) - dials_in(before)
    causes = causes_in(after) - causes_in(before)
    in_vain = sum(causes[each] for each in REACHED_NOBODY)
    with capsys.disabled():
        print(f"\n{COUNT} clients in {PROCESSES} processes; the server was gone for {listening - killed:.2f} s")
        print(f"all back {back - killed:.2f} s after the kill, {back - listening:.2f} s after it listened again")
        print(f"dials for each client: {dials / COUNT:.3f}, of which {in_vain / COUNT:.3f} found nobody listening and")
        print(f"{(dials - in_vain) / COUNT:.3f} reached the server; why dials failed: {dict(causes)}")
        print(f"accepted in each {BUCKET} s since it listened: {curve(came, listening)}")
    assert back - killed <= WITHIN
    assert (dials - in_vain) / COUNT <= DIALS
