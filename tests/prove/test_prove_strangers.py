"""A thousand half-open and a thousand wrong-key connections: gone at the handshake deadline, and a session beside them
keeps its round trip.

How it is measured. Server, client and strangers are three processes; the strangers have a core of their own, so that
what they cost the server is seen and not what they cost the machine. Round trips of requests over an existing session
are taken all the time, in windows that alternate: calm, strangers, calm, strangers, ... so that both see the same
machine; compared are the medians of the windows' p99, of up to three rounds together. The strangers come from 200
addresses of the loopback net, spread over each window.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.integration.outproc_nodes import key_pair
from tests.prove.percentiles import median, percentile, summary
from tests.prove.processes import MemoryLog, Worker
from tests.prove.rounds import judged_together, over

pytestmark = pytest.mark.prove

WORKER = "tests.prove.manager_worker:serve"
DEADLINE = 5.0
WINDOWS = 5
EACH = 200
SPREAD = 8.0
"""Five windows of 200 of each sort, each spread over so many seconds."""

Windows = tuple[list[list[float]], list[list[float]]]
"""Calm ones and loaded ones: of each the round trips that were measured in it."""


def identity(name: str, other: str) -> dict[str, Any]:
    proofs = dict(zip((name, other), key_pair(name, other), strict=True))
    key = name.encode().ljust(32, b".").hex()
    return {"name": name, "key": key, "trusted": {other: proofs[other].public_key.hex()}}


@pytest.mark.limit(600)
async def test_strangers_are_gone_and_nobody_waits_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    options = {"handshake_timeout": DEADLINE}
    async with (
        Worker(WORKER, loop="uvloop", cpu=0, options=options, **identity("b", "a")) as b,
        Worker(WORKER, loop="uvloop", cpu=0, options=options, **identity("a", "b")) as a,
    ):
        (url,) = await b.control.call("where")
        await a.control.call("hint", dest="b", urls=[url])
        await b.control.call("answer")
        await a.control.call("connect", dest="b")
        port = int(url.rpartition(":")[2])
        async with Worker("tests.prove.stranger_worker:serve", cpu=1, port=port, dest="b") as strangers:
            await a.control.call("ping", dest="b", seconds=1, gap=0.001)  # warm
            before = await b.control.call("state")
            lived: dict[str, list[float]] = {"half_open": [], "wrong_key": []}

            async def measure(number: int) -> Windows:
                """Calm windows and loaded ones, in turn."""
                windows: Windows = ([], [])
                for _ in range(WINDOWS):
                    windows[0].append(await a.control.call("ping", dest="b", seconds=SPREAD, gap=0.002))
                    pinging = asyncio.create_task(a.control.call("ping", dest="b", seconds=SPREAD, gap=0.002))
                    both = await asyncio.gather(
                        *(strangers.control.call(verb, count=EACH, seconds=SPREAD) for verb in lived)
                    )
                    windows[1].append(await pinging)
                    for verb, lives in zip(lived, both, strict=True):
                        lived[verb] += lives
                with capsys.disabled():
                    for name, each in zip(("calm", "with strangers"), windows, strict=True):
                        print(f"\nround trip {name}: {summary([trip for window in each for trip in window])}", end="")
                return windows

            def complaint(rounds: Sequence[Windows]) -> str:
                calm, under = (
                    median([percentile(window, 99) for each in rounds for window in each[which]]) for which in (0, 1)
                )
                with capsys.disabled():
                    print(f"\np99 with strangers is {under / calm:.2f} times the calm one", end="")
                return over("p99 with strangers", under, 2 * calm)

            async with MemoryLog(b) as log:
                await judged_together(measure, complaint)
            after = await b.control.call("state")
            dests = (await a.control.call("state"))["dests"]
    with capsys.disabled():
        for verb, lives in lived.items():
            print(f"\n{verb} lived: {summary(lives)}", end="")
        print(f"\nmemory of the server grew by {log.growth(b) / 2**20:.0f} MiB; links {after['links']}")
    assert len(lived["half_open"]) == len(lived["wrong_key"])
    assert len(lived["half_open"]) in {1000, 2000, 3000}, "a thousand of each sort in a round"
    assert max(lived["half_open"]) < DEADLINE * 1.2 + 1, "a half-open connection outlived the deadline"
    assert max(lived["wrong_key"]) < DEADLINE * 1.2 + 1
    assert (before["links"], after["links"]) == (1, 1)
    assert list(after["dests"]) == ["a"]
    assert (dests["b"]["heals"], dests["b"]["dials"]) == (0, [1]), "the session was disturbed"
