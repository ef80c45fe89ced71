"""Frames of much data are as large as the path is fast."""

from __future__ import annotations

from litz.testing.recording import RecordingSink
from outproc.wires.webrtc.engine import BULK, URGENT
from outproc.wires.webrtc.wire import FRAME_FOR, MAX_FRAME, SMALL_FRAME
from tests.unit.outproc_webrtc.webrtc_kit import wire_pair


async def test_a_frame_takes_a_few_milliseconds() -> None:
    async with wire_pair() as (wire, _):
        assert wire.frame_size == SMALL_FRAME < wire.max_frame == MAX_FRAME
        for rate, size in ((1e9, MAX_FRAME), (30e6, int(30e6 * FRAME_FOR)), (1e5, SMALL_FRAME)):
            wire._pace.rate = rate
            wire.drained(URGENT)  # says nothing of bulk
            wire.drained(BULK)
            assert wire.frame_size == size


async def test_the_largest_frame_arrives_whole() -> None:
    async with wire_pair() as (wire, other):
        sink = RecordingSink()
        wire.start(RecordingSink())
        other.start(sink)
        wire.write([b"x" * (MAX_FRAME - 1), b"y"])
        await sink.until(lambda: bool(sink.frames), "the frame")
        assert sink.frames == [b"x" * (MAX_FRAME - 1) + b"y"]
