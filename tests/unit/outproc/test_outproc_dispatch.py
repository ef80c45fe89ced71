"""From a verb to a lane: what is refused before anything has happened, and what a dest that is down means."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litz import PayloadType
from litz.errors import BackpressureError, ConnectError, InvalidDestError, PayloadError, PeerClosedError
from tests.unit.outproc.town import Town, take, turns, virtual

BAD: list[tuple[dict[str, Any], str]] = [
    ({"payload_type": PayloadType.MEDIA}, "MEDIA is reserved"),
    ({"payload_type": PayloadType.STREAM_LATENCY_FIRST, "confirm": "received"}, "never acknowledged"),
    ({"confirm": "durable"}, "durable inbox"),
    ({"confirm": "soon"}, "'soon'"),
    ({"key": ""}, "1 to 255 bytes"),
    ({"key": "ü" * 128}, "1 to 255 bytes"),
]


@pytest.mark.parametrize(("options", "text"), BAD, ids=[text for _, text in BAD])
def test_what_cannot_be_sent_is_refused_before_anything_happens(options: dict[str, Any], text: str) -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice:
            with pytest.raises(ValueError, match=text):
                await alice.send("bob", b"x", **options)
            if "confirm" not in options:
                with pytest.raises(ValueError, match=text):
                    alice.send_nowait("bob", b"x", **options)
            await turns()
            assert (alice.list_dests(), town.builders["alice"].dials) == ([], [])

    virtual(scenario)


def test_a_bad_id_or_payload_makes_no_dest() -> None:
    async def scenario() -> None:
        async with Town().manager("alice") as alice:
            for dest, data, error in (("no id", b"", InvalidDestError), ("bob", "text", PayloadError)):
                with pytest.raises(error):
                    await alice.send(dest, data)
                with pytest.raises(error):
                    alice.send_nowait(dest, data)
                with pytest.raises(error):
                    await alice.request(dest, data)
            assert alice.list_dests() == []

    virtual(scenario)


def test_the_longest_key_travels() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"x", key="k" * 255)
            async for message in bob.messages():
                assert message.key == "k" * 255
                break

    virtual(scenario)


def test_a_dest_that_is_down_waits_queues_or_fails_as_told() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            with pytest.raises(ConnectError, match="connect first"):
                await alice.send("bob", b"fail", when_down="fail")
            assert town.builders["alice"].dials == []
            assert (await alice.send("bob", b"queue", when_down="queue"))[1] == 0
            with pytest.raises(ConnectError, match="cannot reach"):
                await alice.send("bob", b"wait", when_down="wait")
            await bob.listen("memory:bob")
            await alice.send("bob", b"wait", when_down="wait")
            await alice.send("bob", b"fail", when_down="fail")
            assert await take(bob, 3) == [b"queue", b"wait", b"fail"]

    virtual(scenario)


def test_once_there_is_a_session_messages_are_kept_unless_told_otherwise() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            listener = await bob.listen("memory:bob")
            await alice.send("bob", b"0")
            await listener.aclose()
            town.builders["alice"].cut()
            await asyncio.sleep(1)
            await alice.send("bob", b"1")
            await alice.send("bob", b"2", when_down="queue")
            with pytest.raises(ConnectError):
                await alice.send("bob", b"lost", when_down="fail")
            await bob.listen("memory:bob")
            assert await take(bob, 3) == [b"0", b"1", b"2"]

    virtual(scenario)


def test_without_waiting_a_full_log_is_told() -> None:
    async def scenario() -> None:
        async with Town().manager("alice", log_messages=5) as alice:
            for number in range(5):
                assert alice.send_nowait("bob", b"x")[1] == number
            with pytest.raises(BackpressureError, match="the log of lane 0 to bob is full"):
                alice.send_nowait("bob", b"x")
            assert alice.send_nowait("bob", b"x", payload_type=PayloadType.RPC_SIGNAL)[1] == 0

    virtual(scenario)


def test_a_tight_loop_of_sends_lets_others_run() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"0")
            breaths = 0

            async def breathe() -> None:
                nonlocal breaths
                while True:
                    await asyncio.sleep(0)
                    breaths += 1

            breather = asyncio.ensure_future(breathe())
            for _ in range(20_000):
                await alice.send("bob", b"0123456789")
            assert breaths >= 5, "about one per batch"
            breather.cancel()
            await asyncio.wait([breather])

    virtual(scenario)


def test_a_dest_that_is_closing_takes_nothing_and_says_so_at_the_call() -> None:
    """It could only be listed as never accepted: no wire carries data after the goodbye."""

    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            transport = await alice.get_or_create_transport("bob")
            before = [alice.send_nowait("bob", b"before"), await alice.send("bob", b"and after it by the fast way")]
            closing = asyncio.ensure_future(alice.close_transport("bob"))
            while not transport.closing:  # noqa: ASYNC110 - every turn counts here
                await asyncio.sleep(0)
            with pytest.raises(PeerClosedError, match="close_transport"):
                alice.send_nowait("bob", b"late")
            with pytest.raises(PeerClosedError, match="close_transport"):
                await alice.send("bob", b"late", when_down="queue")
            lost = await closing
            assert {entry.receipt for entry in lost} <= set(before)
            # Who may wait is sent in the next session.
            assert (await alice.send("bob", b"next"))[0].session == 1

    virtual(scenario)


def test_the_fast_way_ends_with_the_goodbye() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            transport = await alice.get_or_create_transport("bob")
            closing = asyncio.ensure_future(alice.close_transport("bob"))
            before = {await alice.send("bob", b"before")}
            while not transport.closing:
                before.add(await alice.send("bob", b"one more"))
                await asyncio.sleep(0)
            late = await alice.send("bob", b"late")
            assert late[0].session == 1
            assert not {entry.receipt for entry in await closing} - before

    virtual(scenario)


def test_who_waits_for_space_hears_of_the_end() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", log_messages=1) as alice:
            await bob.listen("memory:bob")
            transport = await alice.get_or_create_transport("bob")
            alice.send_nowait("bob", b"0")
            waiting = asyncio.ensure_future(alice.send("bob", b"1"))
            await asyncio.sleep(0)
            assert not waiting.done()
            await transport.close("")
            with pytest.raises(PeerClosedError):
                await waiting

    virtual(scenario)
