"""Pieces of large messages are taken as views, and mean what `decode_frame` says."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litz.errors import ProtocolError
from litz.message import Buffer
from outproc.frames.decode import decode_frame
from outproc.frames.encode import encode_batch, encode_record, frame_header
from outproc.frames.pieces import LARGE, MOST, decode
from outproc.frames.records import MAX_ENTRY_SIZE, MAX_NUMBER, Ack, Batch, Position, Record


def frame_of(*records: Record, tag: int = 7, ack_now: bool = False) -> bytes:
    out: list[Buffer] = [frame_header(tag, ack_now)]
    for each in records:
        encode_record(out, each)
    return b"".join(out)


def kinds(frame: bytes) -> list[str]:
    """What each body of the only record is made of."""
    (record,) = decode(frame)[2]
    assert isinstance(record, Batch)
    return [type(body).__name__ for body in record.bodies]


sizes = st.lists(st.integers(1, 70_000) | st.integers(0, 200), min_size=1, max_size=MOST + 1)
cut = st.just(0) | st.integers(1, MAX_ENTRY_SIZE - 400_000)


@given(sizes, cut, cut, st.integers(0, 2**32 - 1), st.booleans())
def test_it_says_what_decode_frame_says(sizes: list[int], offset: int, remaining: int, tag: int, ack_now: bool) -> None:
    bodies = [bytes([65 + index]) * size for index, size in enumerate(sizes)]
    offset, remaining = offset if sizes[0] else 0, remaining if sizes[-1] else 0
    if len(sizes) == 1 and offset + sizes[0] + remaining > MAX_ENTRY_SIZE:
        remaining = 0
    frame = frame_of(Batch(3, 4, 5, offset, remaining, bodies), tag=tag, ack_now=ack_now)
    assert decode(frame) == decode_frame(frame) == (int(ack_now), tag, [Batch(3, 4, 5, offset, remaining, bodies)])


@pytest.mark.parametrize(
    ("bodies", "offset", "remaining", "made_of"),
    [
        ([40_000], 0, 1, ["memoryview"]),
        ([40_000], 7, 0, ["memoryview"]),
        ([200_000], 7, 9, ["memoryview"]),
        ([200_000], 0, 0, ["bytes"]),
        ([20_000, 500, 30_000], 0, 9, ["bytes", "bytes", "memoryview"]),
        ([20_000, 500, 30_000], 9, 0, ["memoryview", "bytes", "bytes"]),
        ([100, 30_000], 9, 9, ["memoryview", "memoryview"]),
        ([500], 0, 9, ["bytes"]),
    ],
)
def test_only_what_is_cut_is_a_view(bodies: list[int], offset: int, remaining: int, made_of: list[str]) -> None:
    assert kinds(frame_of(Batch(0, 1, 2, offset, remaining, list(map(bytes, bodies))))) == made_of


def test_what_has_more_in_it_is_decoded_in_full() -> None:
    piece = Batch(0, 1, 2, 0, 9, [bytes(LARGE)])
    ack = Ack(0, Position(1, 0), 0, 0)
    for records in (
        [ack, piece],
        [piece, ack],
        [piece, piece],
        [Batch(0, 1, 2, 0, 9, [b"", bytes(LARGE)], None, [None, "k"])],
    ):
        frame = frame_of(*records)
        assert decode(frame) == decode_frame(frame)
        assert not any(
            isinstance(body, memoryview) for each in decode(frame)[2] if isinstance(each, Batch) for body in each.bodies
        )


@pytest.mark.parametrize(
    "change",
    [
        {"offset": MAX_ENTRY_SIZE},
        {"remaining": MAX_ENTRY_SIZE},
        {"number": MAX_NUMBER},
        {"bodies": [b"", bytes(LARGE)]},
        {"bodies": [bytes(LARGE), b""]},
    ],
)
def test_what_is_wrong_is_refused_as_ever(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"number": 5, "offset": 3, "remaining": 4, "bodies": [bytes(LARGE)]} | change
    out: list[Buffer] = [frame_header(1)]
    encode_batch(out, 0, 1, fields["number"], fields["offset"], fields["remaining"], fields["bodies"])
    frame = b"".join(out)
    with pytest.raises(ProtocolError) as expected:
        decode_frame(frame)
    with pytest.raises(ProtocolError) as got:
        decode(frame)
    assert str(got.value) == str(expected.value)


def test_spoiled_frames_end_as_decode_frame_ends_them() -> None:
    rng = random.Random(8)
    frame = frame_of(Batch(0, 1, 2, 3, 4, [bytes(LARGE), bytes(LARGE)]))
    for _ in range(3_000):
        spoiled = bytearray(frame)
        for _ in range(rng.randint(1, 3)):
            spoiled[rng.randrange(48)] = rng.randrange(256)
        del spoiled[len(frame) - rng.choice([0, 0, 1, LARGE]) :]
        assert _outcome(decode, bytes(spoiled)) == _outcome(decode_frame, bytes(spoiled))


def _outcome(decoder: Any, frame: bytes) -> Any:
    try:
        return decoder(frame)
    except ProtocolError as error:
        return str(error)
