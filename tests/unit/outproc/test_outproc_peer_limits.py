"""What proved peers may use up: wires from one address, and new sessions.

Covers `outproc.peer_limits`.
"""

from __future__ import annotations

import json
from random import Random

import pytest

from litz.testing.recording import RecordingSink
from outproc import OutprocTransportManager
from outproc.handshake import Initiator, Limits, Link, NeedsVerification, Node
from outproc.peer_limits import MAX_RATED, SESSIONS_BURST, SessionRate, WiresPerAddress
from outproc.security import NoAuthenticator
from outproc.session.identity import Half, Incarnation
from outproc.wires.memory import MemoryWire, memory_pair
from tests.integration.outproc_raw_peer import TERMS
from tests.unit.outproc.town import Town, turns, virtual


def test_wires_of_one_address_are_counted_while_they_live() -> None:
    wires = WiresPerAddress(2)
    assert wires.enter("1", "192.0.2.1:1000")
    assert wires.enter("2", "192.0.2.1:1001")
    assert wires.enter("1", "192.0.2.1:1000"), "one that is in stays in"
    assert not wires.enter("3", "192.0.2.1:1002")
    assert wires.enter("4", "192.0.2.2:1000"), "another address"
    wires.left("1")
    wires.left("1")
    assert wires.enter("3", "192.0.2.1:1002")
    for wire in ("2", "3", "4", "never came"):
        wires.left(wire)
    assert (len(wires), wires._counts) == (0, {})


def test_one_ipv6_network_counts_as_one() -> None:
    wires = WiresPerAddress(1)
    assert wires.enter("1", "[2001:db8::1]:1")
    assert not wires.enter("2", "[2001:db8::2]:1")
    assert wires.enter("3", "[2001:db8:0:1::1]:1")


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.1.2.3:9", "[::1]:9", "/run/a.sock", "", "memory"])
def test_what_is_on_this_host_is_not_counted(address: str) -> None:
    wires = WiresPerAddress(1)
    assert all(wires.enter(number, address) for number in range(10))
    assert len(wires) == 0


def test_a_peer_begins_some_sessions_at_once_and_then_a_few_a_second() -> None:
    rate = SessionRate(2.0)
    assert [rate.wait("a", number, 100.0) for number in range(SESSIONS_BURST)] == [0.0] * SESSIONS_BURST
    assert rate.wait("a", "next", 100.0) == 0.5
    assert rate.wait("a", "next", 100.25) == 0.25
    assert rate.wait("b", 0, 100.25) == 0.0, "another peer"
    assert rate.wait("a", "next", 100.5) == 0.0
    assert rate.wait("a", "next", 100.5) == 0.0, "the same half on another wire"
    assert rate.wait("a", "one more", 100.5) == 0.5


def test_what_is_kept_of_peers_is_bounded() -> None:
    rate = SessionRate(2.0)
    for number in range(SESSIONS_BURST):
        rate.wait("a", number, 0.0)
    for number in range(MAX_RATED):
        rate.wait(f"peer {number}", 0, 0.0)
    assert len(rate) == MAX_RATED
    assert rate.wait("a", "next", 0.0) == 0.0, "the oldest was not the one forgotten"


async def join(manager: OutprocTransportManager, name: str, address: str) -> tuple[MemoryWire, RecordingSink]:
    """A wire of a peer that proves itself and asks for a session."""
    wire, accepted = memory_pair(address, "the manager")
    sink = RecordingSink()
    wire.start(sink)
    manager.accept(accepted)
    life = Incarnation(1, len(name))
    node = Node(name, life, Limits(max_frame=1 << 20, max_message=1 << 20), NoAuthenticator())
    machine = Initiator(node, "bob", Link("memory"), Random(name).randbytes)
    wire.write([machine.hello()])
    await sink.until(lambda: bool(sink.frames), "a challenge")
    assert isinstance(machine.receive(sink.frames[0]), NeedsVerification)
    machine.verified()
    wire.write([machine.join(Half(life, 1), None, TERMS)])
    await sink.until(lambda: len(sink.frames) > 1, "an answer")
    return wire, sink


def test_a_peer_whose_address_has_too_many_wires_is_told_to_come_back() -> None:
    async def scenario() -> None:
        async with Town().manager("bob", wires_per_ip=2) as bob:
            first, _ = await join(bob, "a", "192.0.2.1:1")
            await join(bob, "b", "192.0.2.1:2")
            _, refused = await join(bob, "c", "192.0.2.1:3")
            answer = json.loads(refused.frames[1].partition(b"\n")[0])
            assert (answer["type"], answer["code"], answer["retry_after_ms"]) == ("refuse", "busy", 5000)
            _, elsewhere = await join(bob, "d", "192.0.2.2:1")
            assert b'"type":"ok"' in elsewhere.frames[1]
            assert bob.list_dests() == ["a", "b", "d"]
            first.abort()
            await turns()
            _, late = await join(bob, "c", "192.0.2.1:4")
            assert b'"type":"ok"' in late.frames[1]

    virtual(scenario)
