"""One wire, reset again and again: how long until the next message is delivered, in round trips.

How it is measured. Each way through the proxy takes `ONE_WAY` seconds (connecting to it takes none). At a reset both
ends hear at once. The sender sends a message right then; the time from the reset to its arrival is counted, less what
the kernel says that this process, which is both ends and the proxy, waited for a processor meanwhile. What must pass:
the WebSocket upgrade (1 round trip), HELLO and CHALLENGE (1), JOIN with the data behind it (half of one): 2.5. Over TCP
without a proxy the connection itself would be one more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import pytest

from outproc import pool
from tests.integration.outproc_nodes import LOOPBACK, key_pair, node, proxy_to, until, url_of
from tests.prove.percentiles import percentile, summary
from tests.prove.processor import ProcessorWait
from tests.prove.rounds import all_of, judged_together, over

pytestmark = [pytest.mark.prove, pytest.mark.limit(600)]

RESETS = 100
ONE_WAY = 0.05
"""Long enough that what processors take is little of a round trip, on slow ones too."""
ROUND_TRIP = 2 * ONE_WAY
LEAST = 2.5 * ROUND_TRIP
SLACK = 0.050
OPTIONS = {"stable_after": 0.01}


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here wires break more often in a row than they are dialled at once: the pool's own tests have the rest."""
    monkeypatch.setattr(pool, "AT_ONCE", 10_000)


@pytest.fixture
def wait() -> Iterator[ProcessorWait]:
    with ProcessorWait() as opened:
        yield opened


@pytest.mark.parametrize("seal", ["never", "always"])
async def test_resume_takes_its_round_trips_and_no_more(
    seal: str, wait: ProcessorWait, capsys: pytest.CaptureFixture[str]
) -> None:
    def complaint(rounds: Sequence[list[float]]) -> str:
        took = [each for found in rounds for each in found]
        return all_of(
            over("p50", percentile(took, 50), 3 * ROUND_TRIP),
            over("p99", percentile(took, 99), 3 * ROUND_TRIP + SLACK),
        )

    await judged_together(lambda _: resets(seal, wait, capsys), complaint)


async def resets(seal: str, wait: ProcessorWait, capsys: pytest.CaptureFixture[str]) -> list[float]:
    """How long it took after each."""
    a_key, b_key = key_pair("a", "b")
    options = {**OPTIONS, "seal": seal}
    async with (
        node("b", listen=LOOPBACK, options=options, authenticator=b_key) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [url_of(proxy)]}, options=options, authenticator=a_key) as a,
    ):
        proxy.latency = ONE_WAY
        arrivals: list[tuple[float, float]] = []

        async def receive() -> None:
            async for message in b.messages():
                assert message.number == len(arrivals)
                arrivals.append((time.perf_counter(), wait.seconds))

        receiving = asyncio.create_task(receive())
        await a.send("b", b"", confirm="received")
        took, raw = [], []
        for number in range(1, RESETS + 1):
            proxy.reset(proxy.links[max(proxy.links)])
            begun, waited = time.perf_counter(), wait.seconds
            await a.send("b", b"%d" % number)
            await until(lambda: len(arrivals) > number, "it arrives")  # noqa: B023 - awaited in this round
            raw.append(arrivals[-1][0] - begun)
            # What it waited while nothing was due, because all was on its way, did no harm: never below the least.
            took.append(max(raw[-1] - (arrivals[-1][1] - waited), min(raw[-1], LEAST)))
            await a.drain("b")
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        heals = a.snapshot().dests[0].heals
    with capsys.disabled():
        figures = summary([seconds / ROUND_TRIP for seconds in took], "")
        print(f"\nseal={seal}: from the reset to the next delivery, in round trips of {ROUND_TRIP} s: {figures}")
        print(
            f"with the time in which the process waited for a processor: {summary([t / ROUND_TRIP for t in raw], '')}"
        )
    assert heals == RESETS
    return took
