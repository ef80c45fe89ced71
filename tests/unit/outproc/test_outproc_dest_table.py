"""Dests: whoever asks for one shares its dial and its outcome, and the table forgets what came to nothing (P3)."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from litz.errors import ConnectError, ManagerStateError, UnknownDestError
from litz.events import Connecting
from litz.snapshot import DestState
from tests.unit.outproc.town import Town, event_of, take, turns, virtual


def test_a_thousand_callers_share_one_dial() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            found = await asyncio.gather(*(alice.get_or_create_transport("bob") for _ in range(1000)))
            assert len(set(map(id, found))) == 1
            assert len(town.builders["alice"].dials) == 1
            assert alice.list_dests() == ["bob"]
            assert alice.has_dest("bob") is DestState.CONNECTED

    virtual(scenario)


def test_a_cancelled_caller_disturbs_no_other_and_not_the_dial() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            gate = town.builders["alice"].gates["memory:bob"] = asyncio.Event()
            callers = [asyncio.ensure_future(alice.get_or_create_transport("bob")) for _ in range(10)]
            await turns()
            assert alice.has_dest("bob") is DestState.CONNECTING
            callers[0].cancel()
            for caller in callers[5:]:
                caller.cancel()
            await turns()
            gate.set()
            found = await asyncio.gather(*callers, return_exceptions=True)
            assert [isinstance(one, asyncio.CancelledError) for one in found] == [True] + [False] * 4 + [True] * 5
            assert len(town.builders["alice"].dials) == 1

    virtual(scenario)


def test_a_dial_that_everybody_gave_up_still_ends_well() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            gate = town.builders["alice"].gates["memory:bob"] = asyncio.Event()
            with pytest.raises(TimeoutError):
                await alice.send("bob", b"given up", timeout=1)
            gate.set()
            await alice.wait_connected("bob", timeout=1)
            await alice.send("bob", b"kept")
            assert await take(bob, 1) == [b"kept"]

    virtual(scenario)


def test_all_get_the_error_and_the_dest_is_forgotten() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice:
            failures = await asyncio.gather(
                *(alice.get_or_create_transport("bob") for _ in range(5)), return_exceptions=True
            )
            assert {type(failure) for failure in failures} == {ConnectError}
            (failure,) = {id(failure): failure for failure in failures}.values()
            assert isinstance(failure, ConnectError)
            assert [type(attempt.error) for attempt in failure.attempts] == [ConnectionRefusedError]
            frames = traceback.extract_tb(failure.__traceback__)
            assert [frame.name for frame in frames].count("connect") == 1, "each caller added its frames to it"
            assert (alice.list_dests(), alice.has_dest("bob"), alice.dest_count) == ([], None, 0)
        nobody = town.manager("carol", knows={})
        async with nobody:
            with pytest.raises(UnknownDestError, match="add_endpoints"):
                await nobody.send("bob", b"?")
            assert nobody.list_dests() == []

    virtual(scenario)


def test_what_was_accepted_keeps_a_dest_that_could_not_be_reached() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await alice.send("bob", b"queued", when_down="queue")
            with pytest.raises(ConnectError):
                await alice.get_or_create_transport("bob")
            assert alice.list_dests() == ["bob"]
            await bob.listen("memory:bob")
            assert await take(bob, 1) == [b"queued"]

    virtual(scenario)


def test_a_peer_that_dials_first_ends_the_wait() -> None:
    """Alice's own dial hangs; bob comes by himself."""

    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", dial_timeout=3600) as alice:
            await alice.listen("memory:alice")
            town.builders["alice"].gates["memory:bob"] = asyncio.Event()
            waiting = asyncio.ensure_future(alice.get_or_create_transport("bob"))
            await turns()
            await bob.send("alice", b"first")
            transport = await waiting
            assert (transport.dest, transport.state) == ("bob", DestState.CONNECTED)

    virtual(scenario)


def test_the_number_of_dests_is_limited_whoever_begins() -> None:
    async def scenario() -> None:
        town = Town()
        async with (
            town.manager("alice", max_dests=2) as alice,
            town.manager("bob") as bob,
            town.manager("carol") as carol,
            town.manager("dave") as dave,
        ):
            for node in (alice, bob, carol):
                await node.listen(f"memory:{node.local_id}")
            await alice.send("bob", b"one")
            await carol.send("alice", b"two")
            for verb in (alice.send("dave", b"no"), alice.get_or_create_transport("dave")):
                with pytest.raises(ConnectError, match="raise max_dests"):
                    await verb
            with pytest.raises(ConnectError, match="raise max_dests"):
                alice.send_nowait("dave", b"no")
            with pytest.raises(ConnectError, match="too many dests"):
                await dave.send("alice", b"no")
            assert alice.list_dests() == ["bob", "carol"]
            await alice.close_transport("bob")
            await dave.send("alice", b"now")

    virtual(scenario)


def test_a_transport_made_while_the_old_one_closes_is_a_new_one() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            old = await alice.get_or_create_transport("bob")
            closing = asyncio.ensure_future(alice.close_transport("bob"))
            for _ in range(50):
                await asyncio.sleep(0)
                if old.state is DestState.CLOSING:
                    break
            new = await alice.get_or_create_transport("bob")
            await closing
            assert new is not old
            assert (old.state, new.state) == (DestState.CLOSED, DestState.CONNECTED)
            assert alice.list_dests() == ["bob"]

    virtual(scenario)


def test_closing_the_manager_or_the_dest_ends_every_wait() -> None:
    async def scenario() -> None:
        town = Town()
        alice = town.manager("alice", dial_timeout=3600)
        async with alice:
            events = alice.events()
            for name in ("bob", "carol"):
                town.builders["alice"].gates[f"memory:{name}"] = asyncio.Event()
            waiting = [asyncio.ensure_future(alice.send(name, b"?")) for name in ("bob", "carol")]
            await turns()
            assert (await event_of(events, Connecting)).dest == "bob"
            await alice.close_transport("bob")
            with pytest.raises(ConnectError, match="closed"):
                await waiting[0]
        with pytest.raises((ConnectError, ManagerStateError), match="closed"):
            await waiting[1]

    virtual(scenario)
