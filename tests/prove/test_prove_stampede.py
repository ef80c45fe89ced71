"""A server with two thousand clients is killed and started again: all are back soon, and dial little for it.

How it is measured. Two thousand machines have one machine's processors here, so how slow it is for that is measured
first: clients that come one after the other, so that nobody waits in vain, take so many times longer than the server's
own work for them takes (`IN_ORDER`). From then on the clocks of all processes go as slowly, those of the proof too.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.prove.processes import Worker
from tests.prove.rounds import all_of, judged_together, most_complain, over

pytestmark = [pytest.mark.prove, pytest.mark.limit(1800)]

SERVER = "tests.prove.stampede_worker:server"
CLIENTS = "tests.prove.stampede_worker:clients"
PROCESSES = 4
COUNT = 2_000
WITHIN = 30.0
IN_ORDER = 6.0
"""Seconds of a processor that the server needs for all clients, about."""
GONE = 3.0
"""Seconds in which nobody listens."""
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


def curve(came: list[float], begin: float, slowness: float) -> list[int]:
    """How many came in each quarter of a second."""
    buckets = Counter(int((when - begin) / slowness / BUCKET) for when in came)
    return [buckets[number] for number in range(max(buckets) + 1)]


async def test_two_thousand_clients_of_a_restarted_server(capsys: pytest.CaptureFixture[str]) -> None:
    """Dials that nobody answered cost the server nothing and are told apart: while it is down each client goes on in
    its backoff. Of those that reach it, at most 1.1 for each client."""
    await judged_together(lambda _: stampede(capsys), most_complain)


async def stampede(capsys: pytest.CaptureFixture[str]) -> str:
    """Returns what is to be complained of."""
    port = free_port()
    share = COUNT // PROCESSES
    url = f"ws://127.0.0.1:{port}"
    async with AsyncExitStack() as stack:

        async def started(target: str, **parameters: Any) -> Worker:
            return await stack.enter_async_context(Worker(target, loop="slow_clock", options={}, **parameters))

        old, new = [await started(SERVER, port=port) for _ in range(2)]
        clients = [await started(CLIENTS, url=url, first=at * share, count=share) for at in range(PROCESSES)]
        await old.control.call("listen")
        began = time.monotonic()
        await asyncio.gather(*(each.control.call("connect_all") for each in clients))
        assert await old.control.call("connected") == COUNT
        slowness = max(1.0, (time.monotonic() - began) / IN_ORDER)
        for each in (new, *clients):
            await each.control.call("slow", slowness=slowness)
        before = await states(clients)
        killed = time.monotonic()
        await old.kill()
        await asyncio.sleep(GONE * slowness)
        listening = float(await new.control.call("listen"))
        while (connected := await new.control.call("connected")) < COUNT:
            assert time.monotonic() - killed < 4 * WITHIN * slowness, f"{connected} of {COUNT} are back"
            await asyncio.sleep(0.1)
        back = (time.monotonic() - killed) / slowness
        came = await new.control.call("came")
        after = await states(clients)
    gone = (listening - killed) / slowness
    dials = dials_in(after) - dials_in(before)
    causes = causes_in(after) - causes_in(before)
    in_vain = sum(causes[each] for each in REACHED_NOBODY)
    reached = (dials - in_vain) / COUNT
    with capsys.disabled():
        print(f"\n{COUNT} clients in {PROCESSES} processes; clocks {slowness:.2f} times slower")
        print(f"all back {back:.2f} s after the kill, {back - gone:.2f} s after the server listened again")
        print(f"dials for each client: {dials / COUNT:.3f}, of which {in_vain / COUNT:.3f} found nobody listening and")
        print(f"{reached:.3f} reached the server; why dials failed: {dict(causes)}")
        print(f"accepted in each {BUCKET} s since it listened: {curve(came, listening, slowness)}")
    return all_of(
        over("all back", back, WITHIN),
        f"{reached:.3f} dials of each client reached the server" if reached > DIALS else "",
    )
