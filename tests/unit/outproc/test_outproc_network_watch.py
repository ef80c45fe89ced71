"""A change of this host's network: told once; the wires it concerns are asked at once, what waits is dialled soon."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from litz.events import NetworkChanged, WireDown
from outproc import OutprocTransportManager
from outproc.network_news import NetworkChange, NetworkState, Way
from outproc.network_watch import POLL, NetworkWatch, system_network
from outproc.timers import Timers
from tests.unit.outproc.town import Town, WatchedBuilder, event_of, turns, virtual

HOME = NetworkState(frozenset({"10.0.0.7/24"}), (Way(4, "10.0.0.1 on wlan0"),))
CAFE = NetworkState(frozenset({"192.168.5.9/24"}), (Way(4, "192.168.5.1 on wlan0"),))
OTHER_ROUTER = NetworkState(HOME.interfaces, (Way(4, "10.0.0.2 on wlan0"),))
FAR = ("10.0.0.7:5000", "203.0.113.5:8400")
NEIGHBOUR = ("10.0.0.7:5001", "10.0.0.9:8400")


class FakeNetwork:
    """The network of a host, changed by the test. Each of `news` is one message of the kernel's."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.now = HOME
        self.opened = self.closed = self.looks = 0
        self.error: OSError | None = None
        self._descriptor = descriptor

    def open(self) -> FakeNetwork:
        self.opened += 1
        return self

    def fileno(self) -> int | None:
        return self._descriptor

    def drain(self) -> bool:
        if self._descriptor is None:
            return False
        try:
            return bool(os.read(self._descriptor, 65_536))
        except BlockingIOError:
            return False

    def state(self) -> NetworkState:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return self.now

    def close(self) -> None:
        self.closed += 1


@asynccontextmanager
async def connected(
    ends: tuple[str, str] = FAR, *, network: FakeNetwork | None = None, **options: Any
) -> AsyncIterator[tuple[FakeNetwork, OutprocTransportManager, OutprocTransportManager, WatchedBuilder]]:
    """Alice, whose network the test changes, after her first message to bob."""
    town, network = Town(), network or FakeNetwork()
    async with town.manager("bob") as bob, town.manager("alice", network=network.open, **options) as alice:
        town.builders["alice"].ends = ends
        await bob.listen("memory:bob")
        await alice.send("bob", b"x", confirm="received")
        yield network, alice, bob, town.builders["alice"]


def changes_to(manager: OutprocTransportManager, network: FakeNetwork, state: NetworkState) -> None:
    """The network is another, and the kernel says that there are news."""
    assert manager._entered is not None
    watch = manager._entered.node.network
    assert watch is not None
    network.now = state
    watch.news()


def deaf(manager: OutprocTransportManager) -> None:
    """Its host is not reached any more."""
    assert manager._entered is not None
    for link in list(manager._entered.node.links):
        link.wire.write = lambda buffers: None  # type: ignore[method-assign]  # what it writes goes nowhere


def test_a_wire_whose_address_is_gone_is_asked_at_once_and_a_dead_one_is_found_soon() -> None:
    async def scenario() -> None:
        async with connected(ping_after=600, dead_after=600) as (network, alice, bob, _):
            await asyncio.sleep(1)
            deaf(bob)
            events = alice.events()
            began = asyncio.get_running_loop().time()
            changes_to(alice, network, CAFE)
            told = await event_of(events, NetworkChanged)
            assert (told.asked, told.given_up) == (1, 0)
            assert told.what.startswith("10.0.0.7 is gone; 192.168.5.9 is new")
            down = await event_of(events, WireDown)
            assert down.cause == "silent: no answer to a ping"
            assert asyncio.get_running_loop().time() - began <= 0.1 + 2.0 + 0.1
            await alice.send("bob", b"y", confirm="received")
            assert [dest.session for dest in alice.snapshot().dests] == [0]

    virtual(scenario)


def test_healthy_wires_are_not_dialled_again() -> None:
    async def scenario() -> None:
        async with connected() as (network, alice, _, builder):
            for state in (CAFE, HOME, OTHER_ROUTER):
                changes_to(alice, network, state)
                await asyncio.sleep(10)
            assert len(builder.dials) == 1
            assert alice.is_connected("bob")

    virtual(scenario)


def test_only_wires_that_are_concerned_are_asked() -> None:
    async def scenario() -> None:
        async with connected(NEIGHBOUR) as (network, alice, _, _):
            events = alice.events()
            changes_to(alice, network, OTHER_ROUTER)
            assert (await event_of(events, NetworkChanged)).asked == 0

    virtual(scenario)


def test_a_connection_that_cannot_outlive_its_address_is_made_anew_at_once() -> None:
    async def scenario() -> None:
        async with connected(wake_timeout=600, dead_after=600) as (network, alice, _, builder):
            await asyncio.sleep(1)
            builder.wires[0].bound = True
            events = alice.events()
            changes_to(alice, network, OTHER_ROUTER)
            assert (await event_of(events, NetworkChanged)).given_up == 0, "only asked: its address is there"
            changes_to(alice, network, CAFE)
            assert (await event_of(events, NetworkChanged)).given_up == 1
            assert (await event_of(events, WireDown)).cause == "its local address is gone"
            await alice.wait_connected("bob", timeout=1)
            assert len(builder.dials) == 2

    virtual(scenario)


def test_what_waits_is_dialled_soon_and_many_not_all_at_once() -> None:
    async def scenario() -> None:
        town, network = Town(), FakeNetwork()
        async with town.manager(
            "alice", network=network.open, backoff_base=500, backoff_cap=500, upgrade_cap=500
        ) as alice:
            builder = town.builders["alice"]
            builder.ends = FAR
            for number in range(200):
                alice.send_nowait(f"bob{number}", b"x")
            await asyncio.sleep(3)
            del builder.dials[:]
            began = asyncio.get_running_loop().time()
            changes_to(alice, network, CAFE)
            await asyncio.sleep(1.5)
            whens = [when - began for _, when in builder.dials]
            assert sorted({address for address, _ in builder.dials}) == sorted(f"memory:bob{n}" for n in range(200))
            assert len(whens) <= 400, "each once, and what failed then again after its backoff"
            assert max(sum(first <= each < first + 0.1 for each in whens) for first in whens) <= 60

    virtual(scenario)


class Elsewhere:
    """A directory that a host reaches only in the café: elsewhere it is waited for in vain. Carol is known."""

    def __init__(self, network: FakeNetwork) -> None:
        self._network = network

    async def look_up(self, dest: str) -> list[str]:
        if dest != "carol" and self._network.now != CAFE:
            await asyncio.sleep(2)
            raise OSError("no route to the directory")
        return [f"memory:{dest}"]


def test_a_look_up_that_began_in_the_network_of_before_is_no_answer() -> None:
    async def scenario() -> None:
        town, network = Town(), FakeNetwork()
        async with (
            town.manager("bob") as bob,
            town.manager("carol") as carol,
            town.manager(
                "alice", knows=Elsewhere(network), network=network.open, backoff_base=500, backoff_cap=500
            ) as alice,
        ):
            town.builders["alice"].ends = FAR
            await bob.listen("memory:bob")
            await carol.listen("memory:carol")
            await alice.send("carol", b"x")
            alice.send_nowait("bob", b"x")
            await asyncio.sleep(1)
            changes_to(alice, network, CAFE)
            await alice.wait_connected("bob", timeout=5)

    virtual(scenario)


def test_a_storm_of_news_is_one_look_and_one_action() -> None:
    async def scenario() -> None:
        async with connected() as (network, alice, _, _):
            events = alice.events()
            looked = network.looks
            for number in range(256):
                changes_to(alice, network, CAFE if number % 2 else OTHER_ROUTER)
                await asyncio.sleep(0.9 / 256)
            await event_of(events, NetworkChanged)
            await asyncio.sleep(0.2)
            assert network.looks - looked == 1

    virtual(scenario)


def test_nothing_is_watched_for_wires_of_this_host_or_when_it_is_switched_off() -> None:
    async def scenario() -> None:
        town, network = Town(), FakeNetwork()
        async with (
            town.manager("bob") as bob,
            town.manager("alice", network=network.open) as alice,
            town.manager("carol", network=network.open, watch_network=False) as carol,
        ):
            await bob.listen("memory:bob")
            town.builders["carol"].ends = FAR
            for manager in (alice, carol):
                await manager.send("bob", b"x", confirm="received")
            assert network.opened == 0
            town.builders["alice"].ends = FAR
            town.builders["alice"].cut()
            await turns()
            await alice.wait_connected("bob", timeout=1)
            assert network.opened == 1
        assert network.closed == 1

    virtual(scenario)


def test_without_news_it_is_looked_now_and_then() -> None:
    async def scenario() -> None:
        async with connected() as (network, alice, _, _):
            network.now = CAFE
            async with asyncio.timeout(POLL + 0.1):
                await event_of(alice.events(), NetworkChanged)
            network.looks = 0
            await asyncio.sleep(10 * POLL)
            assert network.looks <= 10

    virtual(scenario)


async def test_news_of_a_descriptor_are_left_there_until_it_is_calm() -> None:
    """A real loop: the reader is there again after each look, and its end is clean."""
    reading, writing = socket.socketpair()
    reading.setblocking(False)
    with reading, writing:
        network = FakeNetwork(reading.fileno())
        found: asyncio.Queue[NetworkChange] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        timers = Timers(loop)
        watch = NetworkWatch(loop, timers, network.open, found.put_nowait)
        watch.needed()
        for state in (CAFE, HOME, OTHER_ROUTER):
            network.now = state
            for _ in range(50):
                writing.send(b"news")
            async with asyncio.timeout(60):
                assert (await found.get()).after == state
        assert network.looks <= 10, "not one for each of the news"
        watch.close()
        watch.close()
        timers.close()
        assert network.closed == 1
        watch.needed()
        assert network.opened == 1, "it is over"


def test_when_the_kernel_tells_no_more_it_is_looked_now_and_then() -> None:
    async def scenario() -> None:
        town, network = Town(), FakeNetwork()
        async with town.manager("bob") as bob, town.manager("alice", network=network.open) as alice:
            town.builders["alice"].ends = FAR
            await bob.listen("memory:bob")
            network.error = OSError(errno.ENOBUFS, "no room")
            await alice.send("bob", b"x", confirm="received")
            assert network.closed == 1
            assert alice.is_connected("bob")

    virtual(scenario)


def test_a_process_out_of_descriptors_does_not_take_its_addresses_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found in review: neither the kernel nor the other way of looking answered, and every wire was given up."""

    async def scenario() -> None:
        async with connected() as (network, alice, _, builder):
            builder.wires[0].bound = True
            events = alice.events()

            def none_left(*arguments: object) -> socket.socket:
                raise OSError(errno.EMFILE, "too many open files")

            network.error = OSError(errno.EMFILE, "too many open files")
            with monkeypatch.context() as patch:
                patch.setattr(socket, "socket", none_left)
                changes_to(alice, network, HOME)
                await asyncio.sleep(10 * POLL)
            assert alice.is_connected("bob")
            assert len(builder.dials) == 1
            network.error = None
            network.now = CAFE
            await asyncio.sleep(2 * POLL)
            assert (await event_of(events, NetworkChanged)).given_up == 1, "what came meanwhile is noticed"

    virtual(scenario)


def test_another_way_of_looking_knows_nothing_of_what_is_gone() -> None:
    """The kernel's news end: what is looked at from then on sees less, which does not mean that it is gone."""

    class Ended(FakeNetwork):
        def drain(self) -> bool:
            raise OSError(errno.EBADF, "no more news")

    async def scenario() -> None:
        async with connected(network=Ended()) as (network, alice, _, builder):
            builder.wires[0].bound = True
            changes_to(alice, network, HOME)
            await asyncio.sleep(10 * POLL)
            assert alice.is_connected("bob")
            assert len(builder.dials) == 1

    virtual(scenario)


def test_this_system_has_a_network_to_ask() -> None:
    network = system_network()
    try:
        assert network.state() == network.state()
    finally:
        network.close()
