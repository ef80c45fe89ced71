"""Peers that came by themselves and vanished are forgotten after a while; a server must not fill up with them (P5)."""

from __future__ import annotations

import asyncio

from litz.events import EndReason, SessionEnded
from litz.manager import EventStream
from litz.snapshot import DestState
from litz.testing import DialFault, SimLoop, SimNetwork, run_simulation
from outproc import OutprocTransportManager, TransportOptions

KEPT = TransportOptions(session_kept=20.0)


async def ended(events: EventStream) -> EndReason:
    async for _, event in events:
        if isinstance(event, SessionEnded):
            return event.reason
    raise AssertionError("no session ended")


def test_a_client_that_vanished_is_forgotten_and_one_that_is_wanted_is_not() -> None:
    async def scenario(loop: SimLoop) -> None:
        network = SimNetwork(loop, seed=1)
        here, there = network.host("here"), network.host("there")
        server = OutprocTransportManager("server", builders=[here.builder()], options=KEPT)
        client = OutprocTransportManager(
            "client", builders=[there.builder()], directory={"server": ["sim://here:1"]}, options=KEPT
        )
        async with server:
            await server.listen("sim://here:1")
            async with client:
                await client.send("server", b"hello", confirm="received")
                events = server.events()
                # Both learn that the wire is gone, and no new one comes up.
                network.dial_faults.append(DialFault("refuse", count=1_000_000))
                for connection in list(network.connections):
                    connection.reset(within=0.001)
                await asyncio.sleep(18.0)
                assert server.has_dest("client") is DestState.DETACHED, "a session outlives its wires"
                await asyncio.sleep(20.0)
                assert server.list_dests() == [], "nobody here wants it"
                assert client.list_dests() == ["server"], "what was sent to is dialled for ever"
                assert await ended(events) is EndReason.EXPIRED
                network.dial_faults.clear()
                await client.send("server", b"again", confirm="received", timeout=30.0)
                assert server.list_dests() == ["client"]

    run_simulation(scenario, seed=1, shuffle=False)
