"""The manager across processes keeps the contract of streams: over memory, TCP and Unix sockets, and on virtual time.

Covers `outproc.streams.streams`, `outproc.streams.session_streams` and `outproc.streams.side` under the public verbs.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from random import Random

import pytest

from litz.testing import SimLoop, SimNetwork, run_simulation
from litz.testing.manager_case import Check, MakeManagers
from litz.testing.manager_contract import check_manager
from outproc.local_node import Environment
from tests.contract.stream_checks import ALL_STREAM_CHECKS, VIRTUAL_STREAM_CHECKS
from tests.contract.test_outproc_manager import Pair, met, over_memory, over_tcp, over_tcp_sealed, over_unix


@pytest.mark.parametrize("check", ALL_STREAM_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "make_pair",
    [
        pytest.param(over_memory, id="memory"),
        pytest.param(over_tcp, id="tcp"),
        pytest.param(over_tcp_sealed, id="sealed", marks=pytest.mark.prove),
        pytest.param(over_unix, id="unix", marks=pytest.mark.prove),
    ],
)
async def test_over_every_wire(make_pair: MakeManagers, check: Check) -> None:
    await check_manager(make_pair, check)


@pytest.mark.parametrize("check", VIRTUAL_STREAM_CHECKS, ids=lambda check: check.__name__)
def test_on_virtual_time(check: Check) -> None:
    """Small frames and latency that varies, so that entries are cut."""

    async def main(loop: SimLoop) -> None:
        def make_pair() -> AbstractAsyncContextManager[Pair]:
            network = SimNetwork(loop, seed=7)
            hosts = [network.host(name) for name in "ab"]
            builders = [host.builder(max_frame=[4_096, 10_000, 64_000]) for host in hosts]

            def environment(index: int) -> Environment:
                rng = Random(f"streams {index}")
                return Environment(lambda: int(hosts[index].wall_time() * 1e9), rng.randbytes, rng)

            return met(
                (builders[0], builders[1]),
                lambda name: f"sim://{name}:1",
                environments=(environment(0), environment(1)),
            )

        await check_manager(make_pair, check)

    run_simulation(main, seed=7)
