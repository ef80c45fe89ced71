"""Managers that reach each other only through a hub keep the manager contract: plain, with proved ids, over sockets and
on virtual time.

Covers `outproc.wires.relay.builder`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from random import Random

import pytest

from litz import TransportManager, WireBuilder
from litz.events import Event
from litz.snapshot import ManagerSnapshot
from litz.testing import SimLoop, SimNetwork, run_simulation
from litz.testing.manager_case import Check, MakeManagers
from litz.testing.manager_contract import MANAGER_CHECKS, VIRTUAL_TIME_CHECKS, check_manager
from outproc import OutprocTransportManager
from outproc.local_node import Environment
from outproc.relay_options import RelayOptions
from outproc.security import Authenticator, Ed25519Authenticator
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder
from outproc.wires.relay import RelayWireBuilder
from outproc.wires.websocket import WebSocketWireBuilder

Pair = tuple[TransportManager, TransportManager]
NAMES = ("hub", "a", "b")


def keys() -> dict[str, Authenticator | None]:
    """One for each, each of which trusts the others."""
    proofs = {name: Ed25519Authenticator(name.ljust(32, ".").encode()) for name in NAMES}
    for one in proofs.values():
        for name, other in proofs.items():
            one.ring.trust(name, other.public_key)
    return dict(proofs)


class ThroughHub(OutprocTransportManager):
    """The contract is about two nodes: the hub between them, a dest as well, is left out of what it sees."""

    def list_dests(self) -> list[str]:
        return [dest for dest in super().list_dests() if dest != "hub"]

    @property
    def dest_count(self) -> int:
        return super().dest_count - (self._entered is not None and self._entered.dests.get("hub") is not None)

    def snapshot(self) -> ManagerSnapshot:
        whole = super().snapshot()
        return replace(whole, dests=tuple(dest for dest in whole.dests if dest.dest != "hub"))

    def _current_events(self) -> list[Event]:
        return [event for event in super()._current_events() if getattr(event, "dest", "") != "hub"]

    async def close_all(self, *, reason: str = "") -> None:
        for dest in self.list_dests():
            await self.close_transport(dest, reason=reason)


@asynccontextmanager
async def met(
    builder: Callable[[str], WireBuilder],
    url: str,
    *,
    proofs: dict[str, Authenticator | None] | None = None,
    environment: Callable[[str], Environment | None] = lambda name: None,
) -> AsyncIterator[Pair]:
    """Two managers without a port of their own, and a hub that both dial."""
    proofs = proofs or dict.fromkeys(NAMES)
    where: dict[str, list[str]] = {"hub": []}

    def manager(name: str) -> OutprocTransportManager:
        serves = RelayOptions() if name == "hub" else None
        return (OutprocTransportManager if serves else ThroughHub)(
            name,
            directory=dict(where),
            authenticator=proofs[name],
            builders=[builder(name), RelayWireBuilder(via=None if serves else ["hub"])],
            environment=environment(name),
            relay=serves,
        )

    async with manager("hub") as hub:
        await hub.listen(url)
        where["hub"] = hub.endpoints
        async with manager("a") as a, manager("b") as b:
            for node in (a, b):
                await node.wait_connected("hub", timeout=120)
            yield a, b


def over_memory() -> AbstractAsyncContextManager[Pair]:
    network = MemoryNetwork()
    return met(lambda name: MemoryWireBuilder(network), "memory:hub")


def over_tcp() -> AbstractAsyncContextManager[Pair]:
    return met(lambda name: WebSocketWireBuilder(), "ws://127.0.0.1:0")


def over_tcp_sealed() -> AbstractAsyncContextManager[Pair]:
    return met(lambda name: WebSocketWireBuilder(), "ws://127.0.0.1:0", proofs=keys())


def checks(*, virtual: bool = False) -> pytest.MarkDecorator:
    known = VIRTUAL_TIME_CHECKS if virtual else MANAGER_CHECKS
    return pytest.mark.parametrize("check", known, ids=lambda check: check.__name__)


@checks()
@pytest.mark.parametrize("make_pair", [over_memory, over_tcp, over_tcp_sealed], ids=["memory", "tcp", "sealed"])
async def test_through_a_hub(make_pair: MakeManagers, check: Check) -> None:
    await check_manager(make_pair, check)


@checks(virtual=True)
@pytest.mark.parametrize("seed", range(2))
def test_on_virtual_time(check: Check, seed: int) -> None:
    async def main(loop: SimLoop) -> None:
        def make_pair() -> AbstractAsyncContextManager[Pair]:
            network = SimNetwork(loop, seed=seed)
            hosts = {name: network.host(name) for name in NAMES}

            def environment(name: str) -> Environment:
                rng = Random(f"{seed} {name}")
                return Environment(lambda: int(hosts[name].wall_time() * 1e9), rng.randbytes, rng)

            return met(
                lambda name: hosts[name].builder(max_frame=[4_096, 10_000, 64_000], secure=False),
                "sim://hub:1",
                proofs=keys(),
                environment=environment,
            )

        await check_manager(make_pair, check)

    run_simulation(main, seed=seed)
