"""What a peer can do to ICE with the password that it was given: `outproc.wires.webrtc.guarded_ice`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import replace

from aioice import stun

from outproc.wires.webrtc.aiortc_engine import AiortcConnection, AiortcEngine
from outproc.wires.webrtc.description import Description
from outproc.wires.webrtc.guarded_ice import MAX_REMOTE
from outproc.wires.webrtc.sdp_filter import read_description
from tests.unit.outproc_webrtc.webrtc_kit import HERE, new_wire


def check(theirs: Description, ours: Description) -> bytes:
    """A connectivity check as the peer may send it."""
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes.update(
        {"USERNAME": f"{theirs.ufrag}:{ours.ufrag}", "PRIORITY": 1_000, "ICE-CONTROLLING": 1},
    )
    message.add_message_integrity(theirs.pwd.encode())
    return bytes(message)


async def test_checks_from_any_number_of_ports_cost_a_bounded_number_of_checks() -> None:
    engine = AiortcEngine()
    peer, wire = new_wire(engine, offerer=True), new_wire(engine, offerer=False)
    offer = replace(read_description(await peer.connection.offer(), HERE), candidates=())
    answer = read_description(await wire.connection.answer(offer), HERE)
    to = (answer.candidates[0].address, answer.candidates[0].port)
    assert isinstance(wire.connection, AiortcConnection)
    ice = wire.connection._ice
    with contextlib.ExitStack() as ports:  # all open at once, so that no two are the same
        async with asyncio.timeout(60):
            for number in range(3 * MAX_REMOTE):
                port = ports.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                port.bind(("127.0.0.1", 0))
                port.setblocking(False)
                port.sendto(check(answer, offer), to)
                # Each is answered, so it is known when it was looked at.
                await asyncio.get_running_loop().sock_recv(port, 2048)
                assert len(ice._remote_candidates) == min(number + 1, MAX_REMOTE)
    assert len(ice._check_list) == MAX_REMOTE
    for each in (peer, wire):
        each.abort()
        await each.connection.aclose()
