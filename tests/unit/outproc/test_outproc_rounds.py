"""Asking for a dial now: of one kind of wire, or of all, while others ask too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from litz.errors import ConnectError
from litz.wire import Endpoint, Wire
from outproc import OutprocTransportManager, TransportOptions
from outproc.rounds import Rounds
from outproc.wires.memory import MemoryWire
from tests.unit.outproc.town import Town, WatchedBuilder, turns, virtual


class OtherBuilder(WatchedBuilder):
    """A second kind of wire to the same listeners."""

    kind = "other"
    schemes = ("other",)

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        name = endpoint.address.removeprefix("other:")
        wire = await super().build(dest, Endpoint("memory", f"memory:{name}"))
        assert isinstance(wire, MemoryWire)
        wire.kind = wire._peer.kind = "other"
        return wire


class TwoWays:
    """alice knows two ways to bob, had both, and lost both; neither is tried again by itself for a long time."""

    def __init__(self, alice: OutprocTransportManager, memory: WatchedBuilder, other: WatchedBuilder) -> None:
        self.alice = alice
        self.memory = memory
        self.other = other

    def kinds(self) -> set[str]:
        return {wire.kind for dest in self.alice.snapshot().dests for wire in dest.wires}


@asynccontextmanager
async def two_ways_lost() -> AsyncIterator[TwoWays]:
    town = Town()
    builders = [WatchedBuilder(town.network), OtherBuilder(town.network)]
    async with (
        town.manager("bob") as bob,
        OutprocTransportManager(
            "alice",
            builders=builders,
            directory={"bob": ["memory:bob", "other:bob"]},
            options=TransportOptions(backoff_base=3600, backoff_cap=3600, upgrade_cap=3600, session_kept=100_000),
        ) as alice,
    ):
        await bob.listen("memory:bob")
        await alice.send("bob", b"", confirm="received")
        await asyncio.sleep(1)
        two = TwoWays(alice, *builders)
        assert two.kinds() == {"memory", "other"}
        for builder in builders:
            builder.errors["memory:bob"] = ConnectionRefusedError("down for now")
            builder.cut()
        await turns()
        assert two.kinds() == set()
        for builder in builders:
            builder.errors.clear()
        yield two


def test_whoever_asks_for_all_does_not_wait_for_who_asked_for_one_kind() -> None:
    async def scenario() -> None:
        async with two_ways_lost() as two:
            two.memory.gates["memory:bob"] = asyncio.Event()  # the dial of that kind gets no answer
            one = asyncio.ensure_future(two.alice.reconnect("bob", "memory"))
            await turns()
            before = asyncio.get_running_loop().time()
            await two.alice.reconnect("bob")
            assert asyncio.get_running_loop().time() - before < 1, "it sat out the backoff of the other kind"
            assert two.kinds() == {"other"}
            assert not one.done(), "a wire of another kind is not what it asked for"
            two.memory.gates["memory:bob"].set()
            await one
            assert two.kinds() == {"memory", "other"}

    virtual(scenario)


def test_one_kind_fails_by_itself() -> None:
    async def scenario() -> None:
        async with two_ways_lost() as two:
            two.memory.errors["memory:bob"] = ConnectionRefusedError("still down")
            dials = len(two.memory.dials)
            outcomes = await asyncio.gather(
                *(two.alice.reconnect("bob", kind) for kind in ("memory", "other", None, "memory")),
                return_exceptions=True,
            )
            assert [type(outcome) for outcome in outcomes] == [ConnectError, type(None), type(None), ConnectError]
            assert len(two.memory.dials) == dials + 1, "those who ask for the same share a dial"

    virtual(scenario)


async def test_a_round_is_shared_and_over_once() -> None:
    rounds = Rounds(asyncio.get_running_loop())
    any_kind, begins = rounds.join(None)
    assert begins
    assert rounds.join(None) == (any_kind, False)
    memory, _ = rounds.join("memory")
    other, _ = rounds.join("other")
    rounds.up("memory")
    assert any_kind.done()
    assert memory.done()
    assert rounds.open == ("other",)
    rounds.up("memory")
    rounds.fail(ConnectError("no", dest="bob"))
    with pytest.raises(ConnectError):
        await other
    assert rounds.join("other")[1], "the next one is new"
    rounds.fail(ConnectError("nobody waits for this one: no warning", dest="bob"))
