"""What users notice of relays: ends that are passed on, hubs that restart, lie or refuse, and pairs that are slow.

Covers `outproc.wires.relay.hub`, `outproc.wires.relay.client`, `outproc.wires.relay.keeper` and
`outproc.wires.relay.wire`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from litz import DestState
from litz.errors import UnknownDestError
from litz.events import EndReason, PeerViolation, SessionEnded, WireDown, WireUp
from outproc import OutprocTransportManager, TransportOptions
from outproc.local_node import Environment
from outproc.relay_options import RelayOptions
from outproc.security import Ed25519Authenticator
from outproc.wires.memory import MemoryNetwork
from outproc.wires.relay import RelayWireBuilder
from outproc.wires.relay.hub import RelayHub
from outproc.wires.relay.messages import BY_HUB, encode_open
from tests.unit.outproc.town import WatchedBuilder, event_of, take, virtual

SECRET = b"nobody but bob may read this"


class Place:
    """A hub and nodes that know only the hub. Everybody has a key and trusts the others."""

    def __init__(self, *, keys: bool = True) -> None:
        self.network = MemoryNetwork()
        self.direct: dict[str, WatchedBuilder] = {}
        self.relays: dict[str, RelayWireBuilder] = {}
        self._keys = keys
        self._started = 0

    def manager(
        self, name: str, *, relay: RelayOptions | None = None, via: tuple[str, ...] | None = None, **options: Any
    ) -> OutprocTransportManager:
        self._started += 1
        clock, rng = self._started, Random(self._started)
        direct = self.direct[name] = WatchedBuilder(self.network)
        relays = self.relays[name] = RelayWireBuilder(via=via)
        proof = Ed25519Authenticator(name.ljust(32, ".").encode()) if self._keys else None
        if proof is not None:
            for other in ("hub", "other hub", "alice", "bob", "carol", "dave"):
                seed = other.replace(" ", "-").ljust(32, ".").encode()
                proof.ring.trust(other.replace(" ", "-"), Ed25519Authenticator(seed).public_key)
        return OutprocTransportManager(
            name,
            builders=[direct, relays],
            directory={"hub": ["memory:hub"], "other-hub": ["memory:other-hub"]},
            authenticator=proof,
            options=TransportOptions(**options),
            environment=Environment(lambda: clock, rng.randbytes, rng),
            relay=relay,
        )

    @asynccontextmanager
    async def hub(self, name: str = "hub", **options: Any) -> AsyncIterator[OutprocTransportManager]:
        async with self.manager(name, relay=RelayOptions(**options)) as hub:
            await hub.listen(f"memory:{name}")
            yield hub

    @asynccontextmanager
    async def node(self, name: str, *via: str, **options: Any) -> AsyncIterator[OutprocTransportManager]:
        async with self.manager(name, via=via or ("hub",), **options) as node:
            await node.wait_connected((via or ("hub",))[0], timeout=5)
            yield node


def story(tell: Callable[[Place], Any], *, keys: bool = True) -> None:
    async def scenario() -> None:
        await tell(Place(keys=keys))

    virtual(scenario)


def test_nodes_without_a_port_reach_each_other_both_ways_at_once() -> None:
    async def tell(place: Place) -> None:
        async with place.hub(), place.node("alice") as alice, place.node("bob") as bob:
            await alice.send("bob", b"there", timeout=1)
            assert await take(bob, 1) == [b"there"]
            await bob.send("alice", b"and back", when_down="fail")
            assert await take(alice, 1) == [b"and back"]
            (dest,) = [each for each in alice.snapshot().dests if each.dest == "bob"]
            assert dest.verified
            assert [(wire.kind, wire.path) for wire in dest.wires] == [("relay", "relay alice - via hub")]

    story(tell)


def test_each_relay_wire_has_a_name_of_its_own_in_events() -> None:
    async def tell(place: Place) -> None:
        async with place.hub(), place.node("alice") as alice, place.node("bob") as bob, place.node("carol") as carol:
            for peer in (bob, carol):
                await alice.send(peer.local_id, b"x", confirm="received")
            names = [wire.wire for dest in alice.snapshot().dests for wire in dest.wires if wire.kind == "relay"]
            assert len(names) == len(set(names)) == 2, names

    story(tell)


@pytest.mark.parametrize("seal", ["auto", "never"])
def test_the_hub_sees_no_plaintext(seal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    received = RelayHub.received

    def spy(self: RelayHub, sender: str, data: memoryview) -> None:
        seen.append(bytes(data))
        received(self, sender, data)

    monkeypatch.setattr(RelayHub, "received", spy)

    async def tell(place: Place) -> None:
        async with place.hub(), place.node("alice", seal=seal) as alice, place.node("bob", seal=seal) as bob:
            for _ in range(3):
                await alice.send("bob", SECRET, confirm="received")
            assert await take(bob, 1) == [SECRET]

    story(tell)
    assert sum(map(len, seen)) > 3 * len(SECRET)
    assert not any(SECRET[:8] in data for data in seen)


def test_a_tampering_hub_costs_the_wire_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    received = RelayHub.received
    left = 3

    def tamper(self: RelayHub, sender: str, data: memoryview) -> None:
        nonlocal left
        if len(data) > 2_000 and left:
            left -= 1
            changed = bytearray(data)
            changed[-1] ^= 1
            data = memoryview(bytes(changed))
        received(self, sender, data)

    monkeypatch.setattr(RelayHub, "received", tamper)

    async def tell(place: Place) -> None:
        async with place.hub(), place.node("alice") as alice, place.node("bob") as bob:
            events = bob.events()
            for number in range(20):
                await alice.send("bob", bytes([number]) * 3_000, confirm="received", timeout=60)
            assert await take(bob, 20) == [bytes([number]) * 3_000 for number in range(20)]
            down = await event_of(events, WireDown)
            assert "changed, replayed, lost or reordered" in down.cause
            assert left == 0
            (dest,) = [each for each in alice.snapshot().dests if each.dest == "bob"]
            assert dest.session == 0

    story(tell)


def test_a_dest_that_the_hub_does_not_know_is_refused_at_once() -> None:
    async def tell(place: Place) -> None:
        async with place.hub(), place.node("alice") as alice:
            started = asyncio.get_running_loop().time()
            with pytest.raises(UnknownDestError, match="cannot reach it"):
                await alice.send("bob", b"")
            assert asyncio.get_running_loop().time() - started < 0.1

    story(tell)


def test_forbidden_looks_like_unknown_and_an_error_of_the_user_forbids() -> None:
    asked: list[tuple[str, str]] = []

    def allow(sender: str, dest: str) -> bool:
        asked.append((sender, dest))
        if dest == "carol":
            raise KeyError(dest)
        return sender == "bob"

    async def tell(place: Place) -> None:
        told: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: told.append(f"{context['message']}: {context['exception']!r}"))
        hub, names = place.hub(allow_relay=allow), ("alice", "bob", "carol")
        alices, bobs, carols = (place.node(name) for name in names)
        async with hub, alices as alice, bobs as bob, carols:
            with pytest.raises(UnknownDestError, match="cannot reach it"):
                await alice.send("bob", b"")
            with pytest.raises(UnknownDestError, match="cannot reach it"):
                await bob.send("carol", b"")
            await bob.send("alice", b"allowed", timeout=1)
            assert asked == [("alice", "bob"), ("bob", "carol"), ("bob", "alice")]
            for _ in range(20):
                with pytest.raises(UnknownDestError, match="cannot reach it"):
                    await bob.send("carol", b"")
            again = asked.count(("bob", "carol"))
            assert again > 5
            assert told == ["litz: an error in allow_relay: KeyError('carol')"]
            await asyncio.sleep(61)
            with pytest.raises(UnknownDestError, match="cannot reach it"):
                await bob.send("carol", b"")
        left_out = f" ({again - 1} more of these were not told)"
        assert told[1:] == [f"litz: an error in allow_relay{left_out}: KeyError('carol')"]

    story(tell)


def test_the_end_of_a_node_is_passed_on_with_its_reason() -> None:
    async def tell(place: Place) -> None:
        async with place.hub() as hub, place.node("alice") as alice, place.node("bob") as bob:
            await alice.send("bob", b"", timeout=1)
            events = alice.events()
            await hub.close_transport("bob", reason="go away")
            down = await event_of(events, WireDown)
            assert "the session of bob with the hub ended" in down.cause
            assert alice.has_dest("bob") is DestState.DETACHED
            # The hub said goodbye to bob, who keeps it all the same.
            await alice.send("bob", b"later", when_down="queue")
            assert await take(bob, 2) == [b"", b"later"]

    story(tell)


def test_a_goodbye_goes_through_the_relay() -> None:
    async def tell(place: Place) -> None:
        async with place.hub(), place.node("alice") as alice:
            events = alice.events()
            async with place.node("bob"):
                await alice.send("bob", b"", confirm="received")
            ended = await event_of(events, SessionEnded)
            assert (ended.dest, ended.reason) == ("bob", EndReason.CLOSED_BY_PEER)

    story(tell)


def test_a_cut_of_the_way_to_the_hub_loses_no_circuit() -> None:
    async def tell(place: Place) -> None:
        async with place.hub() as hub, place.node("alice") as alice, place.node("bob") as bob:
            events = alice.events()
            for number in range(200):
                await alice.send("bob", b"%d" % number)
                if number % 20 == 19:
                    await asyncio.sleep(0.01)
                    place.direct["alice"].cut()
                    place.direct["bob"].cut()
            assert await take(bob, 200) == [b"%d" % number for number in range(200)]
            assert place.relays["hub"].hub is not None
            assert place.relays["hub"].hub.switch.circuits == 1
            assert hub.dest_count == 2
        ups = [event async for _, event in events if isinstance(event, WireUp) and event.kind == "relay"]
        assert len(ups) == 1

    story(tell)


def test_a_hub_that_restarts_is_a_blip_for_the_sessions_through_it() -> None:
    async def tell(place: Place) -> None:
        first = place.hub()
        await first.__aenter__()
        async with place.node("alice") as alice, place.node("bob") as bob:
            for number in range(5):
                await alice.send("bob", b"%d" % number)
                await bob.send("alice", b"%d" % number)
            for _ in range(3):
                # Killed: no goodbye.
                for wire in (*place.direct["alice"].wires, *place.direct["bob"].wires):
                    wire.abort()
                await first.__aexit__(None, None, None)
                for node in (alice, bob):
                    await node.send("alice" if node is bob else "bob", b"meanwhile", when_down="queue")
                first = place.hub()
                await first.__aenter__()
                started = asyncio.get_running_loop().time()
                await alice.drain("bob", timeout=30)
                await bob.drain("alice", timeout=30)
                assert asyncio.get_running_loop().time() - started < 6
            expected = [*(b"%d" % number for number in range(5)), *[b"meanwhile"] * 3]
            assert await take(alice, 8) == await take(bob, 8) == expected
            for node in (alice, bob):
                (dest,) = [each for each in node.snapshot().dests if each.dest != "hub"]
                assert (dest.session, dest.heals) == (0, 3)
        await first.__aexit__(None, None, None)

    story(tell)


def test_relays_do_not_nest() -> None:
    """alice reaches the other hub only through the hub, so she reaches nobody through the other hub."""

    async def tell(place: Place) -> None:
        async with place.hub(), place.manager("other-hub", via=("hub",), relay=RelayOptions()) as other:
            await other.listen("memory:elsewhere")
            await other.wait_connected("hub", timeout=5)
            async with place.node("alice", "hub", "other-hub") as alice:
                alice.add_endpoints("other-hub", [])
                await alice.send("other-hub", b"through the hub", timeout=20)
                async with place.manager("bob") as bob:
                    bob.add_endpoints("other-hub", ["memory:elsewhere"])
                    await bob.send("other-hub", b"directly")
                    with pytest.raises(UnknownDestError):
                        await alice.send("bob", b"", timeout=20)

    story(tell)


def test_a_slow_reader_slows_no_other_pair_and_the_hub_stays_small() -> None:
    async def tell(place: Place) -> None:
        limits = {"window_size": 100_000, "session_window_size": 100_000, "max_message": 100_000}
        hubs, alices, bobs = place.hub(), place.node("alice"), place.node("bob", **limits)
        async with hubs, alices as alice, bobs as bob, place.node("carol") as carol, place.node("dave") as dave:
            for number in range(40):
                await alice.send("bob", bytes([number]) * 50_000)
            await asyncio.sleep(1)
            for number in range(100):
                await carol.send("dave", bytes([number]) * 50_000, timeout=5)
            assert [data[0] for data in await take(dave, 100)] == list(range(100))
            hub = place.relays["hub"].hub
            assert hub is not None
            assert hub.switch.buffered < 1 << 20
            assert [data[0] for data in await take(bob, 40)] == list(range(40))

    story(tell)


def test_without_keys_ids_are_claims_and_relaying_works_on_one_host() -> None:
    async def tell(place: Place) -> None:
        async with place.hub(), place.node("alice") as alice, place.node("bob") as bob:
            await alice.send("bob", b"claimed", timeout=1)
            async for message in bob.messages():
                assert (message.sender, message.verified) == ("alice", False)
                break

    story(tell, keys=False)


def test_a_dial_that_nobody_answers_ends_in_time_and_leaves_nothing() -> None:
    async def tell(place: Place) -> None:
        async with place.hub(), place.node("alice") as alice, place.node("bob"):
            client = place.relays["bob"]._client
            assert client is not None
            client._incoming = lambda hub, state, message: None  # type: ignore[method-assign]  # deaf on purpose
            dialling = asyncio.create_task(alice.get_or_create_transport("bob"))
            with pytest.raises(ConnectionError, match="did not answer through the hub"):
                await dialling
            await asyncio.sleep(1)
            switch = place.relays["hub"].hub
            assert switch is not None
            await alice.close_transport("bob")
            await asyncio.sleep(10)
            assert switch.switch.circuits == 0

    story(tell)


def test_a_hub_that_opens_a_circuit_twice_breaks_the_rules() -> None:
    async def tell(place: Place) -> None:
        async with place.hub(), place.node("bob") as bob:
            port = place.relays["hub"]._port
            assert port is not None
            with bob.events() as events:
                for _ in range(2):
                    assert port.post("bob", "relayed", encode_open(BY_HUB, 1 << 20, "alice"), bulk=True)
                violation = await event_of(events, PeerViolation)
            assert (violation.dest, "opened circuit" in violation.detail) == ("hub", True)

    story(tell)
