"""A thousand half-open and a thousand wrong-key connections: gone at the handshake deadline, and a session beside them
keeps its round trip.

How it is measured. Server, client and strangers are three processes; the strangers have a core of their own, so that
what they cost the server is seen and not what they cost the machine. Round trips of requests over an existing session
are taken all the time, in windows that alternate: calm, strangers, calm, strangers, ... so that both see the same
machine; compared are the medians of the windows' p99. The strangers come from 200 addresses of the loopback net, spread
over each window.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.outproc_nodes import key_pair
from tests.prove.percentiles import median, percentile, summary
from tests.prove.processes import MemoryLog, Worker

pytestmark = pytest.mark.prove

WORKER = "tests.prove.manager_worker:serve"
DEADLINE = 5.0
WINDOWS = 5
EACH = 200
SPREAD = 8.0
"""Five windows of 200 of each sort, each spread over so many seconds."""


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
            calm: list[list[float]] = []
            loaded: list[list[float]] = []
            lived: dict[str, list[float]] = {"half_open": [], "wrong_key": []}
            async with MemoryLog(b) as log:
                for _ in range(WINDOWS):
                    calm.append(await a.control.call("ping", dest="b", seconds=SPREAD, gap=0.002))
                    pinging = asyncio.create_task(a.control.call("ping", dest="b", seconds=SPREAD, gap=0.002))
                    both = await asyncio.gather(
                        *(strangers.control.call(verb, count=EACH, seconds=SPREAD) for verb in lived)
                    )
                    loaded.append(await pinging)
                    for verb, lives in zip(lived, both, strict=True):
                        lived[verb] += lives
            after = await b.control.call("state")
            dests = (await a.control.call("state"))["dests"]
    normal, under = (median([percentile(window, 99) for window in windows]) for windows in (calm, loaded))
    with capsys.disabled():
        for name, windows in (("calm", calm), ("with strangers", loaded)):
            print(f"\nround trip {name}: {summary([trip for window in windows for trip in window])}", end="")
        print(f"\np99 with strangers is {under / normal:.2f} times the calm one")
        for verb, lives in lived.items():
            print(f"{verb} lived: {summary(lives)}")
        print(f"memory of the server grew by {log.growth(b) / 2**20:.0f} MiB; links {after['links']}")
    assert [len(lives) for lives in lived.values()] == [1000, 1000]
    assert max(lived["half_open"]) < DEADLINE * 1.2 + 1, "a half-open connection outlived the deadline"
    assert max(lived["wrong_key"]) < DEADLINE * 1.2 + 1
    assert (before["links"], after["links"]) == (1, 1)
    assert list(after["dests"]) == ["a"]
    assert (dests["b"]["heals"], dests["b"]["dials"]) == (0, [1]), "the session was disturbed"
    assert under < 2 * normal
