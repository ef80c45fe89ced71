"""A wire that dies after its JOIN and before the answer: it had data on it already, and nobody must wait for it.

Covers `outproc.shown_half`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from litz.errors import ConnectError
from litz.events import SessionStarted
from litz.message import Buffer
from litz.wire import Endpoint, Wire
from outproc import OutprocTransportManager, TransportOptions
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder

PATIENT = TransportOptions(dial_timeout=3600.0, handshake_timeout=3600.0, accept_grace=3600.0, backoff_base=0.001)
"""Nothing here may be rescued by a deadline."""


class CuttingBuilder(MemoryWireBuilder):
    """Aborts the wires whose numbers are in `cut` as soon as they have written their second frame: the JOIN."""

    def __init__(self, network: MemoryNetwork, cut: Sequence[int]) -> None:
        super().__init__(network)
        self.cut = cut
        self.wires: list[Wire] = []

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        wire = await super().build(dest, endpoint)
        if len(self.wires) in self.cut:
            self._arm(wire)
        self.wires.append(wire)
        return wire

    def _arm(self, wire: Wire) -> None:
        write, written = wire.write, 0

        def write_and_die(buffers: Sequence[Buffer]) -> None:
            nonlocal written
            write(buffers)
            written += 1
            if written == 2:
                asyncio.get_running_loop().call_soon(wire.abort)

        wire.write = write_and_die  # type: ignore[method-assign]  # a cut that no proxy could place so exactly


@pytest.mark.parametrize("cut", [(0,), (1,), (1, 2, 3)], ids=["the first", "a resume", "three resumes"])
async def test_the_next_dial_comes_at_once(cut: Sequence[int]) -> None:
    network = MemoryNetwork()
    builder = CuttingBuilder(network, cut)
    async with (
        OutprocTransportManager("bob", builders=[MemoryWireBuilder(network)]) as bob,
        OutprocTransportManager(
            "alice", directory={"bob": ["memory:bob"]}, builders=[builder], options=PATIENT
        ) as alice,
    ):
        await bob.listen("memory:bob")
        await alice.send("bob", b"0", when_down="queue")
        await alice.wait_connected("bob", timeout=10)
        for number in range(1, 3):
            builder.wires[-1].abort()
            await alice.send("bob", b"%d" % number, when_down="queue")
            await alice.drain("bob", timeout=10)
        received = []
        async for message in bob.messages():
            received.append(message.data)
            if len(received) == 3:
                break
        assert received == [b"0", b"1", b"2"]
        assert len(builder.wires) == 3 + len(cut)


async def test_what_the_peer_took_for_a_session_is_kept_though_the_dial_failed() -> None:
    """The answer was lost with the wire: to bob the session stands, and takes messages. Only alice knows of a failure
    (found by the simulation of relays, seed 150)."""
    network = MemoryNetwork()
    builder = CuttingBuilder(network, (0,))
    async with (
        OutprocTransportManager("bob", builders=[MemoryWireBuilder(network)]) as bob,
        OutprocTransportManager(
            "alice", directory={"bob": ["memory:bob"]}, builders=[builder], options=PATIENT
        ) as alice,
    ):
        await bob.listen("memory:bob")
        with bob.events() as events:
            with pytest.raises(ConnectError):
                await alice.send("bob", b"refused: the dial failed")
            async with asyncio.timeout(60):
                async for _, event in events:
                    if isinstance(event, SessionStarted):
                        break
            await bob.send("alice", b"accepted")
            await alice.send("bob", b"at last")
            async with asyncio.timeout(60):
                assert (await anext(alice.messages())).data == b"accepted"
                assert (await anext(bob.messages())).data == b"at last"
        (dest,) = bob.snapshot().dests
        assert dest.session == 0, "it never ended"


async def test_what_the_peer_never_took_is_forgotten_in_the_end() -> None:
    network = MemoryNetwork()
    builder = CuttingBuilder(network, range(1000))
    options = PATIENT.model_copy(update={"session_kept": 0.05})
    async with (
        OutprocTransportManager("bob", builders=[MemoryWireBuilder(network)]) as bob,
        OutprocTransportManager(
            "alice", directory={"bob": ["memory:bob"]}, builders=[builder], options=options
        ) as alice,
    ):
        await bob.listen("memory:bob")
        with pytest.raises(ConnectError):
            await alice.send("bob", b"refused")
        async with asyncio.timeout(60):
            while alice.list_dests():  # noqa: ASYNC110 - a dest that is forgotten is no event
                await asyncio.sleep(0.01)
