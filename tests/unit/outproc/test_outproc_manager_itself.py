"""The verbs of `outproc.manager` itself: what it refuses, when it may be used, and what it tells."""

from __future__ import annotations

import asyncio
import gc
import ssl
from typing import Any

import pytest

from litz.errors import ConnectError, InsecureListenError, InvalidEndpointError, ManagerStateError, PeerClosedError
from litz.events import SessionStarted, WireUp
from litz.snapshot import DestState
from litz.wire import Endpoint, Wire
from outproc import OutprocTransportManager, TransportOptions
from outproc.security import SharedKeyAuthenticator
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder, memory_pair
from outproc.wires.websocket import WebSocketWireBuilder
from tests.unit.outproc.town import Town, event_of, take, turns, virtual


class Public(MemoryWireBuilder):
    """As if its listeners could be reached from everywhere."""

    def is_local(self, endpoint: Endpoint) -> bool:
        return False


async def test_beyond_this_machine_ids_must_be_proved() -> None:
    network = MemoryNetwork()
    async with OutprocTransportManager("a", builders=[Public(network)]) as open_to_all:
        with pytest.raises(InsecureListenError, match="authenticator="):
            await open_to_all.listen("memory:a")
        assert (open_to_all.endpoints, network.listeners) == ([], {})
    proof = SharedKeyAuthenticator(b"k" * 32)
    async with OutprocTransportManager("a", builders=[Public(network)], authenticator=proof) as proved:
        await proved.listen("memory:a")


def test_what_is_to_be_sealed_needs_a_proof() -> None:
    with pytest.raises(ValueError, match="seal='always' needs an authenticator"):
        OutprocTransportManager("a", options=TransportOptions(seal="always"))


async def test_it_says_where_it_really_listens_until_the_listener_is_closed() -> None:
    async with OutprocTransportManager("a", builders=[WebSocketWireBuilder()]) as manager:
        listener = await manager.listen("ws://127.0.0.1:0")
        (url,) = manager.endpoints
        assert url.startswith("ws://127.0.0.1:")
        assert not url.rpartition(":")[2].startswith("0")
        await listener.aclose()
        with pytest.raises(InvalidEndpointError, match="unix, ws, wss"):
            await manager.listen("gopher://here")
        with pytest.raises(TypeError):
            await manager.listen("ws://127.0.0.1:0", colour="blue")
        with pytest.raises((TypeError, InvalidEndpointError, ValueError)):
            await manager.listen("wss://127.0.0.1:0", ssl=None)
        with pytest.raises((TypeError, InvalidEndpointError, ValueError)):
            await manager.listen("ws://127.0.0.1:0", ssl=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


VERBS: list[tuple[str, Any]] = [
    ("send", lambda m: m.send("b", b"")),
    ("send_nowait", lambda m: m.send_nowait("b", b"")),
    ("request", lambda m: m.request("b", b"")),
    ("drain", lambda m: m.drain()),
    ("messages", lambda m: m.messages()),
    ("serve", lambda m: m.serve(print)),
    ("listen", lambda m: m.listen("memory:a")),
    ("get_or_create_transport", lambda m: m.get_or_create_transport("b")),
    ("close_transport", lambda m: m.close_transport("b")),
    ("close_all", lambda m: m.close_all()),
    ("list_dests", lambda m: m.list_dests()),
    ("has_dest", lambda m: m.has_dest("b")),
    ("is_connected", lambda m: m.is_connected("b")),
    ("wait_connected", lambda m: m.wait_connected("b")),
    ("add_endpoints", lambda m: m.add_endpoints("b", [])),
    ("reconnect", lambda m: m.reconnect("b")),
    ("start_health_checker", lambda m: m.start_health_checker()),
    ("events", lambda m: m.events()),
]


@pytest.mark.parametrize("verb", [verb for _, verb in VERBS], ids=[name for name, _ in VERBS])
async def test_before_and_after_its_life_there_is_one_clear_error(verb: Any) -> None:
    async def use(manager: OutprocTransportManager) -> None:
        result = verb(manager)
        if asyncio.iscoroutine(result):
            await result

    manager = OutprocTransportManager("a", builders=[MemoryWireBuilder(MemoryNetwork())])
    with pytest.raises(ManagerStateError, match="not entered"):
        await use(manager)
    async with manager:
        pass
    with pytest.raises(ManagerStateError, match="closed"):
        await use(manager)
    await manager.aclose()


async def test_one_that_was_never_closed_warns() -> None:
    manager = OutprocTransportManager("a", builders=[])
    await manager.__aenter__()
    await manager.aclose()
    del manager
    gc.collect()
    forgotten = OutprocTransportManager("a", builders=[])
    await forgotten.__aenter__()
    with pytest.warns(ResourceWarning, match="never closed"):
        forgotten.__del__()
    await forgotten.aclose()


def test_a_wire_of_the_embedding_program_is_taken_in() -> None:
    async def scenario() -> None:
        class Own(MemoryWireBuilder):
            async def build(self, dest: str, endpoint: Endpoint) -> Wire:
                here, there = memory_pair()
                bob.accept(there)
                return here

        town = Town()
        bob = town.manager("bob")
        alice = OutprocTransportManager("alice", builders=[Own(town.network)], directory={"bob": ["memory:x"]})
        async with bob, alice:
            await alice.send("bob", b"x")
            assert await take(bob, 1) == [b"x"]

    virtual(scenario)


def test_a_follower_of_events_first_hears_what_is() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"x", confirm="received")
            events = alice.events()
            started, up = await event_of(events, SessionStarted), await event_of(events, WireUp)
            assert (started.dest, up.dest, up.kind, up.dialled) == ("bob", "bob", "memory", True)

    virtual(scenario)


def test_waiting_for_a_dest_sees_it_come_whoever_dials() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await alice.listen("memory:alice")
            waiting = [asyncio.ensure_future(alice.wait_connected("bob")) for _ in range(3)]
            with pytest.raises(TimeoutError):
                await alice.wait_connected("bob", timeout=1)
            assert not any(task.done() for task in waiting)
            await bob.send("alice", b"here")
            await asyncio.gather(*waiting)
            assert (alice.is_connected("bob"), alice.is_connected("carol")) == (True, False)
            assert alice.has_dest("bob") is DestState.CONNECTED

    virtual(scenario)


def test_all_dests_are_closed_at_once() -> None:
    async def scenario() -> None:
        town = Town()
        names = ["bob", "carol", "dave"]
        others = [town.manager(name) for name in names]
        async with others[0], others[1], others[2], town.manager("alice") as alice:
            for other in others:
                await other.listen(f"memory:{other.local_id}")
                await alice.send(other.local_id, b"x")
            assert (alice.list_dests(), alice.dest_count) == (names, 3)
            await alice.close_all(reason="enough")
            assert (alice.list_dests(), alice.dest_count) == ([], 0)
            await alice.send("bob", b"again")

    virtual(scenario)


def test_the_health_check_is_set_while_wires_are_up() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", ping_after=3600) as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"x", confirm="received")
            for wrong in (0, -1):
                with pytest.raises(ValueError, match="above 0"):
                    alice.start_health_checker(wrong)
            (before,) = bob.snapshot().dests[0].wires
            handle = alice.start_health_checker(1.0)
            await asyncio.sleep(60)
            (after,) = bob.snapshot().dests[0].wires
            assert after.frames_in - before.frames_in >= 58, "a ping of alice in every second"
            await handle.stop()
            await handle.stop()
            await asyncio.sleep(60)
            (last,) = bob.snapshot().dests[0].wires
            assert last.frames_in - after.frames_in <= 13, "answers to bob's own pings"
            alice.start_health_checker()

    virtual(scenario)


def test_closing_the_manager_says_goodbye_and_fails_what_waits() -> None:
    async def scenario() -> None:
        town = Town()
        bob, alice = town.manager("bob"), town.manager("alice")
        async with bob, alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"x")
            asked = asyncio.ensure_future(alice.request("bob", b"?"))
            stream = alice.messages()
            reader = asyncio.ensure_future(anext(stream, None))
            await asyncio.sleep(1)
            await alice.aclose()
            with pytest.raises(ConnectionError):
                await asked
            assert await reader is None
            await turns()
            assert bob.list_dests() == []
            with pytest.raises(PeerClosedError, match=r"closing.*reopen=True"):
                await bob.send("alice", b"anybody?")
            with pytest.raises(ConnectError):
                await bob.send("alice", b"anybody?", reopen=True)
            assert "closed" in repr(alice)

    virtual(scenario)
