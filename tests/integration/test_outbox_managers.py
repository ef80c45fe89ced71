"""Durable messages between real managers on real sockets and files: restarts of either side, and disks that fail.

Covers `outproc.durable`, `outproc.durable_port`, `outproc.outbox.outbox`, `outproc.outbox.inbox`,
`outproc.outbox.commits`, `outproc.outbox.conversations`, `outproc.outbox.producer` and `outproc.outbox.outbox_dest`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from litz.errors import ConnectError, InvalidDestError, MessageDroppedError, NotARequestError
from litz.message import Message
from outproc import OutprocTransportManager
from outproc.outbox import DeadLettered, DurableUnsupported, Inbox, OutboxFullError
from outproc.outbox.records import Open, encode_open
from outproc.outbox.sqlite_upkeep import OutboxUpkeep
from tests.integration.outbox_nodes import (
    DURABLE,
    SOON,
    address,
    alice_of,
    backlog,
    bob_of,
    bodies,
    effects,
    inbox,
    outbox_of,
    send_all,
    until_session_over,
)
from tests.integration.outproc_nodes import LOOPBACK, next_of, node, take, until

# -- the way of a message ---------------------------------------------------------------------------------


async def test_a_message_is_committed_delivered_and_confirmed(tmp_path: Path) -> None:
    async with bob_of(tmp_path) as bob, alice_of(tmp_path, bob.endpoints[0]) as alice:
        (channel, number) = await alice.send("bob", [b"on", b"e"], payload_type=DURABLE, key="k")
        assert (channel.dest, channel.lane, number) == ("bob", int(DURABLE), 1)
        confirmed = asyncio.create_task(alice.send("bob", b"two", payload_type=DURABLE, confirm="durable"))
        one, two = await take(bob, 2)
        assert (one.data, one.number, one.key, one.redelivered, one.sender) == (b"one", 1, "k", False, "alice")
        assert (two.data, two.payload_type, two.is_request) == (b"two", DURABLE, False)
        with pytest.raises(NotARequestError):
            await two.reply(b"")
        assert (await confirmed)[1] == 2
        await alice.drain("bob", timeout=SOON)


async def test_without_an_outbox_or_in_the_wrong_way_it_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"outbox= takes Outbox\(path\)"):
        OutprocTransportManager("bob", outbox="bob.outbox")  # type: ignore[arg-type]  # a misunderstanding
    async with node("bob") as bob:
        with pytest.raises(ValueError, match="outbox=Outbox"):
            await bob.send("alice", b"", payload_type=DURABLE)
    async with alice_of(tmp_path, "ws://127.0.0.1:9") as alice:
        with pytest.raises(ValueError, match="await send"):
            alice.send_nowait("bob", b"", payload_type=DURABLE)
        with pytest.raises(ValueError, match="confirm is"):
            await alice.send("bob", b"", payload_type=DURABLE, confirm="read")  # type: ignore[arg-type]  # on purpose
        with pytest.raises(ValueError, match="RPC_DURABLE"):
            await alice.send("bob", b"", confirm="durable", when_down="queue")
        with pytest.raises(ConnectError):
            await alice.send("bob", b"", payload_type=DURABLE, when_down="fail")
        with pytest.raises(TimeoutError):
            await alice.send("bob", b"kept all the same", payload_type=DURABLE, confirm="durable", timeout=0.01)


async def test_large_messages_and_more_than_memory_holds_arrive_in_order(tmp_path: Path) -> None:
    large = bytes(300_000)
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        await send_all(alice, 0, 3000, size=3000)
        await alice.send("bob", large, payload_type=DURABLE)
        await send_all(alice, 3000, 3010)
        async with bob_of(tmp_path, address(tmp_path)) as bob:
            got = await take(bob, 3011)
            await alice.drain(timeout=SOON)
    assert [int.from_bytes(body, "big") for body in bodies(got[:3000])] == list(range(3000))
    assert got[3000].data == large
    assert [int.from_bytes(body, "big") for body in bodies(got[3001:])] == list(range(3000, 3010))
    assert not any(message.redelivered for message in got)


# -- restarts ---------------------------------------------------------------------------------------------


async def test_what_was_accepted_is_sent_by_the_next_run_by_itself(tmp_path: Path) -> None:
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        await send_all(alice, 0, 20)
    async with alice_of(tmp_path, address(tmp_path)), bob_of(tmp_path, address(tmp_path)) as bob:
        got = await take(bob, 20)
    assert [int.from_bytes(body, "big") for body in bodies(got)] == list(range(20))
    assert not any(message.redelivered for message in got)


@pytest.mark.parametrize("talking", [False, True])
async def test_what_was_delivered_and_not_processed_comes_again_and_is_marked(tmp_path: Path, talking: bool) -> None:
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        async with bob_of(tmp_path, address(tmp_path)) as bob:
            if talking:
                # They are posted as soon as they are committed; otherwise they are read when bob has accepted.
                await alice.send("bob", b"first", payload_type=DURABLE)
                await take(bob, 1)
            await send_all(alice, 0, 6)
            got = await take(bob, 3)
            await until(lambda: backlog(alice) == 3, "three are processed and confirmed")
        assert [int.from_bytes(body, "big") for body in bodies(got)] == [0, 1, 2]
        await until_session_over(alice)
        async with bob_of(tmp_path, address(tmp_path)) as bob:
            await send_all(alice, 6, 8)
            got = await take(bob, 5)
    assert [int.from_bytes(body, "big") for body in bodies(got)] == [3, 4, 5, 6, 7]
    assert [message.redelivered for message in got] == [True, True, True, False, False]


async def test_a_new_session_between_living_processes_brings_nothing_twice(tmp_path: Path) -> None:
    async with alice_of(tmp_path, address(tmp_path)) as alice, bob_of(tmp_path, address(tmp_path)) as bob:
        got: list[Message] = []
        async with bob.messages() as stream:
            for turn in range(5):
                await send_all(alice, 10 * turn, 10 * turn + 10)
                await alice.close_transport("bob")
                got += [await anext(stream) for _ in range(5)]
            await send_all(alice, 50, 51)
            while len(got) < 51:
                got.append(await anext(stream))
        await alice.drain(timeout=SOON)
    assert [int.from_bytes(body, "big") for body in bodies(got)] == list(range(51))
    assert not any(message.redelivered for message in got)


async def test_sessions_that_bring_nothing_leave_nothing_behind_what_nobody_consumes(tmp_path: Path) -> None:
    async with bob_of(tmp_path) as bob, alice_of(tmp_path, bob.endpoints[0]) as alice:
        await alice.send("bob", b"one", payload_type=DURABLE)
        at_bob, at_alice = bob._durable.inbox, outbox_of(alice)._opened
        assert isinstance(at_bob, Inbox) and at_alice is not None
        await until(lambda: at_bob.snapshot().waiting == 1, "it waits at bob")
        (producer,) = at_bob._producers
        said = encode_open(Open(at_alice.runs[-1].epoch, at_alice.producer, at_alice.runs[-1].token))
        for _ in range(100):
            at_bob.received("alice", memoryview(said))
        assert len(producer.queues) == 2
        await alice.send("bob", b"two", payload_type=DURABLE)
        assert bodies(await take(bob, 2)) == [b"one", b"two"]
        await alice.drain("bob", timeout=SOON)


async def test_both_restart(tmp_path: Path) -> None:
    async with bob_of(tmp_path, address(tmp_path)) as bob, alice_of(tmp_path, address(tmp_path)) as alice:
        await send_all(alice, 0, 5)
        await take(bob, 2)
    async with bob_of(tmp_path, address(tmp_path)) as bob, alice_of(tmp_path, address(tmp_path)) as alice:
        await send_all(alice, 5, 6)
        numbers = []
        async with asyncio.timeout(SOON):
            async for message in bob.messages():
                numbers.append(int.from_bytes(message.data, "big"))
                if numbers[-1] == 5:
                    break
                assert message.redelivered
    assert numbers in ([0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [2, 3, 4, 5])


# -- effects ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [None, 8])
async def test_effects_are_committed_with_the_position_once(tmp_path: Path, concurrency: int | None) -> None:
    got: list[int] = []
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        for life in range(3):
            taken = inbox(tmp_path)

            async def handler(message: Message, taken: Inbox = taken) -> None:
                body = message.data
                await taken.apply(message, lambda db: db.execute("INSERT INTO effect VALUES (?)", (body,)))
                assert not await taken.apply(message, lambda db: db.execute("INSERT INTO effect VALUES (?)", (body,)))
                got.append(message.number)

            async with node("bob", listen=address(tmp_path), inbox=taken) as bob:
                served = asyncio.create_task(bob.serve(handler, concurrency=concurrency))
                await send_all(alice, 40 * life, 40 * life + 40)
                await until(lambda life=life: len(got) > 40 * life + 20, "it is at work")  # type: ignore[misc]  # bound now
            await asyncio.gather(served, return_exceptions=True)
        async with node("bob", listen=address(tmp_path), inbox=(taken := inbox(tmp_path))) as bob:

            async def last(message: Message) -> None:
                await taken.apply(message, lambda db: db.execute("INSERT INTO effect VALUES (?)", (message.data,)))

            served = asyncio.create_task(bob.serve(last))
            await alice.drain(timeout=SOON)
        await asyncio.gather(served, return_exceptions=True)
    assert sorted(int.from_bytes(what, "big") for what in effects(tmp_path)) == list(range(120))


async def test_an_effect_that_fails_is_the_handlers_to_mend(tmp_path: Path) -> None:
    taken, told = inbox(tmp_path), []

    def bad(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO effect VALUES (x'00')")
        raise KeyError("no such order")

    async def handler(message: Message) -> None:
        try:
            await taken.apply(message, bad)
        except KeyError as error:
            told.append(error)
        await taken.apply(message, lambda db: db.execute("INSERT INTO effect VALUES (?)", (message.data,)))

    async with node("bob", listen=LOOPBACK, inbox=taken) as bob, alice_of(tmp_path, bob.endpoints[0]) as alice:
        served = asyncio.create_task(bob.serve(handler))
        await alice.send("bob", b"good", payload_type=DURABLE, confirm="processed", timeout=SOON)
        served.cancel()
        await asyncio.gather(served, return_exceptions=True)
        await alice.send("bob", b"plain")
        (plain,) = await take(bob, 1)
        with pytest.raises(ValueError, match="durable messages"):
            await taken.apply(plain, bad)
    assert len(told) == 1
    assert effects(tmp_path) == [b"good"]


# -- peers that cannot, and messages that must not --------------------------------------------------------


async def test_a_peer_without_an_inbox_gets_them_once_it_has_one(tmp_path: Path) -> None:
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        events = alice.events()
        async with node("bob", listen=address(tmp_path)) as bob:
            await send_all(alice, 0, 2)
            assert "no inbox" in (await next_of(events, DurableUnsupported)).reason
            await alice.send("bob", b"others go on", confirm="received", timeout=SOON)
            assert bodies(await take(bob, 1)) == [b"others go on"]
        async with bob_of(tmp_path, address(tmp_path)) as bob:
            assert len(await take(bob, 2)) == 2


async def test_a_message_that_the_peer_cannot_take_becomes_a_dead_letter_and_is_told(tmp_path: Path) -> None:
    small = {"max_message": 1000, "ping_after": 0.2}
    async with (
        node("bob", listen=LOOPBACK, inbox=inbox(tmp_path), options=small) as bob,
        alice_of(tmp_path, bob.endpoints[0]) as alice,
    ):
        events = alice.events()
        with pytest.raises(MessageDroppedError, match="too large"):
            await alice.send("bob", bytes(2000), payload_type=DURABLE, confirm="durable", timeout=SOON)
        assert (await next_of(events, DeadLettered)).reason == "too large"
        await alice.send("bob", b"fits", payload_type=DURABLE)
        assert bodies(await take(bob, 1)) == [b"fits"]
        await alice.drain(timeout=SOON)


async def test_a_dead_letter_is_sent_again_when_somebody_wants_it(tmp_path: Path) -> None:
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        events = alice.events()
        small = {"max_message": 1000}
        async with node("bob", listen=address(tmp_path), inbox=inbox(tmp_path), options=small):
            await alice.send("bob", bytes(2000), payload_type=DURABLE)
            (dead,) = (await next_of(events, DeadLettered)).sequences
            await until(lambda: not backlog(alice), "it is written down")
        with OutboxUpkeep(tmp_path / "outbox") as upkeep:
            assert [letter.sequence for letter in upkeep.dead("bob")] == [dead]
            assert upkeep.retry([dead]) == 1
        async with bob_of(tmp_path, address(tmp_path)) as bob:
            (message,) = await take(bob, 1)
            assert (message.data, message.redelivered) == (bytes(2000), True)
            await alice.drain(timeout=SOON)


async def test_a_full_outbox_refuses_and_takes_more_when_there_is_room(tmp_path: Path) -> None:
    async with alice_of(tmp_path, address(tmp_path), max_bytes=2000) as alice:
        await alice.send("bob", bytes(1000), payload_type=DURABLE)
        with pytest.raises(OutboxFullError, match="max_bytes"):
            await alice.send("bob", bytes(1000), payload_type=DURABLE)
        async with bob_of(tmp_path, address(tmp_path)) as bob:
            await take(bob, 1)
            await alice.drain(timeout=SOON)
            await until(lambda: not outbox_of(alice).used, "the deletion is committed")
            await alice.send("bob", bytes(1000), payload_type=DURABLE)


async def test_a_durable_message_to_oneself_is_refused_at_once(tmp_path: Path) -> None:
    """It would wait in the outbox for ever."""
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        with pytest.raises(InvalidDestError, match="this node"):
            await alice.send("alice", b"x", payload_type=DURABLE)
        assert not outbox_of(alice).used


async def test_answers_that_find_no_room_are_said_later(tmp_path: Path) -> None:
    async with bob_of(tmp_path, address(tmp_path)) as bob:
        port = bob._durable._port
        assert port is not None
        refused: list[bytes] = []

        def full(dest: str, topic: str, data: bytes, *, bulk: bool = False) -> bool:
            refused.append(data)
            return False

        port.post = full  # type: ignore[method-assign, assignment]  # a lane that is full: it takes 1,024 to fill it
        async with alice_of(tmp_path, address(tmp_path)) as alice:
            await alice.send("bob", b"one", payload_type=DURABLE)
            await until(lambda: refused, "the answer found no room")
            del port.post
            taken = bob._durable.inbox
            assert isinstance(taken, Inbox)
            taken.writable("alice")
            assert bodies(await take(bob, 1)) == [b"one"]
            await alice.drain(timeout=SOON)
