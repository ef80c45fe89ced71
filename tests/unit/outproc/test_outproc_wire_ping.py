"""Pings of single wires: each has its own answer, and what does not answer costs the others nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litz.errors import ConnectError
from litz.testing import SimLoop, SimNetwork, run_simulation
from outproc import OutprocTransportManager


def test_each_wire_answers_for_itself() -> None:
    async def main(loop: SimLoop) -> None:
        network = SimNetwork(loop)
        natures: dict[str, dict[str, Any]] = {"near": {}, "far": {"latency": 0.2, "route": "relay"}}
        both = [
            OutprocTransportManager(
                name,
                directory={"b": [f"{kind}://b:1" for kind in natures]} if name == "a" else {},
                builders=[network.host(name).builder(kind, **nature) for kind, nature in natures.items()],
            )
            for name in "ab"
        ]
        a, b = both
        async with a, b:
            for kind in natures:
                await b.listen(f"{kind}://b:1")
            with pytest.raises(ConnectError, match="no session with b"):
                await a.ping("b")
            await a.send("b", b"x", confirm="received")
            await asyncio.sleep(2.0)
            names = {each.wire: each.kind for each in a.snapshot().dests[0].wires}
            trips = {names[each.wire]: each.round_trip for each in await a.ping("b")}
            assert trips == {"near": pytest.approx(0.002), "far": pytest.approx(0.402)}
            next(each for each in network.connections if each.kind == "far").stall()
            trips = {names[each.wire]: each.round_trip for each in await a.ping("b", timeout=1.0)}
            assert trips == {"near": pytest.approx(0.002), "far": None}
            asking = asyncio.ensure_future(a.ping("b", timeout=60.0))
            await asyncio.sleep(0.1)
            next(each for each in network.connections if each.kind == "far").reset()
            far = next(each.round_trip for each in await asking if names[each.wire] == "far")
            assert far is None

    run_simulation(main, seed=1)
