"""The overflow policy SPILL: a full log goes on into the outbox, in order; memory takes over again when it is empty.

Covers the spilling of `outproc.durable` and `outproc.outbox.outbox`.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from litz.errors import BackpressureError
from litz.message import Message
from litz.payload import PayloadType
from outproc import OutprocTransportManager, Overflow, TransportOptions
from tests.integration.outbox_nodes import SOON, address, bob_of, outbox
from tests.integration.outproc_nodes import Manager, node, take

SPILL = {"overflow": {PayloadType.RPC_RELIABLE: Overflow.SPILL}, "log_messages": 10, "window_messages": 4}


def alice_of(folder: Path) -> AbstractAsyncContextManager[Manager]:
    return node("alice", knows={"bob": [address(folder)]}, outbox=outbox(folder), options=SPILL)


def numbers(messages: list[Message]) -> list[int]:
    return [int.from_bytes(message.data, "big") for message in messages]


async def send(alice: Manager, first: int, last: int) -> list[int]:
    """The lanes by which they went."""
    return [(await alice.send("bob", number.to_bytes(4, "big")))[0].lane for number in range(first, last)]


async def test_what_the_log_does_not_take_is_spilled_in_order_and_memory_takes_over_again(tmp_path: Path) -> None:
    async with bob_of(tmp_path, address(tmp_path)) as bob, alice_of(tmp_path) as alice:
        lanes = await send(alice, 0, 100)  # nobody reads at bob
        reliable, durable = int(PayloadType.RPC_RELIABLE), int(PayloadType.RPC_DURABLE)
        spilled = lanes.index(durable)
        assert lanes == [reliable] * spilled + [durable] * (100 - spilled)
        with pytest.raises(BackpressureError):
            alice.send_nowait("bob", b"it cannot wait for a disk")
        got = await take(bob, 100)
        assert numbers(got) == list(range(100))
        assert [message.payload_type for message in got] == lanes
        assert not any(message.redelivered for message in got)
        await alice.drain(timeout=SOON)
        assert await send(alice, 100, 101) == [reliable]
        assert numbers(await take(bob, 1)) == [100]


async def test_many_senders_at_once_keep_their_order(tmp_path: Path) -> None:
    async with bob_of(tmp_path, address(tmp_path)) as bob, alice_of(tmp_path) as alice:
        await send(alice, 0, 1)
        sends = [asyncio.create_task(send(alice, number, number + 1)) for number in range(1, 60)]
        got = await take(bob, 60)
        await asyncio.gather(*sends)
        assert numbers(got) == list(range(60))


async def test_what_was_spilled_outlives_the_sender(tmp_path: Path) -> None:
    async with bob_of(tmp_path, address(tmp_path)) as bob:
        async with alice_of(tmp_path) as alice:
            lanes = await send(alice, 0, 40)
        async with alice_of(tmp_path) as alice:
            spilled = lanes.index(int(PayloadType.RPC_DURABLE))
            assert await send(alice, 40, 41) == [int(PayloadType.RPC_DURABLE)], "behind what the last run left"
            got: list[int] = []
            async with bob.messages() as stream:
                while 40 not in got:
                    got += numbers([await anext(stream)])
            assert [number for number in got if number >= spilled] == list(range(spilled, 41))


async def test_a_peer_without_an_inbox_pushes_back(tmp_path: Path) -> None:
    async with node("bob", listen=address(tmp_path)), alice_of(tmp_path) as alice:
        with pytest.raises(BackpressureError, match="inbox="):
            await send(alice, 0, 100)


def test_spilling_needs_an_outbox_and_a_reliable_lane() -> None:
    options = TransportOptions(overflow={PayloadType.RPC_RELIABLE: Overflow.SPILL})
    with pytest.raises(ValueError, match=r"outbox=Outbox\(path\)"):
        OutprocTransportManager("alice", options=options)
    with pytest.raises(ValueError, match="only RPC_RELIABLE"):
        TransportOptions(overflow={PayloadType.RPC_SIGNAL: Overflow.SPILL})
