"""What the encoder writes, copies and refuses."""

from __future__ import annotations

import array
import struct

import pytest

from litz.message import Buffer
from outproc.frames.decode import decode_frame
from outproc.frames.encode import (
    JOIN_LIMIT,
    Body,
    body_size,
    encode_batch,
    encode_closed,
    encode_goodbye,
    encode_lossy,
    frame_header,
)
from outproc.frames.records import Ack, Batch, Closed, Correlation, Goodbye, Lossy, Position

LARGE = bytes(range(256)) * (JOIN_LIMIT // 256) + b"!"
LIMIT = LARGE[:JOIN_LIMIT]


def written(bodies: list[Body]) -> list[Buffer]:
    out: list[Buffer] = []
    size = encode_batch(out, 2, 3, 4, 0, 0, bodies)
    assert size == sum(len(each) for each in out)
    (batch,) = decode_frame(frame_header(1) + b"".join(out))[2]
    assert isinstance(batch, Batch)
    assert batch.bodies == [b"".join(each if isinstance(each, tuple) else (each,)) for each in bodies]
    return out


def test_small_bodies_are_joined_behind_the_header() -> None:
    assert written([b"ab", b"", b"cde"])[1:] == [b"abcde"]


def test_no_payload_means_no_second_buffer() -> None:
    assert len(written([b"", b""])) == 1
    assert len(written([()])) == 1


def test_one_small_body_is_not_copied() -> None:
    body = bytes(100)
    assert written([body])[1] is body


def test_up_to_the_limit_is_joined() -> None:
    assert len(written([LIMIT, LIMIT])) == 2


def test_large_buffers_stay_themselves_in_their_place() -> None:
    out = written([b"a", b"b", LARGE, b"c", LARGE, LARGE])
    assert [len(each) for each in out[1:]] == [2, len(LARGE), 1, len(LARGE), len(LARGE)]
    assert all(out[index] is LARGE for index in (2, 4, 5))


def test_large_parts_of_a_tuple_are_not_copied() -> None:
    head = bytearray(LARGE)
    out = written([(b"a", head, b"b"), b"c"])
    assert out[1] == b"a"
    assert isinstance(out[2], memoryview)
    assert out[2].obj is head
    assert out[3:] == [b"bc"]


def test_a_body_of_many_small_parts_may_be_large() -> None:
    parts = (LIMIT,) * 5
    out = written([parts])
    assert len(out) == 2
    assert body_size(parts) == 5 * JOIN_LIMIT


@pytest.mark.parametrize("values", [range(3), range(3_000)], ids=["small", "large"])
def test_a_view_of_wide_items_is_measured_in_bytes(values: range) -> None:
    numbers = array.array("d", values)
    view = memoryview(numbers)
    out: list[Buffer] = [frame_header(1)]
    size = encode_batch(out, 0, 1, 0, 0, 0, [b"x", view, b"y"])
    size += encode_batch(out, 0, 1, 3, 0, 0, [(view,), b"z"])
    assert size == sum(len(each) for each in out[1:])
    plain, tuples = decode_frame(b"".join(out))[2]
    assert plain == Batch(0, 1, 0, 0, 0, [b"x", numbers.tobytes(), b"y"])
    assert tuples == Batch(0, 1, 3, 0, 0, [numbers.tobytes(), b"z"])
    assert body_size(view) == body_size((view,)) == len(numbers.tobytes())


def test_body_size() -> None:
    assert [body_size(each) for each in (b"abc", bytearray(5), memoryview(b"ab"), (), (b"a", b"bc"))] == [
        3,
        5,
        2,
        0,
        3,
    ]


def test_lengths_are_wide_only_when_they_must_be() -> None:
    narrow = written([bytes(65_535)])
    wide = written([bytes(65_536)])
    assert len(wide[0]) - len(narrow[0]) == 2


def test_a_lossy_record_has_the_same_columns() -> None:
    out: list[Buffer] = [frame_header(1)]
    size = encode_lossy(out, 3, 9, [b"a", LARGE], [(1, 5), (0, 0)], ["k", None])
    assert size == sum(len(each) for each in out[1:])
    assert decode_frame(b"".join(out))[2] == [Lossy(3, 9, [b"a", LARGE], [(1, 5), (0, 0)], ["k", None])]


def test_as_many_as_fit_and_not_one_more() -> None:
    assert len(written([b""] * 65_535)) == 1
    for count in (0, 65_536):
        with pytest.raises(ValueError, match=f"not {count}"):
            encode_batch([], 0, 1, 0, 0, 0, [b""] * count)


@pytest.mark.parametrize(
    ("correlations", "keys", "says"),
    [
        ([(1, 1)], None, "1 correlations for 2 messages"),
        ([(1, 1)] * 3, None, "3 correlations for 2 messages"),
        (None, ["a"], "1 keys for 2 messages"),
        (None, ["a", ""], "at least one character"),
        (None, ["a", "é" * 128], "at most 255 bytes"),
        (None, ["a", "\ud800"], "surrogates not allowed"),
    ],
)
def test_columns_that_cannot_be_written(
    correlations: list[Correlation] | None, keys: list[str | None] | None, says: str
) -> None:
    out: list[Buffer] = [b"before"]
    with pytest.raises(ValueError, match=says):
        encode_batch(out, 0, 1, 0, 0, 0, [b"x", LARGE], correlations, keys)
    with pytest.raises(ValueError, match=says):
        encode_lossy(out, 0, 1, [b"x", LARGE], correlations, keys)
    assert out == [b"before"]


def test_numbers_that_cannot_be_written() -> None:
    out: list[Buffer] = []
    for lane, epoch, number, offset in ((2**32, 0, 0, 0), (0, 2**32, 0, 0), (0, 0, 2**64, 0), (0, 0, 0, 2**32)):
        with pytest.raises(struct.error):
            encode_batch(out, lane, epoch, number, offset, 0, [b"x"])
    assert out == []


def test_what_is_not_bytes_is_refused() -> None:
    with pytest.raises(TypeError):
        encode_batch([], 0, 1, 0, 0, 0, ["text"])  # type: ignore[list-item]  # the mistake under test


def test_a_scattered_view_is_refused() -> None:
    with pytest.raises(TypeError):
        encode_batch([], 0, 1, 0, 0, 0, [(memoryview(b"abcdef")[::2],)])


@pytest.mark.parametrize(
    ("detail", "arrives"),
    [
        ("x" * 256, "x" * 255),
        ("é" * 128, "é" * 127),
        ("a\x1b[2J\x07b\x9b", "a [2J b "),
        ("half \ud800", "half ?"),
    ],
)
def test_a_detail_is_made_fit_to_be_shown(detail: str, arrives: str) -> None:
    ack = Ack(1, Position(2, 3), 1, 0)
    both = encode_goodbye(7, detail, [ack]) + encode_closed(8, detail, [])
    expected = [Goodbye(7, arrives, [ack]), Closed(8, arrives, [])]
    assert decode_frame(frame_header(1) + both)[2] == expected


def test_too_many_final_positions() -> None:
    with pytest.raises(ValueError, match="65536"):
        encode_goodbye(1, "", [Ack(1, Position(0, 0), 0, 0)] * 65_536)
