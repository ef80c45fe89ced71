"""The memory wire keeps the contract of wires, on real loops and in simulated time.

Covers `outproc.wires.memory`.
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
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder

checks = pytest.mark.parametrize("check", WIRE_CHECKS.values(), ids=list(WIRE_CHECKS))
BOB = Endpoint("memory", "memory:bob")


@asynccontextmanager
async def make_pair() -> AsyncIterator[tuple[Wire, Wire]]:
    network = MemoryNetwork()
    builder = MemoryWireBuilder(network)
    accepted: asyncio.Queue[Wire] = asyncio.Queue()
    listener = await builder.listen(BOB, accepted.put_nowait)
    dialled = await builder.build("bob", BOB)
    yield dialled, await accepted.get()
    await listener.aclose()
    assert not network.listeners


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


async def test_dialling_nobody_is_refused() -> None:
    with pytest.raises(ConnectionRefusedError, match="nobody listens at memory:bob"):
        await MemoryWireBuilder(MemoryNetwork()).build("bob", BOB)


async def test_a_name_is_taken_once_and_free_after_closing() -> None:
    network = MemoryNetwork()
    builder = MemoryWireBuilder(network)
    accepted: list[Wire] = []
    first = await builder.listen(BOB, accepted.append)
    with pytest.raises(OSError, match="somebody else listens"):
        await builder.listen(BOB, accepted.append)
    await first.aclose()
    await first.aclose()
    second = await builder.listen(BOB, accepted.append)
    await first.aclose()
    dialled = await builder.build("bob", BOB)
    await asyncio.sleep(0)
    assert len(accepted) == 1
    dialled.abort()
    await second.aclose()


async def test_the_network_chooses_names() -> None:
    network = MemoryNetwork()
    builder = MemoryWireBuilder(network)
    names = [
        (await builder.listen(Endpoint("memory", "memory:*"), lambda wire: None)).endpoints[0].address for _ in range(2)
    ]
    assert names == ["memory:1", "memory:2"]
