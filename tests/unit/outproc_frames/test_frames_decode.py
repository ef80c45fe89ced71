"""What only the decoder decides. The table of refusals is `docs/vectors/frames.json`."""

from __future__ import annotations

import pytest

from litz.errors import ProtocolError
from litz.message import Buffer
from outproc.frames.decode import decode_frame
from outproc.frames.encode import encode_batch, encode_leave, encode_ping, frame_header
from outproc.frames.records import Batch, Leave, Ping, Position


def decoded(bodies: list[bytes]) -> list[bytes]:
    out: list[Buffer] = [frame_header(1), encode_ping(5)]
    encode_batch(out, 0, 1, 0, 0, 0, bodies)
    out.append(encode_leave(3))
    ping, batch, leave = decode_frame(b"".join(out))[2]
    assert (ping, leave) == (Ping(5), Leave(3))
    assert isinstance(batch, Batch)
    return batch.bodies


@pytest.mark.parametrize("size", [0, 1, 1_023, 1_024, 1_025, 1_026, 16_384, 65_535, 65_536])
def test_bodies_of_every_size_class(size: int) -> None:
    bodies = [b"first", b"x" * size, b"", b"last"]
    assert decoded(bodies) == bodies


def test_bodies_are_bytes_of_their_own() -> None:
    assert {type(body) for body in decoded([b"a", b"b" * 2_000])} == {bytes}


def test_the_error_says_what_and_where() -> None:
    with pytest.raises(ProtocolError, match="unknown record type 0x43 at byte 24"):
        decode_frame(frame_header(1) + encode_ping(1) + b"\x43")
    with pytest.raises(ProtocolError, match="the frame of 10 bytes ends inside a record"):
        decode_frame((frame_header(1) + encode_ping(1))[:10])


def test_positions_compare_as_they_follow_each_other() -> None:
    assert Position(3, 900) < Position(4, 0) < Position(4, 1)
