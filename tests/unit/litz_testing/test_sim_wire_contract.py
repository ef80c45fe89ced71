"""The simulated wires keep the contract of wires on a calm network, of every shape.

Covers `litz.testing.sim_wire`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from litz.testing import Link, SimLoop, SimNetwork, run_simulation
from litz.testing.recording import MakePair
from litz.testing.wire_contract import WIRE_CHECKS, WireCheck
from litz.wire import Wire

SHAPES: dict[str, tuple[Link, dict[str, Any]]] = {
    "instant": (Link(latency=0.0), {}),
    "jitter": (Link(latency=0.01, jitter=0.02), {}),
    "narrow": (Link(latency=0.01, bandwidth=5e6, system_buffer=8 * 1024), {}),
    "tiny frames": (Link(latency=0.005, jitter=0.005), {"max_frame": 64}),
    "urgent": (Link(latency=0.01, jitter=0.02), {"urgent": True}),
    "unordered": (Link(latency=0.01, jitter=0.02, reorder=0.2), {"ordered": False, "max_frame": 1200}),
    "lossy": (
        Link(latency=0.01, jitter=0.02, drop=0.05, duplicate=0.05, reorder=0.1),
        {"ordered": False, "reliable": False, "max_frame": 1200},
    ),
}


def pair_maker(seed: int, link: Link, options: dict[str, Any]) -> MakePair:
    @asynccontextmanager
    async def make_pair() -> AsyncIterator[tuple[Wire, Wire]]:
        network = SimNetwork(asyncio.get_running_loop(), seed=seed, link=link)
        dialler = network.host("a").builder(**options)
        acceptor = network.host("b").builder(**options)
        accepted: asyncio.Queue[Wire] = asyncio.Queue()
        listener = await acceptor.listen(acceptor.endpoint("b"), accepted.put_nowait)
        dialled = await dialler.build("b", listener.endpoints[0])
        yield dialled, await accepted.get()
        await listener.aclose()
        assert network.connections == []

    return make_pair


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("check", WIRE_CHECKS.values(), ids=list(WIRE_CHECKS))
def test_contract(check: WireCheck, shape: str) -> None:
    link, options = SHAPES[shape]
    for seed in range(3):

        async def main(loop: SimLoop, seed: int = seed) -> None:
            await check(pair_maker(seed, link, options))

        run_simulation(main, seed=seed)


@pytest.mark.parametrize("check", ["order_both_ways", "close_flushes", "abort"])
async def test_contract_on_a_real_loop(check: str) -> None:
    await WIRE_CHECKS[check](pair_maker(1, Link(latency=0.0), {}))
