"""A peer that breaks RFC 6455 costs itself the wire and is told why: `outproc.wires.websocket.driver`."""

from __future__ import annotations

import pytest
from websockets.frames import Frame
from websockets.protocol import CLIENT, Protocol

from litz.testing.recording import RecordingSink
from litz.wire import HIGH_WATER, LossReason
from outproc.wires.websocket import WebSocketWireBuilder
from outproc.wires.websocket.driver import MAX_FRAGMENTS, MAX_FRAME
from tests.unit.outproc_websocket.kit import endpoint, fake_server, frame, gone, hang_up, in_time, listening

pytestmark = pytest.mark.both_loops

CASES: dict[str, tuple[int, list[tuple[bytes, int, bool]] | bytes]] = {
    # name: (expected close code, frames as (data, opcode, fin) or raw bytes)
    "text": (1003, [(b"hello", 1, True)]),
    "fragmented text": (1003, [(b"hel", 1, False)]),
    "reserved opcode": (1002, b"\x83"),
    "reserved control opcode": (1002, b"\x8b"),
    "continuation of nothing": (1002, [(b"x", 0, True)]),
    "message inside a message": (1002, [(b"x", 2, False), (b"y", 2, True)]),
    "long ping": (1002, [(bytes(126), 9, True)]),
    "fragmented ping": (1002, [(b"", 9, False)]),
    "close of one byte": (1002, [(b"\x03", 8, True)]),
    "close with a bad code": (1002, [(b"\x03\xed", 8, True)]),
    "too large": (1009, [(bytes(MAX_FRAME + 1), 2, True)]),
    "too large in parts": (1009, [(bytes(64 * 1024), 2, False)] + [(bytes(64 * 1024), 0, False)] * 16),
    "a flood of empty fragments": (1009, [(b"", 2, False)] + [(b"", 0, False)] * MAX_FRAGMENTS),
}


def _bytes(case: list[tuple[bytes, int, bool]] | bytes, *, mask: bool) -> bytes:
    if isinstance(case, bytes):
        return case + (b"\x80" + bytes(4) if mask else b"\x00")
    return b"".join(frame(data, opcode, mask=mask, fin=fin) for data, opcode, fin in case)


def _close_code(received: bytes, *, masked: bool) -> int | None:
    """The code of the close frame that came last."""
    at = received.rfind(b"\x88")
    if at < 0:
        return None
    data = received[at + 2 :]
    if masked:
        data = bytes(byte ^ data[n % 4] for n, byte in enumerate(data[4:]))
    return int.from_bytes(data[:2], "big")


@pytest.mark.parametrize("name", CASES)
async def test_the_accepting_side_ends_the_wire_and_says_why(name: str) -> None:
    code, case = CASES[name]
    async with listening() as port:
        reader, writer, wire = await port.upgraded()
        sink = RecordingSink()
        wire.start(sink)
        writer.write(frame(b"good", mask=True) + _bytes(case, mask=True) + frame(b"late", mask=True))
        received = await reader.read()
        writer.close()
        await gone(sink)
        assert sink.frames == [b"good"]
        assert sink.loss is not None
        assert sink.loss.reason is LossReason.PROTOCOL
        assert _close_code(received, masked=False) == code
        assert sink.wrong == []


@pytest.mark.parametrize("name", CASES)
async def test_the_dialling_side_ends_the_wire(name: str) -> None:
    _, case = CASES[name]
    bad = frame(b"good", mask=False) + _bytes(case, mask=False) + frame(b"late", mask=False)
    async with fake_server(None, bad) as url:
        wire = await WebSocketWireBuilder().build("peer", endpoint(url))
        sink = RecordingSink()
        wire.start(sink)
        await gone(sink)
        assert sink.frames == [b"good"]
        assert sink.loss is not None
        assert sink.loss.reason is LossReason.PROTOCOL


@pytest.mark.parametrize("mask", [False, True], ids=["from the client", "from the server"])
async def test_a_wrong_mask_costs_the_wire(mask: bool) -> None:
    bad = frame(b"x", mask=mask)
    sink = RecordingSink()
    if mask:
        async with fake_server(None, bad) as url:
            (await WebSocketWireBuilder().build("peer", endpoint(url))).start(sink)
            await gone(sink)
    else:
        async with listening() as port:
            reader, writer, wire = await port.upgraded()
            wire.start(sink)
            writer.write(bad)
            assert _close_code(await reader.read(), masked=False) == 1002
            await gone(sink)
            await hang_up(writer)
    assert sink.frames == []
    assert sink.loss is not None
    assert sink.loss.reason is LossReason.PROTOCOL


async def test_a_reserved_bit_costs_the_wire() -> None:
    async with listening() as port:
        reader, writer, wire = await port.upgraded()
        sink = RecordingSink()
        wire.start(sink)
        writer.write(frame(b"compressed?", mask=True, rsv1=True))
        assert _close_code(await reader.read(), masked=False) == 1002
        await gone(sink)
        await hang_up(writer)
        assert sink.frames == []


async def test_a_peer_that_stays_after_breaking_the_rules_is_cut_off_soon() -> None:
    async with listening() as port:
        _, writer, wire = await port.upgraded()
        sink = RecordingSink()
        wire.start(sink)
        writer.write(frame(b"text", 1, mask=True))
        await in_time(2.0, gone(sink))
        await hang_up(writer)


async def test_fragmented_messages_of_other_clients_are_put_together() -> None:
    async with listening() as port:
        reader, writer, wire = await port.upgraded()
        sink = RecordingSink()
        wire.start(sink)
        parts = [b"a" * 70000, b"", b"b", b"c" * 300]
        sent = [frame(part, 0 if n else 2, mask=True, fin=n == 3) for n, part in enumerate(parts)]
        writer.write(sent[0] + sent[1] + frame(b"are you there", 9, mask=True) + sent[2] + sent[3])
        writer.write(frame(b"plain again", mask=True))
        await sink.until(lambda: len(sink.frames) == 2, "both messages")
        assert sink.frames == [b"".join(parts), b"plain again"]
        judge = Protocol(CLIENT)
        judge.receive_data(await reader.readexactly(15))
        [pong] = judge.events_received()
        assert isinstance(pong, Frame)
        assert (pong.opcode, bytes(pong.data)) == (10, b"are you there")
        await hang_up(writer)
        await gone(sink)


async def test_pings_of_a_peer_that_reads_nothing_cost_bounded_memory() -> None:
    # Else the system ends the connection, whose answers nobody takes, before a slow machine has read all pings.
    async with listening(dead_after=600.0) as port:
        _, writer, wire = await port.upgraded()
        sink = RecordingSink()
        wire.start(sink)
        flood = frame(bytes(125), 9, mask=True) * 5000
        for _ in range(20):  # 13 MB of pings; the kernels hold some of the answers
            writer.write(flood)
            await writer.drain()
            assert wire.buffered_bytes < 2 * HIGH_WATER
        writer.write(frame(b"alive", mask=True))
        await sink.until(lambda: sink.frames == [b"alive"], "the frame behind the flood")
        await hang_up(writer)
        await gone(sink)


async def test_a_close_of_the_peer_is_answered_and_named() -> None:
    async with listening() as port:
        reader, writer, wire = await port.upgraded()
        sink = RecordingSink()
        wire.start(sink)
        writer.write(frame(b"last", mask=True) + frame(b"\x03\xe9" + b"going", 8, mask=True))
        assert _close_code(await reader.read(), masked=False) == 1001
        await gone(sink)
        assert sink.frames == [b"last"]
        assert sink.loss is not None
        assert sink.loss.reason is LossReason.REMOTE
        assert "going" in str(sink.loss)
        await hang_up(writer)


async def test_a_peer_that_ignores_our_close_is_cut_off() -> None:
    async with listening() as port:
        _, writer, wire = await port.upgraded()
        sink = RecordingSink()
        wire.start(sink)
        wire.close()
        await in_time(4.0, gone(sink))
        assert sink.loss is not None
        assert sink.loss.reason is LossReason.LOCAL
        await hang_up(writer)
