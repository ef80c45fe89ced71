"""One wire, reset again and again: how long until the next message is delivered, in round trips.

How it is measured. Each way through the proxy takes `ONE_WAY` seconds (connecting to it takes none). At a reset both
ends hear at once. The sender sends a message right then; the time from the reset to its arrival is counted. What must
pass: the WebSocket upgrade (1 round trip), HELLO and CHALLENGE (1), JOIN with the data behind it (half of one): 2.5.
Over TCP without a proxy the connection itself would be one more.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.integration.outproc_nodes import LOOPBACK, key_pair, node, proxy_to, until, url_of
from tests.prove.percentiles import percentile, summary

pytestmark = [pytest.mark.prove, pytest.mark.limit(120)]

RESETS = 150
ONE_WAY = 0.025
ROUND_TRIP = 2 * ONE_WAY
SLACK = 0.050
OPTIONS = {"stable_after": 0.01}


@pytest.mark.parametrize("seal", ["never", "always"])
async def test_resume_takes_its_round_trips_and_no_more(seal: str, capsys: pytest.CaptureFixture[str]) -> None:
    a_key, b_key = key_pair("a", "b")
    options = {**OPTIONS, "seal": seal}
    async with (
        node("b", listen=LOOPBACK, options=options, authenticator=b_key) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [url_of(proxy)]}, options=options, authenticator=a_key) as a,
    ):
        proxy.latency = ONE_WAY
        arrivals: list[float] = []

        async def receive() -> None:
            async for message in b.messages():
                assert message.number == len(arrivals)
                arrivals.append(time.perf_counter())

        receiving = asyncio.create_task(receive())
        await a.send("b", b"", confirm="received")
        took = []
        for number in range(1, RESETS + 1):
            proxy.reset(proxy.links[max(proxy.links)])
            begun = time.perf_counter()
            await a.send("b", b"%d" % number)
            await until(lambda: len(arrivals) > number, "it arrives")  # noqa: B023 - awaited in this round
            took.append(arrivals[-1] - begun)
            await a.drain("b")
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        heals = a.snapshot().dests[0].heals
    with capsys.disabled():
        figures = summary([seconds / ROUND_TRIP for seconds in took], "")
        print(f"\nseal={seal}: from the reset to the next delivery, in round trips of {ROUND_TRIP} s: {figures}")
    assert heals == RESETS
    assert percentile(took, 50) <= 3 * ROUND_TRIP
    assert percentile(took, 99) <= 3 * ROUND_TRIP + SLACK
