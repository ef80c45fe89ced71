"""Pipelines over the streams of both managers: `litz.testing.manager_pipelines`, `litz.pipeline.line`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import pytest

from inproc import Hub, InprocTransportManager
from litz import TransportManager
from litz.testing import SimLoop, SimNetwork
from litz.testing.manager_case import Check
from litz.testing.manager_contract import check_manager
from litz.testing.manager_pipelines import PIPELINE_CHECKS
from litz.testing.simulation import run_simulation
from outproc.local_node import Environment
from tests.contract.test_outproc_manager import Pair, met, over_tcp


@asynccontextmanager
async def in_process() -> AsyncIterator[tuple[TransportManager, TransportManager]]:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        yield a, b


@pytest.mark.parametrize("check", PIPELINE_CHECKS, ids=lambda check: check.__name__)
def test_in_process_on_virtual_time(check: Check) -> None:
    run_simulation(lambda loop: check_manager(in_process, check), seed=7, allow_timers=True)


@pytest.mark.parametrize("check", PIPELINE_CHECKS, ids=lambda check: check.__name__)
async def test_in_process(check: Check) -> None:
    await check_manager(in_process, check)


@pytest.mark.parametrize("check", PIPELINE_CHECKS, ids=lambda check: check.__name__)
async def test_between_nodes(check: Check) -> None:
    await check_manager(over_tcp, check)


@pytest.mark.parametrize("check", PIPELINE_CHECKS, ids=lambda check: check.__name__)
def test_between_nodes_on_virtual_time(check: Check) -> None:
    """Small frames and latency that varies."""

    async def main(loop: SimLoop) -> None:
        def make_pair() -> AbstractAsyncContextManager[Pair]:
            network = SimNetwork(loop, seed=7)
            hosts = [network.host(name) for name in "ab"]
            builders = [host.builder(max_frame=[4_096, 10_000, 64_000]) for host in hosts]

            def environment(index: int) -> Environment:
                rng = Random(f"pipelines {index}")
                return Environment(lambda: int(hosts[index].wall_time() * 1e9), rng.randbytes, rng)

            return met(
                (builders[0], builders[1]),
                lambda name: f"sim://{name}:1",
                environments=(environment(0), environment(1)),
            )

        await check_manager(make_pair, check)

    run_simulation(main, seed=7)
