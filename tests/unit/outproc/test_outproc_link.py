"""One wire and its handshake: deadlines, proofs by authenticators that are not ours, and signs of life."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litz.errors import ConnectError, HandshakeError, UnauthenticatedError
from litz.events import PeerViolation, WireDown, WireUp
from outproc import OutprocTransportManager
from outproc.security import SharedKeyAuthenticator
from outproc.wires.memory import MemoryWire
from tests.unit.outproc.town import Town, event_of, take, virtual


class Slow(SharedKeyAuthenticator):
    """Verifies when it is let to, or fails in its own way."""

    def __init__(self, key: bytes = b"k" * 32, error: BaseException | None = None) -> None:
        super().__init__(key)
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.error = error

    async def verify(self, *args: Any) -> None:
        self.asked.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        await super().verify(*args)


def shared() -> SharedKeyAuthenticator:
    return SharedKeyAuthenticator(b"k" * 32)


def test_what_came_while_a_proof_was_verified_is_taken_after_it() -> None:
    """A resume sends its data right behind its proof."""

    async def scenario() -> None:
        town = Town()
        slow = Slow()
        slow.go.set()
        bob = town.manager("bob", authenticator=slow)
        async with bob, town.manager("alice", authenticator=shared()) as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            slow.go.clear()
            slow.asked.clear()
            town.builders["alice"].cut()
            for number in range(1, 4):
                await alice.send("bob", b"%d" % number)
            await slow.asked.wait()
            await asyncio.sleep(1)
            slow.go.set()
            assert await take(bob, 4) == [b"0", b"1", b"2", b"3"]
            assert len(town.builders["alice"].dials) == 2

    virtual(scenario)


class Sluggish(SharedKeyAuthenticator):
    """Takes its time."""

    seconds = 0.0

    async def verify(self, *args: Any) -> None:
        await asyncio.sleep(self.seconds)
        await super().verify(*args)


@pytest.mark.parametrize("slow_name", ["alice", "bob"])
def test_however_much_waits_a_resume_sends_little_until_its_proof_is_surely_checked(slow_name: str) -> None:
    """Whoever checks a proof holds what follows it, and no more than a little: an honest peer must not flood it."""

    async def scenario() -> None:
        town = Town()
        slow = Sluggish(b"k" * 32)
        alice, bob = (
            town.manager(name, authenticator=slow if name == slow_name else shared()) for name in ("alice", "bob")
        )
        receiver, sender, dest = (bob, alice, "bob") if slow_name == "bob" else (alice, bob, "alice")
        async with bob, alice:
            await bob.listen("memory:bob")
            await alice.get_or_create_transport("bob")
            slow.seconds = 1.0
            town.builders["alice"].cut()
            for number in range(40):
                await sender.send(dest, b"%d" % number + bytes(100_000))
            got = await take(receiver, 40)
            assert [int(data.rstrip(b"\0")) for data in got] == list(range(40))
            assert len(town.builders["alice"].dials) == 2

    virtual(scenario)


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (RuntimeError("a bug in it"), "no verdict on the proof.*a bug in it"),
        (UnauthenticatedError("not you"), "not you"),
        (None, "within 2 s|too long"),
    ],
    ids=["a bug", "a no", "no answer"],
)
def test_an_authenticator_that_fails_costs_the_wire_and_nothing_else(error: BaseException | None, detail: str) -> None:
    async def scenario() -> None:
        town = Town()
        slow = Slow(error=error)
        if error is not None:
            slow.go.set()
        bob = town.manager("bob", authenticator=slow, handshake_timeout=2)
        async with bob, town.manager("alice", authenticator=shared(), backoff_base=600, backoff_cap=600) as alice:
            await bob.listen("memory:bob")
            events = bob.events()
            with pytest.raises(ConnectError):
                await alice.send("bob", b"x", timeout=60)
            assert_matches(detail, (await event_of(events, PeerViolation)).detail)
            slow.error = None
            slow.go.set()
            await alice.send("bob", b"y", timeout=60)
            assert await take(bob, 1) == [b"y"]

    virtual(scenario)


def assert_matches(pattern: str, text: str) -> None:
    with pytest.raises(ValueError, match=pattern):
        raise ValueError(text)


def test_a_peer_that_never_answers_the_handshake_is_given_up() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", handshake_timeout=2) as alice:
            listener = await town.builders["alice"].listen(alice._addressing.endpoint("memory:bob"), lambda wire: None)
            before = asyncio.get_running_loop().time()
            with pytest.raises(ConnectError) as caught:
                await alice.send("bob", b"x")
            assert asyncio.get_running_loop().time() - before == pytest.approx(2, abs=0.1)
            assert "no complete handshake within 2 s" in str(caught.value)
            await listener.aclose()

    virtual(scenario)


def test_a_handshake_that_does_not_fit_a_frame_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            monkeypatch.setattr(MemoryWire, "max_frame", 100)
            with pytest.raises(ConnectError) as caught:
                await alice.send("bob", b"x")
            assert isinstance(caught.value.attempts[0].error, HandshakeError)
            assert "raise its max_frame" in str(caught.value)

    virtual(scenario)


async def connected(town: Town, **options: Any) -> tuple[OutprocTransportManager, OutprocTransportManager]:
    bob = town.manager("bob", **options)
    alice = town.manager("alice", **options)
    await bob.__aenter__()
    await alice.__aenter__()
    await bob.listen("memory:bob")
    await alice.send("bob", b"0", confirm="received")
    return alice, bob


def test_a_silent_wire_is_pinged_and_one_that_answers_lives() -> None:
    async def scenario() -> None:
        alice, bob = await connected(Town(), ping_after=5, dead_after=5)
        (before,) = alice.snapshot().dests[0].wires
        await asyncio.sleep(100)
        (after,) = alice.snapshot().dests[0].wires
        assert after.age > 100
        assert 15 <= after.frames_out - before.frames_out <= 45, "about one ping or pong in five seconds"
        assert after.round_trip is not None
        await alice.aclose()
        await bob.aclose()

    virtual(scenario)


def test_a_wire_that_has_died_in_silence_is_found_out_and_replaced() -> None:
    async def scenario() -> None:
        town = Town()
        alice, bob = await connected(town, ping_after=5, dead_after=5)
        alice.start_health_checker(4.5)  # before bob, so that it is she who finds out
        events = alice.events()
        await event_of(events, WireUp)
        (wire,) = town.builders["alice"].wires
        assert isinstance(wire, MemoryWire)
        swallow_all(wire)
        began = asyncio.get_running_loop().time()
        down = await event_of(events, WireDown)
        assert down.cause == "silent: no answer to a ping"
        assert 4.5 <= asyncio.get_running_loop().time() - began <= 11
        await alice.send("bob", b"1", confirm="received", timeout=5)
        await alice.aclose()
        await bob.aclose()

    virtual(scenario)


def swallow_all(wire: MemoryWire) -> None:
    """Half open: nothing passes any more, either way, and nobody is told."""
    for end in (wire, wire._peer):
        end.write = lambda buffers: None  # type: ignore[method-assign]  # a cable that was pulled


def test_a_peer_with_another_key_is_told_so() -> None:
    async def scenario() -> None:
        town = Town()
        other = SharedKeyAuthenticator(b"o" * 32)
        async with (
            town.manager("bob", authenticator=shared()) as bob,
            town.manager("alice", authenticator=other) as alice,
        ):
            await bob.listen("memory:bob")
            with pytest.raises(ConnectError) as caught:
                await alice.send("bob", b"x")
            assert isinstance(caught.value.attempts[0].error, UnauthenticatedError)
            assert bob.list_dests() == []

    virtual(scenario)


def test_a_peer_that_does_not_prove_its_id_hears_what_is_missing() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob", authenticator=shared()) as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            with pytest.raises(ConnectError) as caught:
                await alice.send("bob", b"x")
            assert caught.value.attempts
            assert "authenticat" in str(caught.value)

    virtual(scenario)
