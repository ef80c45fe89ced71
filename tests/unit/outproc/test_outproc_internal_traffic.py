"""What the parts of nodes say to each other, through `outproc.manager_port`, the budget of `outproc.local_node` and
`outproc.internal_traffic`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from litz.errors import ProtocolError, UnauthenticatedError
from litz.events import EndReason, PeerViolation, SessionEnded
from litz.node_port import MAX_BULK, MAX_SIGNAL, NodePort
from outproc import OutprocTransportManager
from outproc.internal_traffic import split_topic
from outproc.security import Ed25519Authenticator, SharedKeyAuthenticator
from tests.unit.outproc.town import Town, WatchedBuilder, event_of, take, turns, virtual


class Notes:
    """A subscriber that writes down what it hears."""

    def __init__(self, port: NodePort) -> None:
        self.port = port
        self.heard: list[tuple[str, bytes]] = []
        self.news: list[str] = []
        self.on_writable: Callable[[str], None] = lambda dest: None
        self.error: Exception | None = None

    def received(self, sender: str, data: memoryview) -> None:
        if self.error is not None:
            raise self.error
        self.heard.append((sender, bytes(data)))

    def session_began(self, dest: str) -> None:
        self.news.append(f"began {dest}")

    def session_ended(self, dest: str) -> None:
        self.news.append(f"ended {dest}")

    def wires_changed(self, dest: str) -> None:
        self.news.append(f"wires {dest} {len(self.port.kinds(dest))}")

    def writable(self, dest: str) -> None:
        self.on_writable(dest)


def attached(town: Town, name: str, *topics: str, **options: object) -> tuple[OutprocTransportManager, Notes]:
    """A manager that is entered later, and a subscriber of `topics` that its builder makes then."""
    manager = town.manager(name, **options)  # type: ignore[arg-type]  # options of the manager, checked there
    notes = Notes.__new__(Notes)

    def attach(port: NodePort) -> None:
        notes.__init__(port)  # type: ignore[misc]  # filled when the manager is entered
        for topic in topics:
            port.subscribe(topic, notes)

    builder: WatchedBuilder = town.builders[name]
    builder.attach = attach  # type: ignore[method-assign]  # one builder of one test
    return manager, notes


def test_messages_arrive_once_and_in_order_though_wires_break_and_the_inbox_is_full() -> None:
    async def scenario() -> None:
        town = Town()
        alice, here = attached(town, "alice", "test")
        bob, there = attached(town, "bob", "test", window_messages=1)
        async with bob, alice:
            await bob.listen("memory:bob")
            assert not here.port.post("bob", "test", b"nobody there yet")
            await alice.send("bob", b"1")
            await alice.send("bob", b"2, which waits for credit")
            for number in range(300):
                assert here.port.post("bob", "test", [b"%d" % number, b" bulk"], bulk=True)
                assert here.port.post("bob", "test", b"%d" % number)
                if number % 40 == 39:
                    await turns(number % 5)
                    town.builders["alice"].cut()
            await asyncio.sleep(1)
            data = [data for sender, data in there.heard if sender == "alice"]
            assert [each for each in data if not each.endswith(b"bulk")] == [b"%d" % n for n in range(300)]
            assert [each for each in data if each.endswith(b"bulk")] == [b"%d bulk" % n for n in range(300)]
            assert await take(bob, 2) == [b"1", b"2, which waits for credit"]

    virtual(scenario)


@pytest.mark.parametrize("hears", ["test", "answers"])
def test_a_full_lane_refuses_and_says_when_it_takes_more(hears: str) -> None:
    async def scenario() -> None:
        town = Town()
        alice, here = attached(town, "alice", hears)
        bob, there = attached(town, "bob", "test")
        async with bob, alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"hello", confirm="received")
            left = 200

            def go_on(dest: str) -> None:
                nonlocal left
                while left and here.port.post(dest, "test", bytes(100_000), bulk=True):
                    left -= 1

            here.on_writable = go_on
            go_on("bob")
            assert left >= 195
            await asyncio.sleep(5)
            assert (left, len(there.heard)) == (0, 200)

    virtual(scenario)


def test_whoever_asks_hears_of_sessions_and_wires_and_waits_for_them() -> None:
    async def scenario() -> None:
        town = Town()
        alice, here = attached(town, "alice", "test", "other")
        bob, there = attached(town, "bob")
        async with alice:
            here.port.announce("fast")
            async with bob:
                await bob.listen("memory:bob")
                here.port.want("bob")
                there_up = asyncio.create_task(here.port.session_up("bob"))
                await turns()
                assert not there_up.done(), "a wire of the builder's own kind does not count"
                there_up.cancel()
                await turns()
                assert not len(alice._running().node.internal.wires), "whoever gave up leaves nothing"
                assert here.news == ["began bob", "wires bob 1"]
                assert (here.port.peers(), here.port.kinds("bob")) == (["bob"], ["memory"])
                assert "fast" in there.port.features("alice")
                assert "fast" not in here.port.features("bob")
                late = Notes(there.port)
                there.port.subscribe("late", late)
                assert late.news == ["began alice"]
                town.builders["alice"].cut()
                await asyncio.sleep(1)
            await turns()
            assert here.news == ["began bob", "wires bob 1", "wires bob 0", "wires bob 1", "ended bob", "wires bob 0"]
            assert (here.port.peers(), here.port.kinds("bob")) == ([], [])

    virtual(scenario)


def test_a_malformed_message_costs_the_wire_and_an_unknown_topic_nothing() -> None:
    async def scenario() -> None:
        town = Town()
        alice, here = attached(town, "alice", "test")
        bob, there = attached(town, "bob", "test")
        async with bob, alice:
            await bob.listen("memory:bob")
            events = bob.events()
            await alice.send("bob", b"hello", confirm="received")
            here.port.post("bob", "unheard-of", b"x")
            await turns()
            assert bob._running().node.internal.unknown_topics == 1
            there.error = ProtocolError("no such circuit")
            here.port.post("bob", "test", b"bad")
            assert "no such circuit" in str((await event_of(events, PeerViolation)).detail)
            there.error = None
            here.port.post("bob", "test", b"good")
            await asyncio.sleep(1)
            assert there.heard == [("alice", b"good")]

    virtual(scenario)


def test_an_error_in_a_subscriber_costs_nobody_his_wire() -> None:
    async def scenario() -> None:
        town = Town()
        alice, here = attached(town, "alice", "test")
        bob, there = attached(town, "bob", "test")
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
        async with bob, alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"hello", confirm="received")
            there.error = KeyError("a bug")
            here.port.post("bob", "test", b"1")
            await turns()
            there.error = None
            here.port.post("bob", "test", b"2")
            await turns()
            assert there.heard == [("alice", b"2")]
            assert [type(error) for error in told] == [KeyError]
            assert len(town.builders["alice"].wires) == 1

    virtual(scenario)


def test_limits_are_told() -> None:
    async def scenario() -> None:
        town = Town()
        alice, here = attached(town, "alice", "test")
        bob, there = attached(town, "bob", "test")
        async with bob, alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"hello", confirm="received")
            for size, bulk in ((MAX_SIGNAL, False), (MAX_BULK, True)):
                assert here.port.post("bob", "test", bytearray(size - 5), bulk=bulk)
                with pytest.raises(ValueError, match=f"the limit is {size}"):
                    here.port.post("bob", "test", bytes(size - 4), bulk=bulk)
            await turns()
            assert [len(data) for _, data in there.heard] == [MAX_SIGNAL - 5, MAX_BULK - 5]
            for topic in ("test", "", "Upper", "t" * 33, "ü"):
                with pytest.raises(ValueError, match="topic"):
                    here.port.subscribe(topic, here)

    virtual(scenario)


def test_what_was_internal_is_no_loss_of_the_user_and_drain_does_not_wait_for_it() -> None:
    async def scenario() -> None:
        town = Town()
        alice, here = attached(town, "alice", "test")
        bob, _ = attached(town, "bob", "test")
        async with bob, alice:
            events = alice.events()
            await bob.listen("memory:bob")
            await alice.send("bob", b"hello", confirm="received")
            here.port.post("bob", "test", b"x", bulk=True)
            await alice.drain("bob")
            assert alice.snapshot().logged_bytes == 0
            here.port.post("bob", "test", b"y", bulk=True)
            await alice.close_transport("bob")
            ended = await event_of(events, SessionEnded)
            assert (ended.reason, ended.lost) == (EndReason.CLOSED_HERE, ())

    virtual(scenario)


@pytest.mark.parametrize("message", [b"", b"\0", b"\1", b"\4tes", b"\x21" + b"t" * 40, b"\4Test", b"\1\xff"])
def test_a_message_without_its_topic_is_malformed(message: bytes) -> None:
    with pytest.raises(ProtocolError, match="topic"):
        split_topic(message)


def test_a_topic_and_its_data_come_back() -> None:
    assert split_topic(b"\4testdata") == ("test", memoryview(b"data"))
    assert split_topic(b"\1t") == ("t", memoryview(b""))


def test_a_proof_holds_for_what_was_said_by_whom_to_whom_about_what() -> None:
    async def scenario() -> None:
        one, two = Ed25519Authenticator(b"a" * 32), Ed25519Authenticator(b"b" * 32)
        one.ring.trust("bob", two.public_key)
        two.ring.trust("alice", one.public_key)
        town = Town()
        alice, here = attached(town, "alice", authenticator=one)
        bob, there = attached(town, "bob", authenticator=two)
        async with bob, alice:
            assert here.port.proves == "id"
            proof = here.port.sign("offer", "bob", b"data")
            assert await there.port.verify("offer", "alice", b"data", proof)
            for wrong in (
                ("answer", "alice", b"data", proof),
                ("offer", "carol", b"data", proof),
                ("offer", "alice", b"date", proof),
                ("offer", "alice", b"data", proof[:-1] + bytes([proof[-1] ^ 1])),
                ("offer", "alice", b"data", b""),
                ("offer", "alice", b"data", b"\xff\xff" + proof),
            ):
                with pytest.raises(UnauthenticatedError):
                    await there.port.verify(*wrong)
            with pytest.raises(UnauthenticatedError):
                await here.port.verify("offer", "alice", b"data", proof)

    virtual(scenario)


def test_without_an_authenticator_there_are_only_claims() -> None:
    async def scenario() -> None:
        town = Town()
        alice, here = attached(town, "alice")
        bob, there = attached(town, "bob", authenticator=SharedKeyAuthenticator(b"s" * 32))
        async with bob, alice:
            assert (here.port.proves, here.port.sign("offer", "bob", b"data")) == ("nothing", b"")
            assert not await here.port.verify("offer", "bob", b"data", b"anything")
            assert there.port.proves == "group"
            assert there.port.settings == {}

    virtual(scenario)
