"""Limits on peers that have proved their ids, as the peers meet them: each is told to come back, nobody else notices.

Covers `outproc.reception`, `outproc.peer_limits`.
"""

from __future__ import annotations

from outproc.handshake import DiallerStep, NeedsVerification, Refused
from outproc.peer_limits import SESSIONS_BURST
from outproc.session.identity import Half
from tests.integration.outproc_nodes import LOOPBACK, QUICK, node, take
from tests.integration.outproc_raw_peer import TERMS, RawPeer, raw_peer


async def answer(peer: RawPeer) -> DiallerStep:
    """The next step of the handshake. What is said of the session in between is passed over."""
    while not (frame := await peer.receive()).startswith(b"{"):
        pass
    step = peer.machine.receive(frame)
    return peer.machine.verified() if isinstance(step, NeedsVerification) else step


async def test_a_peer_that_begins_sessions_without_end_is_asked_to_wait() -> None:
    """On one wire, which costs it least."""
    options = {**QUICK, "sessions_per_second": 1e-6}
    async with node("b", listen=LOOPBACK, options=options) as b, node("a", knows={"b": b.endpoints}) as a:
        await a.send("b", b"before", confirm="received")
        async with raw_peer(b.endpoints[0], "b") as peer:
            await peer.prove()
            for number in range(SESSIONS_BURST):
                await peer.send(peer.machine.join(Half(peer.node.incarnation, number + 1), None, TERMS))
                step = await answer(peer)
                assert not isinstance(step, Refused), number
            await peer.send(peer.machine.join(Half(peer.node.incarnation, SESSIONS_BURST + 1), None, TERMS))
            step = await answer(peer)
            assert isinstance(step, Refused)
            assert step.code == "busy"
            assert "sessions_per_second" in step.reason
            assert step.retry_after > 1
        await a.send("b", b"after", confirm="received")
        assert [message.data for message in await take(b, 2)] == [b"before", b"after"]
