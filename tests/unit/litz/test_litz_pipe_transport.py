"""`litz.pipe_transport`, `litz.pipe_incoming` and `litz.pipe_outgoing`: a side as a transport of asyncio."""

from __future__ import annotations

import asyncio
import random

import pytest

from litz.errors import PipeResetError
from litz.pipe_outgoing import JOIN_BELOW, PipeOutgoing
from litz.stream_port import MAX_ENTRY, Abort
from litz.testing import SimLoop, run_simulation
from tests.unit.litz.pipe_ends import Recorder, recorded, streams, turns
from tests.unit.litz.side_pair import side_pair


def test_entries_are_as_large_as_the_peer_takes_and_one_that_was_refused_is_cut_again() -> None:
    out = PipeOutgoing()
    data = memoryview(bytes(range(256)) * (3 * MAX_ENTRY // 256))
    out.add(data)
    assert out.head(2 * MAX_ENTRY) == data[: 2 * MAX_ENTRY]
    assert out.head(MAX_ENTRY) == data[:MAX_ENTRY]
    joined = b""
    while (entry := out.head(10 * MAX_ENTRY)) is not None:
        joined += entry
        out.taken()
    assert joined == data
    assert out.size == 0


def test_small_writes_are_joined_and_large_ones_are_not_copied() -> None:
    out = PipeOutgoing()
    large = bytes(MAX_ENTRY * 2 + 10)
    for data in (b"a", b"b", large, b"c" * JOIN_BELOW, b"d", b"e" * (MAX_ENTRY - 1)):
        out.add(data)
    sizes, joined = [], b""
    assert out.size == len(large) + 3 + JOIN_BELOW + MAX_ENTRY - 1
    while (entry := out.head(MAX_ENTRY)) is not None:
        assert out.head(MAX_ENTRY) is entry
        if isinstance(entry, memoryview):
            assert entry.obj is large
        sizes.append(len(entry))
        joined += entry
        out.taken()
    assert sizes == [2, MAX_ENTRY, MAX_ENTRY, 10, JOIN_BELOW, 1, MAX_ENTRY - 1]
    assert joined == b"ab" + large + b"c" * JOIN_BELOW + b"d" + b"e" * (MAX_ENTRY - 1)
    assert out.size == 0


@pytest.mark.parametrize("seed", range(30))
def test_all_bytes_arrive_in_order_both_ways_with_slow_readers(seed: int) -> None:
    async def main(loop: SimLoop) -> None:
        rng = random.Random(seed)
        window = rng.choice([64 * 1024, 200_000])
        ends = side_pair(log=rng.choice([1, 50_000, 300_000]), window=window)
        pairs = [streams(side, limit=rng.choice([10, 1000, 64 * 1024])) for side in ends]
        sent = [rng.randbytes(rng.randrange(400_000)) for _ in pairs]

        async def write(writer: asyncio.StreamWriter, data: bytes, chance: random.Random) -> None:
            at = 0
            while at < len(data):
                size = chance.choice([1, 10, 5000, 100_000])
                part = data[at : at + size]
                at += size
                writer.write(chance.choice([bytes, bytearray, memoryview])(part))
                if chance.random() < 0.5:
                    await writer.drain()
            writer.write_eof()

        async def read(reader: asyncio.StreamReader, chance: random.Random) -> bytes:
            got = bytearray()
            while part := await reader.read(chance.choice([1000, 100_000])):
                got += part
                if chance.random() < 0.1:
                    await asyncio.sleep(chance.random())
            return bytes(got)

        works = [
            write(pair[1], data, random.Random(f"{seed} w {i}"))
            for i, (pair, data) in enumerate(zip(pairs, sent, strict=True))
        ]
        reads = [read(pair[0], random.Random(f"{seed} r {i}")) for i, pair in enumerate(pairs)]
        got = await asyncio.gather(*reads, *works)
        assert got[1] == sent[0]
        assert got[0] == sent[1]
        for reader, writer in pairs:
            assert reader.at_eof()
            writer.close()
            await writer.wait_closed()
        assert all(side.released for side in ends)

    run_simulation(main, seed=seed)


async def test_a_thousand_small_writes_in_one_turn_are_few_entries() -> None:
    a, b = side_pair()
    (_, writer), (reader, other) = streams(a), streams(b)
    for number in range(1000):
        writer.write(b"%04d" % number)
    assert (await reader.readexactly(4000))[-4:] == b"0999"
    assert sum(count for count, _ in b.taken) <= 3
    writer.close()
    other.close()
    await asyncio.gather(writer.wait_closed(), other.wait_closed())


async def test_the_first_write_of_a_turn_leaves_at_once() -> None:
    a, b = side_pair()
    (_, writer), (_, other) = streams(a), streams(b)
    writer.write(b"x")
    assert a.unconfirmed == 1
    writer.write(b"y")
    assert a.unconfirmed == 1
    writer.transport.abort()
    other.transport.abort()
    await asyncio.gather(writer.wait_closed(), other.wait_closed())


async def test_a_protocol_that_pauses_reading_stops_its_peer() -> None:
    a, b = side_pair(log=100_000, window=64 * 1024)
    transport, writing = recorded(a)
    other, reading = recorded(b)
    other.pause_reading()
    assert not other.is_reading()
    for _ in range(40):
        transport.write(bytes(10_000))
    await asyncio.sleep(0)
    assert "pause" in writing.calls
    for _ in range(50):
        await asyncio.sleep(0)
    assert not reading.data
    assert not b.taken, "what was not read may not be granted again"
    assert transport.get_write_buffer_size() >= 400_000 - 100_000 - 64 * 1024
    transport.close()
    assert not writing.lost.done()
    other.resume_reading()
    assert not reading.data, "the protocol is never called from resume_reading"
    assert await writing.lost is None
    assert len(reading.data) == 400_000
    assert sum(size for _, size in b.taken) == 400_000
    assert reading.calls == ["made", "eof"]
    other.close()
    assert await reading.lost is None
    assert b.released
    assert a.released


async def test_what_waits_behind_a_pause_comes_before_the_end() -> None:
    a, b = side_pair()
    transport, writing = recorded(a)
    other, reading = recorded(b)
    other.pause_reading()
    transport.write(b"before")
    transport.write_eof()
    transport.close()
    assert await writing.lost is None
    await turns()
    assert reading.calls == ["made"]
    other.resume_reading()
    await turns()
    assert reading.data == b"before"
    assert reading.calls == ["made", "eof"]
    other.close()
    assert await reading.lost is None


async def test_write_buffer_limits_are_those_of_asyncio() -> None:
    a, b = side_pair()
    transport, protocol = recorded(a)
    other, _ = recorded(b)
    assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
    transport.set_write_buffer_limits(low=10)
    assert transport.get_write_buffer_limits() == (10, 40)
    with pytest.raises(ValueError, match="low"):
        transport.set_write_buffer_limits(1, 2)
    transport.set_write_buffer_limits(0)
    a.log = 1
    a.hold()
    transport.write(b"xx")
    transport.write(b"yy")
    assert protocol.calls == ["made", "pause"]
    a.flow()
    await turns()
    assert protocol.calls == ["made", "pause", "resume"]
    transport.abort()
    other.abort()
    await protocol.lost


async def test_misuse_is_told_as_asyncio_tells_it() -> None:
    a, b = side_pair()
    transport, protocol = recorded(a)
    other, _ = recorded(b)
    with pytest.raises(TypeError, match="bytes-like"):
        transport.write("text")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(TypeError, match="bytes-like"):
        transport.writelines([b"", "text"])  # type: ignore[list-item]  # the mistake under test
    assert transport.can_write_eof()
    transport.write_eof()
    transport.write_eof()
    with pytest.raises(RuntimeError, match="write_eof"):
        transport.write(b"x")
    with pytest.raises(RuntimeError, match="write_eof"):
        transport.writelines([b"x"])
    transport.close()
    transport.close()
    transport.abort()
    assert await protocol.lost is None
    assert transport.get_extra_info("peername") == "bob"
    assert transport.get_extra_info("litz.service") == "test"
    assert transport.get_extra_info("socket") is None
    other.abort()


async def test_an_error_out_of_the_protocol_is_reported_and_breaks_the_pipe(loop_errors: list[str]) -> None:
    class Broken(Recorder):
        def data_received(self, data: bytes) -> None:
            raise LookupError("a bug")

    a, b = side_pair()
    _, protocol = recorded(a, Broken())
    other, told = recorded(b)
    other.write(b"x")
    assert isinstance(await protocol.lost, LookupError)
    error = await told.lost
    assert isinstance(error, PipeResetError)
    assert error.code == Abort.HANDLER_FAILED
    assert "LookupError" in str(error)
    assert len(loop_errors) == 1
    loop_errors.clear()


async def test_a_buffered_protocol_is_filled() -> None:
    class Filled(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.room = bytearray(7)
            self.data = bytearray()
            self.lost = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.room

        def buffer_updated(self, nbytes: int) -> None:
            self.data += self.room[:nbytes]

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(exc)

    a, b = side_pair()
    _, protocol = recorded(a, Filled())
    other, told = recorded(b)
    sent = random.Random(1).randbytes(100_001)
    other.writelines([sent[:5], memoryview(sent)[5:]])
    other.write_eof()
    assert await protocol.lost is None, "without an answer of eof_received the end closes"
    assert protocol.data == sent
    other.close()
    assert await told.lost is None


async def test_what_was_written_may_be_changed_afterwards() -> None:
    a, b = side_pair()
    (_, writer), (reader, other) = streams(a), streams(b)
    data = bytearray(b"good")
    a.hold()
    writer.write(data)
    data[:] = b"evil"
    a.flow()
    assert await reader.readexactly(4) == b"good"
    writer.close()
    other.close()
    await asyncio.gather(writer.wait_closed(), other.wait_closed())


async def test_what_lasts_is_not_copied_and_goes_out_as_large_as_the_peer_takes_it() -> None:
    a, b = side_pair(log=10 * MAX_ENTRY, window=10 * MAX_ENTRY)
    a.most = 3 * MAX_ENTRY
    transport, protocol = recorded(a)
    other, receiver = recorded(b)
    data = memoryview(bytes(4 * MAX_ENTRY))
    a.hold()
    transport.write_lasting(data)
    assert a.largest == 3 * MAX_ENTRY
    assert all(isinstance(entry, memoryview) and entry.obj is data.obj for entry, _ in a._waiting)
    a.flow()
    transport.write_eof()
    with pytest.raises(RuntimeError, match="after write_eof"):
        transport.write_lasting(data)
    transport.close()
    await protocol.lost
    assert receiver.data == data
    other.abort()


async def test_a_turn_that_writes_much_does_not_keep_it_till_its_end() -> None:
    a, b = side_pair(log=10 * MAX_ENTRY, window=10 * MAX_ENTRY)
    transport, protocol = recorded(a)
    other, _ = recorded(b)
    for _ in range(8):
        transport.write(bytes(JOIN_BELOW))
    assert a.unconfirmed == 8 - MAX_ENTRY // JOIN_BELOW + 1
    assert "pause" not in protocol.calls
    transport.abort()
    other.abort()
    await protocol.lost


class PausesAtOnce(Recorder):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.pause_reading()


async def test_only_what_the_protocol_took_is_granted_again() -> None:
    a, b = side_pair()
    transport, protocol = recorded(a, PausesAtOnce())
    other, _ = recorded(b)
    transport.received([b"one", b"three"], 8)
    assert a.taken == [(1, 3)]
    transport.resume_reading()
    transport.received([b"x"], 1)  # before the protocol was given what waits
    assert protocol.data == b"one"
    await asyncio.sleep(0)
    assert (protocol.data, a.taken) == (b"onethree", [(1, 3), (1, 5)])
    transport.resume_reading()
    await asyncio.sleep(0)
    assert (protocol.data, a.taken) == (b"onethreex", [(1, 3), (1, 5), (1, 1)])
    transport.close()
    transport.received([b"not wanted"], 10)
    assert a.taken[-1] == (1, 10), "who still sends to a closed end waits for nobody"
    other.close()
    await protocol.lost


async def test_what_waits_unread_is_granted_again_when_the_end_is_closed() -> None:
    a, b = side_pair()
    transport, protocol = recorded(a, PausesAtOnce())
    other, _ = recorded(b)
    transport.received([b"one", b"three"], 8)
    transport.close()
    assert a.taken == [(1, 3), (1, 5)]
    other.close()
    await protocol.lost
