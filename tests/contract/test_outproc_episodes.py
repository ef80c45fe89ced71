"""Episodes between managers of two processes: over a wire in memory, over WebSockets, and on virtual time.

Covers `litz.testing.manager_episodes`, `litz.episode_publisher`, `litz.episode_subscriber`, `litz.episode_retrying`.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from random import Random

import pytest

from litz.testing import SimLoop, SimNetwork, run_simulation
from litz.testing.manager_case import Check, MakeManagers
from litz.testing.manager_contract import check_manager
from litz.testing.manager_episodes import EPISODE_CHECKS
from outproc.local_node import Environment
from tests.contract.test_outproc_manager import Pair, met, over_memory, over_tcp

checks = pytest.mark.parametrize("check", EPISODE_CHECKS, ids=lambda check: check.__name__)


@checks
@pytest.mark.parametrize("make_pair", [over_memory, over_tcp], ids=["memory", "tcp"])
async def test_on_real_wires(make_pair: MakeManagers, check: Check) -> None:
    await check_manager(make_pair, check)


@checks
def test_on_virtual_time(check: Check) -> None:
    async def main(loop: SimLoop) -> None:
        def make_pair() -> AbstractAsyncContextManager[Pair]:
            network = SimNetwork(loop, seed=1)
            hosts = [network.host(name) for name in "ab"]
            rngs = [Random(f"episodes {name}") for name in "ab"]
            return met(
                (hosts[0].builder(max_frame=[4_096, 64_000]), hosts[1].builder(max_frame=[4_096, 64_000])),
                lambda name: f"sim://{name}:1",
                environments=(
                    Environment(lambda: int(hosts[0].wall_time() * 1e9), rngs[0].randbytes, rngs[0]),
                    Environment(lambda: int(hosts[1].wall_time() * 1e9), rngs[1].randbytes, rngs[1]),
                ),
            )

        await check_manager(make_pair, check)

    run_simulation(main, seed=1, allow_timers=True)
