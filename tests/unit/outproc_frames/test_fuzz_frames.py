"""Whatever can be said survives a round trip; whatever else a peer sends is a `ProtocolError` and costs little."""

from __future__ import annotations

import contextlib
import json
import os
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litz.errors import ProtocolError
from litz.message import Buffer
from outproc.frames.decode import decode_frame
from outproc.frames.encode import Body, encode_batch, encode_record, frame_header
from outproc.frames.records import (
    CONTROL_CHARACTERS,
    MAX_ENTRY_SIZE,
    MAX_NUMBER,
    Ack,
    Batch,
    Closed,
    Credit,
    Fin,
    Goodbye,
    Leave,
    Lossy,
    Ping,
    Pong,
    Position,
    Record,
    SessionCredit,
    Skip,
)

INPUTS = int(os.environ.get("LITZ_FUZZ_INPUTS", "10000"))
"""How many mutated frames the default run decodes. The soak runs a million."""

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
number = st.integers(0, MAX_NUMBER)
next_number = st.integers(0, MAX_NUMBER - 1)
correlation = st.just((0, 0)) | st.tuples(st.integers(1, 4), u64)
origin = st.just((0, 0)) | st.tuples(st.integers(1, MAX_NUMBER), number)
key = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
body = st.binary(max_size=40) | st.integers(1_000, 1_100).map(bytes)


@st.composite
def lossy(draw: st.DrawFn) -> Lossy:
    bodies = draw(st.lists(body, min_size=1, max_size=6))
    columns = st.lists(correlation, min_size=len(bodies), max_size=len(bodies))
    names = st.lists(key, min_size=len(bodies), max_size=len(bodies))
    first = draw(st.integers(0, MAX_NUMBER - len(bodies)))
    return Lossy(draw(u32), first, bodies, draw(st.none() | columns), draw(st.none() | names))


@st.composite
def batch(draw: st.DrawFn) -> Batch:
    like = draw(lossy())
    cut = st.integers(0, (MAX_ENTRY_SIZE - 1_100) // 2)
    offset = draw(cut) if like.bodies[0] else 0
    remaining = draw(cut) if like.bodies[-1] else 0
    origins = st.lists(origin, min_size=len(like.bodies), max_size=len(like.bodies))
    columns = like.correlations, like.keys, draw(st.none() | origins)
    return Batch(like.lane, draw(u32), like.number, offset, remaining, like.bodies, *columns)


@st.composite
def ack(draw: st.DrawFn) -> Ack:
    received = Position(draw(number), draw(u32))
    below = st.integers(0, received.number)
    return Ack(draw(u32), received, draw(below), draw(below))


@st.composite
def skip(draw: st.DrawFn) -> Skip:
    first, last = sorted([draw(next_number), draw(next_number)])
    return Skip(draw(st.integers(1, 4)), draw(u32), draw(u32), first, last)


detail = st.text(max_size=60).map(lambda text: CONTROL_CHARACTERS.sub("", text)[:60])
positions = st.lists(ack(), max_size=4, unique_by=lambda each: each.lane)
reason = st.integers(0, 255)
record: st.SearchStrategy[Record] = st.one_of(
    batch(),
    lossy(),
    skip(),
    st.builds(Fin, u32, u32, next_number),
    ack(),
    st.builds(Credit, u32, number, number),
    st.builds(SessionCredit, number),
    st.builds(Ping, u64),
    st.builds(Pong, u64),
    st.builds(Goodbye, reason, detail, positions),
    st.builds(Closed, reason, detail, positions),
    st.builds(Leave, st.integers(1, 3)),
)


def frame_of(records: list[Record], tag: int = 7, ack_now: bool = False) -> bytes:
    out: list[Buffer] = [frame_header(tag, ack_now)]
    for each in records:
        encode_record(out, each)
    return b"".join(out)


@given(st.lists(record, min_size=1, max_size=5), u32, st.booleans())
def test_round_trip(records: list[Record], tag: int, ack_now: bool) -> None:
    assert decode_frame(frame_of(records, tag, ack_now)) == (int(ack_now), tag, records)


@given(st.lists(record, min_size=1, max_size=3), st.data())
def test_a_frame_cut_short_is_a_shorter_frame_or_refused(records: list[Record], data: st.DataObject) -> None:
    frame = frame_of(records)
    cut = frame[: data.draw(st.integers(0, len(frame) - 1))]
    try:
        _, _, decoded = decode_frame(cut)
    except ProtocolError:
        return
    assert decoded == records[: len(decoded)]
    assert len(decoded) < len(records)


@given(st.binary(max_size=200))
def test_arbitrary_bytes(noise: bytes) -> None:
    for frame in (noise, b"\x01\x00\x00\x00\x07\x00\x00\x00" + noise):
        decode_or_refuse(frame)


@given(st.lists(st.binary(max_size=20_000) | st.lists(st.binary(max_size=40), max_size=3).map(tuple), min_size=1))
def test_the_shape_of_a_body_does_not_show(bodies: list[Body]) -> None:
    whole = [b"".join(each) if isinstance(each, tuple) else each for each in bodies]
    out: list[Buffer] = [frame_header(1)]
    encode_batch(out, 0, 1, 0, 0, 0, bodies)
    assert b"".join(out) == frame_of([Batch(0, 1, 0, 0, 0, [bytes(each) for each in whole])], tag=1)


def decode_or_refuse(frame: bytes) -> bool:
    """Decode; what is accepted must mean the same when it is said again."""
    try:
        flags, tag, records = decode_frame(frame)
    except ProtocolError:
        return False
    assert decode_frame(frame_of(records, tag, flags == 1)) == (flags, tag, records)
    return True


def mutate(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    changed = bytearray(frame)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0:
                changed[at : at + 1] = rng.randbytes(1)
            case 1:
                changed[at : at + 1] = bytes([changed[at] ^ 1 << rng.randrange(8)] if at < len(changed) else [0])
            case 2:
                del changed[at : at + rng.randrange(1, 9)]
            case 3:
                changed[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 4:
                size = rng.choice((1, 2, 4, 8))
                value = rng.choice((0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1))
                changed[at : at + size] = value.to_bytes(size, "little")
            case _:
                changed[at:] = other[rng.randrange(len(other)) :]
    return bytes(changed)


def fuzz(inputs: int, seed: int) -> tuple[int, int]:
    """Decode that many mutants of the good vectors. How many were accepted and refused."""
    vectors = Path(__file__).parents[3] / "docs/vectors/frames.json"
    seeds = [bytes.fromhex(each["hex"]) for each in json.loads(vectors.read_text("utf-8"))["good"]]
    rng = random.Random(seed)
    accepted = sum(decode_or_refuse(mutate(rng.choice(seeds), rng.choice(seeds), rng)) for _ in range(inputs))
    return accepted, inputs - accepted


def test_mutated_frames() -> None:
    accepted, refused = fuzz(INPUTS, seed=2)
    # Both happen often, so the mutants are neither all noise nor all harmless.
    assert accepted > INPUTS // 50
    assert refused > INPUTS // 4


@pytest.mark.soak
@pytest.mark.limit(1800)
def test_a_million_mutated_frames() -> None:
    accepted, refused = fuzz(1_000_000, seed=3)
    assert accepted and refused


COUNT = 65_535
BATCH_HEAD = b"\x01\x00\x00\x00\x07\x00\x00\x00" + b"\x10%c\xff\xff" + bytes(24)


@pytest.mark.parametrize(
    "frame",
    [
        BATCH_HEAD % 1 + b"\xff" * 4 * COUNT,
        BATCH_HEAD % 1 + b"\xff\xff\xff\xff",
        BATCH_HEAD % 0 + b"\x00" * 2 * COUNT,
        BATCH_HEAD % 0 + b"\x01\x00" * COUNT + b"x" * COUNT,
        BATCH_HEAD % 2 + b"\x00" * 2 * COUNT + (b"\x01" + b"\xff" * 8) * COUNT,
        BATCH_HEAD % 4 + b"\x00" * 2 * COUNT + b"\xff" * COUNT,
        BATCH_HEAD % 4 + b"\x00" * 2 * COUNT + b"\x01" * COUNT + b"k" * COUNT,
        b"\x01\x00\x00\x00\x07\x00\x00\x00" + (b"\x30" + bytes(15)) * 20_000,
        b"\x01\x00\x00\x00\x07\x00\x00\x00" + b"\x40\x00\xff\xff" + bytes(4) + bytes(32) * COUNT,
    ],
    ids=["4 GiB each", "none there", "empty", "one byte", "ids", "keys missing", "keys", "pings", "positions"],
)
def test_memory_is_proportional_to_the_frame(frame: bytes) -> None:
    decode_or_refuse(BATCH_HEAD % 0)  # so that nothing is made for the first time below
    tracemalloc.start()
    try:
        with contextlib.suppress(ProtocolError):
            decode_frame(frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * len(frame) + 65_536
