"""The faulty wire is a proper wire until it is told otherwise, and its faults are what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from litz.testing.faulty_wire import FaultyWire, FaultyWireBuilder
from litz.testing.recording import End, open_ends
from litz.testing.wire_contract import WIRE_CHECKS, WireCheck
from litz.wire import Endpoint, LossReason, Wire
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder

BOB = Endpoint("memory", "memory:bob")


@asynccontextmanager
async def make_pair() -> AsyncIterator[tuple[Wire, Wire]]:
    builder = FaultyWireBuilder(MemoryWireBuilder(MemoryNetwork()))
    accepted: asyncio.Queue[Wire] = asyncio.Queue()
    listener = await builder.listen(BOB, accepted.put_nowait)
    dialled = await builder.build("bob", BOB)
    assert builder.is_local(BOB)
    yield dialled, await accepted.get()
    assert len(builder.wires) == 2
    await listener.aclose()
    await builder.aclose()


def faulty(end: End) -> FaultyWire:
    assert isinstance(end.wire, FaultyWire)
    return end.wire


@pytest.mark.parametrize("check", WIRE_CHECKS.values(), ids=list(WIRE_CHECKS))
async def test_contract(check: WireCheck) -> None:
    await check(make_pair)


async def test_a_cut_is_a_reset_to_both() -> None:
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        acceptor.start()
        faulty(dialler).cut_after(2)
        for frame in (b"1", b"2", b"3"):
            dialler.write(frame)
        assert (await dialler.closed()).reason is LossReason.RESET
        assert (await acceptor.closed()).reason is LossReason.RESET
        assert acceptor.sink.frames in ([], [b"1"], [b"1", b"2"])
        assert faulty(dialler).hits["cut"] == 1


async def test_lost_directions_are_silent() -> None:
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        acceptor.start()
        faulty(dialler).lose(incoming=False)
        dialler.write(b"vanishes")
        acceptor.write(b"arrives")
        await dialler.receives([b"arrives"])
        faulty(dialler).lose(outgoing=False)
        acceptor.write(b"vanishes too")
        dialler.close()
        await acceptor.closed()
        await dialler.closed()
        assert acceptor.sink.frames == []
        assert dialler.sink.frames == [b"arrives"]


@pytest.mark.parametrize("verb", ["close", "abort"])
async def test_a_half_open_wire_learns_nothing_and_can_be_ended(verb: str) -> None:
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        acceptor.start()
        faulty(acceptor).lose()
        dialler.abort()
        await dialler.closed()
        for _ in range(5):
            await asyncio.sleep(0)
        assert acceptor.sink.loss is None
        acceptor.write(b"to nobody")
        getattr(acceptor, verb)()
        assert (await acceptor.closed()).reason is LossReason.LOCAL


async def test_a_stall_holds_frames_and_the_end() -> None:
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        acceptor.start()
        faulty(acceptor).stall()
        dialler.write(b"held")
        dialler.close()
        await dialler.closed()
        assert acceptor.sink.frames == []
        assert acceptor.sink.loss is None
        faulty(acceptor).resume()
        await acceptor.receives([b"held"])
        assert (await acceptor.closed()).reason is LossReason.REMOTE


async def test_aborting_a_stalled_wire_ends_it() -> None:
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        acceptor.start()
        faulty(acceptor).stall()
        dialler.abort()
        await dialler.closed()
        await asyncio.sleep(0)
        acceptor.abort()
        assert (await acceptor.closed()).reason is LossReason.LOCAL


async def test_dials_can_be_refused_and_hang() -> None:
    builder = FaultyWireBuilder(MemoryWireBuilder(MemoryNetwork()))
    builder.refuse, builder.hang = 1, 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await builder.build("bob", BOB)
    with pytest.raises(ConnectionError, match="refuses"):
        await builder.build("bob", BOB)
    assert builder.dials[BOB.address] == 2
