"""Asking where a dest is: nothing that is said meanwhile is missed, and nobody's cancellation is taken for ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from litz.errors import ConnectError
from litz.node_port import NodePort
from litz.wire import Endpoint
from outproc import OutprocTransportManager
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder
from tests.unit.outproc.town import Town, virtual


class Slow:
    """A directory that takes its time and knows nobody."""

    async def look_up(self, dest: str) -> Sequence[str]:
        await asyncio.sleep(5)
        return []


class Cancels:
    """A directory that waits for a task of its own that was cancelled."""

    async def look_up(self, dest: str) -> Sequence[str]:
        raise asyncio.CancelledError


class Learns(MemoryWireBuilder):
    """Knows no endpoint at first, and takes its time to say so."""

    def __init__(self, network: MemoryNetwork) -> None:
        super().__init__(network)
        self.known: list[Endpoint] = []
        self.port: NodePort | None = None
        self.asked = 0

    def attach(self, port: NodePort) -> None:
        self.port = port

    async def endpoints(self, dest: str) -> Sequence[Endpoint]:
        self.asked += 1
        answer = list(self.known)
        await asyncio.sleep(5)
        return answer


def test_endpoints_named_while_it_is_asked_count() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", knows=Slow()) as alice, town.manager("bob") as bob:
            await bob.listen("memory:bob")
            sending = asyncio.ensure_future(alice.send("bob", b"x", confirm="received"))
            await asyncio.sleep(1)
            alice.add_endpoints("bob", ["memory:bob"])
            async with asyncio.timeout(10):
                await sending

    virtual(scenario)


def test_endpoints_that_change_while_they_are_asked_for_are_asked_again() -> None:
    async def scenario() -> int:
        town = Town()
        builder = Learns(town.network)
        async with OutprocTransportManager("alice", builders=[builder]) as alice, town.manager("bob") as bob:
            await bob.listen("memory:bob")
            sending = asyncio.ensure_future(alice.send("bob", b"x", confirm="received"))
            await asyncio.sleep(1)
            assert builder.port is not None
            builder.known.append(Endpoint("memory", "memory:bob"))
            builder.port.endpoints_changed()
            async with asyncio.timeout(20):
                await sending
            return builder.asked

    assert virtual(scenario) == 2


def test_a_directory_that_cancels_itself_hangs_nobody() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", knows=Cancels()) as alice:
            with pytest.raises(ConnectError, match="cancelled"):
                await alice.send("bob", b"x", timeout=60)

    virtual(scenario)
