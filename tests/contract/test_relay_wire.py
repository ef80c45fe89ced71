"""The relay wire keeps the contract of wires: three managers in memory, the middle one a hub.

Covers `outproc.wires.relay.wire`, `outproc.wires.relay.client` and `outproc.wires.relay.hub`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from litz.testing import SimLoop, run_simulation
from litz.testing.wire_contract import WIRE_CHECKS, WireCheck
from litz.wire import Endpoint, Wire
from outproc import OutprocTransportManager
from outproc.manager_port import ManagerPort
from outproc.relay_options import RelayOptions
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder
from outproc.wires.relay import RelayWireBuilder

checks = pytest.mark.parametrize("check", WIRE_CHECKS.values(), ids=list(WIRE_CHECKS))


@asynccontextmanager
async def make_pair() -> AsyncIterator[tuple[Wire, Wire]]:
    network = MemoryNetwork()
    where = {"hub": ["memory:hub"]}
    ends = {name: RelayWireBuilder(via=["hub"]) for name in ("alice", "bob")}
    hub = OutprocTransportManager(
        "hub", builders=[MemoryWireBuilder(network), RelayWireBuilder()], relay=RelayOptions()
    )
    alice, bob = (
        OutprocTransportManager(name, builders=[MemoryWireBuilder(network), end], directory=where)
        for name, end in ends.items()
    )
    accepted: asyncio.Queue[Wire] = asyncio.Queue()
    async with hub:
        await hub.listen("memory:hub")
        async with alice, bob:
            for node in (alice, bob):
                await node.wait_connected("hub", timeout=120)
            # What comes is for the check, not for bob's own reception.
            door = ends["bob"]._port
            assert isinstance(door, ManagerPort)
            door._accept = lambda wire, hub: accepted.put_nowait(wire)
            dialled = await ends["alice"].build("bob", Endpoint("relay", "relay:hub"))
            yield dialled, await accepted.get()


@checks
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_contract(check: WireCheck, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(check(make_pair))  # type: ignore[arg-type]  # every check is a coroutine function


@checks
def test_contract_in_simulated_time(check: WireCheck) -> None:
    async def main(loop: SimLoop) -> None:
        await check(make_pair)

    for seed in range(3):
        run_simulation(main, seed=seed)
