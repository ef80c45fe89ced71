"""The manager across processes keeps the manager contract: over every kind of wire, with and without proof of ids.

Covers `outproc.manager` and `outproc.requesting`.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Any

import pytest

from litz import TransportManager, WireBuilder
from litz.testing import SimLoop, SimNetwork, run_simulation
from litz.testing.manager_case import Check, MakeManagers
from litz.testing.manager_contract import MANAGER_CHECKS, VIRTUAL_TIME_CHECKS, check_manager
from outproc import OutprocTransportManager, TransportOptions
from outproc.local_node import Environment
from outproc.security import Authenticator, Ed25519Authenticator, SharedKeyAuthenticator
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder
from outproc.wires.websocket import WebSocketWireBuilder
from tests.unit.outproc_websocket.certificates import client_context, server_context

Pair = tuple[TransportManager, TransportManager]


class Known:
    """A directory that learns where the managers listen."""

    def __init__(self, where: dict[str, list[str]]) -> None:
        self._where = where

    async def look_up(self, dest: str) -> Sequence[str]:
        return self._where.get(dest, ())


@asynccontextmanager
async def met(
    builders: tuple[WireBuilder, WireBuilder],
    url: Callable[[str], str],
    *,
    proofs: tuple[Authenticator | None, Authenticator | None] = (None, None),
    environments: tuple[Environment | None, Environment | None] = (None, None),
    options: TransportOptions | None = None,
    **listening: Any,
) -> AsyncIterator[Pair]:
    """Two managers that listen and know each other's endpoint."""
    where: dict[str, list[str]] = {}
    managers = [
        OutprocTransportManager(
            name,
            directory=Known(where),
            authenticator=proof,
            builders=[builder],
            environment=environment,
            options=options,
        )
        for name, proof, builder, environment in zip("ab", proofs, builders, environments, strict=True)
    ]
    a, b = managers
    async with a, b:
        for node in (a, b):
            await node.listen(url(node.local_id), **listening)
            where[node.local_id] = node.endpoints
        yield a, b


def ed25519() -> tuple[Authenticator, Authenticator]:
    a, b = Ed25519Authenticator(b"a" * 32), Ed25519Authenticator(b"b" * 32)
    a.ring.trust("b", b.public_key)
    b.ring.trust("a", a.public_key)
    return a, b


def shared() -> tuple[Authenticator, Authenticator]:
    return SharedKeyAuthenticator(b"s" * 32), SharedKeyAuthenticator(b"s" * 32)


def over_memory() -> AbstractAsyncContextManager[Pair]:
    network = MemoryNetwork()
    return met((MemoryWireBuilder(network), MemoryWireBuilder(network)), "memory:{}".format)


def over_tcp() -> AbstractAsyncContextManager[Pair]:
    return met((WebSocketWireBuilder(), WebSocketWireBuilder()), lambda name: "ws://127.0.0.1:0")


def over_tls_with_keys() -> AbstractAsyncContextManager[Pair]:
    builders = WebSocketWireBuilder(ssl=client_context()), WebSocketWireBuilder(ssl=client_context())
    return met(builders, lambda name: "wss://127.0.0.1:0", proofs=ed25519(), ssl=server_context())


def over_tcp_with_keys() -> AbstractAsyncContextManager[Pair]:
    builders = WebSocketWireBuilder(), WebSocketWireBuilder()
    return met(builders, lambda name: "ws://127.0.0.1:0", proofs=ed25519())


def over_tcp_sealed() -> AbstractAsyncContextManager[Pair]:
    builders = WebSocketWireBuilder(), WebSocketWireBuilder()
    options = TransportOptions(seal="always")
    return met(builders, lambda name: "ws://127.0.0.1:0", proofs=shared(), options=options)


@asynccontextmanager
async def over_unix() -> AsyncIterator[Pair]:
    with tempfile.TemporaryDirectory() as folder:
        builders = WebSocketWireBuilder(), WebSocketWireBuilder()
        async with met(builders, lambda name: f"unix:{folder}/{name}") as pair:
            yield pair


def over_sim(loop: SimLoop, seed: int, *, sealed: bool = False) -> AbstractAsyncContextManager[Pair]:
    """Small frames and latency that varies, so that batches and entries are cut and frames of several wires overlap."""
    network = SimNetwork(loop, seed=seed)
    hosts = [network.host(name) for name in "ab"]
    builders = [host.builder(max_frame=[4_096, 10_000, 64_000], secure=not sealed) for host in hosts]

    def environment(index: int) -> Environment:
        rng = Random(f"{seed} {index}")
        return Environment(lambda: int(hosts[index].wall_time() * 1e9), rng.randbytes, rng)

    return met(
        (builders[0], builders[1]),
        lambda name: f"sim://{name}:1",
        proofs=ed25519() if sealed else (None, None),
        environments=(environment(0), environment(1)),
    )


def check_on_virtual_time(check: Check, *, seed: int, sealed: bool = False, allow_timers: bool = False) -> None:
    run_simulation(
        lambda loop: check_manager(lambda: over_sim(loop, seed, sealed=sealed), check),
        seed=seed,
        allow_timers=allow_timers,
    )


def checks(*, virtual: bool = False) -> pytest.MarkDecorator:
    known = VIRTUAL_TIME_CHECKS if virtual else MANAGER_CHECKS
    return pytest.mark.parametrize("check", known, ids=lambda check: check.__name__)


@checks()
@pytest.mark.parametrize("make_pair", [over_memory, over_tcp], ids=["memory", "tcp"])
@pytest.mark.both_loops
async def test_without_proof_of_ids(make_pair: MakeManagers, check: Check) -> None:
    await check_manager(make_pair, check)


@checks()
async def test_over_unix_sockets(check: Check) -> None:
    await check_manager(over_unix, check)


@checks()
@pytest.mark.parametrize(
    "make_pair", [over_tcp_with_keys, over_tls_with_keys, over_tcp_sealed], ids=["ed25519", "tls", "sealed"]
)
async def test_with_proof_of_ids(make_pair: MakeManagers, check: Check) -> None:
    await check_manager(make_pair, check)


@checks(virtual=True)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_on_virtual_time(check: Check, seed: int, sealed: bool) -> None:
    check_on_virtual_time(check, seed=seed, sealed=sealed)
