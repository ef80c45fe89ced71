"""Wires that came in: bounded while unproved, answered as little as possible, and gone without a trace (P8)."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

from litz.events import PeerViolation
from litz.testing.recording import RecordingSink
from litz.wire import LossReason, WireLoss, WireSink
from outproc import OutprocTransportManager
from outproc.handshake import Initiator, Limits, Link, NeedsVerification, Node
from outproc.held_frames import FRAME_COST, HELD_FRAMES_SIZE
from outproc.security import SharedKeyAuthenticator
from outproc.session.identity import Half, Incarnation
from outproc.wires.memory import MemoryWire, memory_pair
from tests.unit.outproc.town import Town, event_of, turns, virtual
from tests.unit.outproc_handshake.handshake_kit import TERMS


def knock(manager: OutprocTransportManager, address: str = "192.0.2.1:999") -> tuple[MemoryWire, RecordingSink]:
    """A stranger's wire to `manager`, which has said nothing yet."""
    stranger, accepted = memory_pair(address, "the manager")
    sink = RecordingSink()
    stranger.start(sink)
    manager.accept(accepted)
    return stranger, sink


def links(manager: OutprocTransportManager) -> int:
    return len(manager._running().node.links)


def test_a_silent_stranger_costs_a_link_until_the_deadline() -> None:
    async def scenario() -> None:
        async with Town().manager("bob", handshake_timeout=3) as bob:
            events = bob.events()
            _, sink = knock(bob)
            began = asyncio.get_running_loop().time()
            await turns()
            assert links(bob) == 1
            violation = await event_of(events, PeerViolation)
            assert asyncio.get_running_loop().time() - began < 3.1
            assert (violation.dest, "within 3 s" in violation.detail) == ("", True)
            await sink.until(lambda: sink.loss is not None, "the end")
            assert (links(bob), bob.list_dests()) == (0, [])

    virtual(scenario)


def test_strangers_are_limited_per_address_and_told_when_to_come_back() -> None:
    async def scenario() -> None:
        async with Town().manager("bob", unauthenticated_per_ip=2, handshake_timeout=10) as bob:
            sinks = [knock(bob, f"192.0.2.7:{port}")[1] for port in range(4)]
            other = knock(bob, "192.0.2.8:1")[1]
            await turns()
            assert [len(sink.frames) for sink in [*sinks, other]] == [0, 0, 0, 0, 0], "two wait, for a moment"
            assert links(bob) == 3
            await asyncio.sleep(2.9)
            assert not any(sink.frames for sink in sinks)
            await asyncio.sleep(0.2)
            assert [len(sink.frames) for sink in [*sinks, other]] == [0, 0, 1, 1, 0]
            busy = json.loads(sinks[2].frames[0])
            assert (busy["type"], busy["code"]) == ("refuse", "busy")
            assert 0 < int(busy["retry_after_ms"]) <= 10_000
            assert sinks[2].loss is not None
            await asyncio.sleep(20)
            late = knock(bob, "192.0.2.7:5")[1]
            await turns()
            assert late.frames == [], "its turn has come"

    virtual(scenario)


def test_a_wire_that_a_session_asked_for_takes_no_place_of_its_address() -> None:
    """Many nodes share one, and each is upgraded to a data channel a second after it came (found by the benchmark of
    idle dests)."""

    async def scenario() -> None:
        async with Town().manager("bob", unauthenticated=5, unauthenticated_per_ip=1) as bob:
            introduced = []
            for name in ("alice", "carol", "dave", "erin"):
                theirs, ours = memory_pair("192.0.2.7:1", "the manager")
                introduced.append(RecordingSink())
                theirs.start(introduced[-1])
                bob._running().reception.accept(ours, name)
            stranger, refused = (knock(bob, "192.0.2.7:2")[1] for _ in range(2))
            await asyncio.sleep(3.1)
            assert [len(sink.frames) for sink in [*introduced, stranger, refused]] == [0, 0, 0, 0, 0, 1]

    virtual(scenario)


def test_one_peer_that_brings_wires_without_end_keeps_nobody_else_out() -> None:
    """A hub can bring as many as it likes: neither those who knock at a port nor what others bring may pay for it."""

    async def scenario() -> None:
        async with Town().manager("bob", unauthenticated=8) as bob:

            def brought_by(name: str) -> RecordingSink:
                theirs, ours = memory_pair(f"via {name}", "the manager")
                theirs.start(sink := RecordingSink())
                bob._running().reception.accept(ours, name)
                return sink

            flood = [brought_by("a hub") for _ in range(20)]
            others = [brought_by("another hub"), *(knock(bob, f"192.0.2.{n}:1")[1] for n in range(8))]
            await turns()
            assert [len(sink.frames) for sink in flood] == [0] * 2 + [1] * 18, "all but a quarter are told: busy"
            assert not any(sink.frames for sink in others)

    virtual(scenario)


class Undecided(SharedKeyAuthenticator):
    """Never finds out whether a proof holds."""

    def __init__(self) -> None:
        super().__init__(b"k" * 32)
        self.asked = 0

    async def verify(self, *args: Any) -> None:
        self.asked += 1
        await asyncio.Event().wait()


async def prove(manager: OutprocTransportManager, number: int) -> tuple[MemoryWire, RecordingSink]:
    """A stranger's wire whose proof is being checked."""
    wire, sink = knock(manager, f"192.0.2.{number}:1")
    life = Incarnation(1, number)
    proofs = SharedKeyAuthenticator(b"k" * 32)
    limits = Limits(max_frame=1 << 20, max_message=1 << 20)
    node = Node(f"stranger-{number}", life, limits, proofs)
    machine = Initiator(node, "bob", Link("memory"), Random(1).randbytes)
    wire.write([machine.hello()])
    await sink.until(lambda: bool(sink.frames), "a challenge")
    step = machine.receive(sink.frames[0])
    assert isinstance(step, NeedsVerification)
    await proofs.verify(step.peer_id, step.credential, step.transcript, step.proof, step.role)
    machine.verified()
    wire.write([machine.join(Half(life, 1), None, TERMS)])
    return wire, sink


def test_what_a_stranger_may_say_while_its_proof_is_checked_is_bounded() -> None:
    async def scenario() -> None:
        bob = Town().manager("bob", authenticator=(undecided := Undecided()))
        async with bob:
            events = bob.events()
            flood, sink = await prove(bob, 1)
            patient, other = await prove(bob, 2)
            await turns()
            assert undecided.asked == 2
            patient.write([b"x" * 1_000])
            for _ in range(8):
                flood.write([b"x" * 65_536])
            assert "more than 512 KiB before its proof" in (await event_of(events, PeerViolation)).detail
            assert sink.loss is not None and other.loss is None
            assert bob._running().node.unproved.size == 1_000 + FRAME_COST

    virtual(scenario)


def test_empty_frames_of_a_stranger_are_not_free() -> None:
    async def scenario() -> None:
        bob = Town().manager("bob", authenticator=Undecided())
        async with bob:
            flood, sink = await prove(bob, 1)
            await turns()
            for _ in range(HELD_FRAMES_SIZE // FRAME_COST):
                flood.write([b"x"])
            await turns()
            assert sink.loss is not None

    virtual(scenario)


def test_what_all_strangers_together_may_say_is_bounded_and_costs_who_passes_it() -> None:
    async def scenario() -> None:
        bob = Town().manager("bob", authenticator=Undecided(), unauthenticated_size=1 << 20)
        async with bob:
            events = bob.events()
            strangers = [await prove(bob, number) for number in range(4)]
            await turns()
            for wire, _ in strangers:
                for _ in range(6):
                    wire.write([b"x" * 65_536])
                await turns()
            assert [sink.loss is not None for _, sink in strangers] == [False, False, True, True]
            assert "raise it" in (await event_of(events, PeerViolation)).detail
            assert bob._running().node.unproved.size == 12 * (65_536 + FRAME_COST)
            await asyncio.sleep(10)
            assert bob._running().node.unproved.size == 0

    virtual(scenario)


def test_a_frame_that_is_no_handshake_ends_it_at_once() -> None:
    async def scenario() -> None:
        async with Town().manager("bob") as bob:
            events = bob.events()
            stranger, sink = knock(bob)
            stranger.write([b"\x01 binary before any proof"])
            assert "before the handshake" in (await event_of(events, PeerViolation)).detail
            await sink.until(lambda: sink.loss is not None, "the end")
            assert links(bob) == 0

    virtual(scenario)


def test_a_slot_is_free_again_however_the_handshake_ends() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob", unauthenticated=1) as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            for end in ("abort", "close"):
                stranger, _ = knock(bob)
                await turns()
                getattr(stranger, end)()
                await turns()
            stranger, _ = knock(bob)
            stranger.write([b"{garbage"])
            await turns()
            await alice.send("bob", b"in", timeout=1)
            knock(bob)
            await turns()
            assert links(bob) == 2, "a proved peer takes no slot"

    virtual(scenario)


def test_nobody_is_let_in_while_the_manager_closes() -> None:
    async def scenario() -> None:
        bob = Town().manager("bob")
        async with bob:
            reception = bob._running().reception
        stranger, accepted = memory_pair()
        sink = RecordingSink()
        stranger.start(sink)
        reception.accept(accepted)
        await turns()
        assert sink.loss is not None
        assert sink.frames == []

    virtual(scenario)


def test_whoever_waits_is_let_in_as_soon_as_there_is_room() -> None:
    async def scenario() -> None:
        async with Town().manager("bob", unauthenticated_per_ip=1, handshake_timeout=2) as bob:
            first, _ = knock(bob, "192.0.2.7:1")
            _, waits = knock(bob, "192.0.2.7:2")
            await turns()
            assert links(bob) == 1
            first.close()
            await asyncio.sleep(0.1)
            assert links(bob) == 1, "the second one's handshake"
            assert not waits.frames

    virtual(scenario)


def test_others_do_not_wait_behind_an_address_that_pushes() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager(
            "bob", handshake_timeout=10, unauthenticated=4, unauthenticated_per_ip=2, unauthenticated_waiting=6
        ) as bob:
            flood = [knock(bob, f"192.0.2.7:{port}") for port in range(8)]  # two are in, six fill the room
            honest = [knock(bob, f"192.0.2.{host}:1") for host in (8, 9)]
            await turns()
            assert links(bob) == 4, "honest ones find places of their own"
            late = knock(bob, "192.0.2.10:1")
            await turns()
            assert [len(sink.frames) for _, sink in flood] == [0] * 7 + [1], "the last of the flood made room"
            honest[0][0].close()
            await asyncio.sleep(0.1)
            assert links(bob) == 4
            assert not late[1].frames
            open_links = bob._running().node.links
            assert any("192.0.2.10" in link.wire.path.remote for link in open_links), "its turn, before the flood's"

    virtual(scenario)


def test_closing_ends_those_who_wait() -> None:
    async def scenario() -> None:
        async with Town().manager("bob", unauthenticated_per_ip=1) as bob:
            sinks = [knock(bob, f"192.0.2.7:{port}")[1] for port in range(3)]
            await turns()
        await turns()
        assert all(sink.loss is not None for sink in sinks)

    virtual(scenario)


class StillbornWire(MemoryWire):
    """Dead as soon as it is started, and says so at once."""

    def start(self, sink: WireSink) -> None:
        super().start(sink)
        sink.wire_closed(WireLoss(LossReason.RESET, "stillborn"))


def test_a_thousand_that_waited_and_are_dead_are_let_in_one_after_the_other() -> None:
    """Each makes room for the next at once: on the stack of one another they would not fit."""

    async def scenario() -> None:
        async with Town().manager("bob", unauthenticated_per_ip=1, handshake_timeout=2) as bob:
            events = bob.events(limit=4096)
            knock(bob)
            loop = asyncio.get_running_loop()
            for port in range(1_000):
                bob.accept(StillbornWire(loop, "bob", f"192.0.2.1:{port + 1000}"))
            await turns()
            assert links(bob) == 1
            for _ in range(1_001):
                await event_of(events, PeerViolation)
            assert links(bob) == 0
            assert len(bob._running().reception._tickets) == 0

    virtual(scenario)
