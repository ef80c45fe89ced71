"""The urgent channel at aiortc: before bulk that was not begun, in its own order, and not for ever."""

from __future__ import annotations

from litz.testing.recording import RecordingSink
from outproc.wires.webrtc.aiortc_engine import MOST_OVERTAKING, AiortcConnection
from outproc.wires.webrtc.engine import BULK, URGENT
from tests.unit.outproc_webrtc.webrtc_kit import wire_pair

SIZE = 1_000


async def test_urgent_messages_overtake_bulk_that_waits_and_give_it_its_turn() -> None:
    async with wire_pair() as (wire, other):
        sink = RecordingSink()
        wire.start(RecordingSink())
        other.start(sink)
        connection = wire.connection
        assert isinstance(connection, AiortcConnection)
        # In one turn of the loop nothing leaves the library.
        for number in range(50):
            connection.send(BULK, b"\x00b%03d" % number + bytes(SIZE))
        for number in range(200):
            connection.send(URGENT, b"\x00u%03d" % number + bytes(SIZE))
        waiting = [bytes(item[2][1:5]) for item in connection._sctp._data_channel_queue]
        before_bulk = waiting.index(b"b000")
        assert waiting[0] == b"u000"
        assert MOST_OVERTAKING - 2 * SIZE < before_bulk * SIZE <= MOST_OVERTAKING
        assert [each for each in waiting if each[:1] == b"u"] == [b"u%03d" % number for number in range(200)]
        assert [each for each in waiting if each[:1] == b"b"] == [b"b%03d" % number for number in range(50)]
        await sink.until(lambda: len(sink.urgent) == 200 and len(sink.frames) == 50, "all of it arrives")
        assert [frame[:4] for frame in sink.urgent] == [b"u%03d" % number for number in range(200)]
