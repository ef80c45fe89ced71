"""Frames out and in: what `outproc.wires.websocket.framing` writes is what RFC 6455 says (judged by `websockets`),
and `outproc.wires.websocket.reader` cuts it out again however the bytes arrive."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.protocol import CLIENT, SERVER, Protocol

from litz.message import Buffer
from outproc.wires.websocket.framing import LARGE, MANY, masked_frame, open_frame, plain_frame, size_of
from outproc.wires.websocket.reader import FrameReader, Raw
from tests.unit.outproc_websocket.kit import frame

Encode = Callable[[list[Buffer], int], Iterable[Buffer]]
CLIENTS = (masked_frame, open_frame)
SIDES = st.sampled_from([plain_frame, *CLIENTS])
SIZES = (0, 1, 125, 126, 127, 65535, 65536, LARGE - 1, LARGE, 3 * LARGE + 1)


def _buffers(total: int, cuts: list[int]) -> list[Buffer]:
    whole = random.Random(total).randbytes(total)
    edges = [0, *sorted(cut % (total + 1) for cut in cuts), total]
    kinds = (bytes, bytearray, memoryview)
    return [kinds[n % 3](whole[a:b]) for n, (a, b) in enumerate(itertools.pairwise(edges))]


@settings(max_examples=60)
@given(st.sampled_from(SIZES), st.lists(st.integers(0, 1 << 20), max_size=6), SIDES)
def test_a_frame_is_one_binary_message_to_any_peer(total: int, cuts: list[int], encode: Encode) -> None:
    buffers = _buffers(total, cuts)
    pieces = list(encode(buffers, size_of(buffers)))
    judge = Protocol(SERVER if encode in CLIENTS else CLIENT, max_size=1 << 20)
    judge.receive_data(b"".join(pieces))
    assert judge.parser_exc is None
    [event] = judge.events_received()
    assert isinstance(event, Frame)
    assert bytes(event.data) == b"".join(buffers)


@pytest.mark.parametrize(("encode", "head"), [(plain_frame, 4), (open_frame, 8)])
def test_large_buffers_are_not_copied_where_nothing_is_masked(encode: Encode, head: int) -> None:
    large = bytes(LARGE)
    pieces = list(encode([b"head", large, b"a", b"b", memoryview(large)], size_of([large, large]) + 6))
    assert [len(piece) for piece in pieces] == [head + 4, LARGE, 2, LARGE]
    assert pieces[1] is large


def test_many_small_buffers_are_one_piece() -> None:
    assert len(plain_frame([b"x" * 512] * (MANY + 1), 512 * (MANY + 1))) == 1


@pytest.mark.parametrize("encode", [plain_frame, *CLIENTS])
@pytest.mark.parametrize("count", [0, 1, LARGE // 8, LARGE])
def test_sizes_are_counted_in_bytes(count: int, encode: Encode) -> None:
    numbers = memoryview(random.Random(count).randbytes(8 * count)).cast("Q")
    buffers: list[Buffer] = [numbers, bytes(LARGE), numbers]
    size = size_of(buffers)
    assert size == 16 * count + LARGE
    assert all(memoryview(piece).itemsize == 1 for piece in encode(buffers, size))
    [found] = FrameReader(masked=encode in CLIENTS, max_size=size).feed(b"".join(encode(buffers, size)))
    assert found == bytes(numbers) + bytes(LARGE) + bytes(numbers)


def test_mask_keys_differ() -> None:
    assert len({bytes(next(iter(masked_frame([b""], 0)))) for _ in range(50)}) > 45


@settings(max_examples=80)
@given(
    st.lists(st.integers(0, 70000) | st.integers(0, 200), max_size=6),
    st.lists(st.integers(1, 40000) | st.integers(1, 20), min_size=1, max_size=40),
    SIDES,
)
def test_any_cutting_of_the_stream_gives_the_same_frames(sizes: list[int], cuts: list[int], encode: Encode) -> None:
    payloads = [random.Random(n).randbytes(size) for n, size in enumerate(sizes)]
    stream = b"".join(b"".join(encode([payload], len(payload))) for payload in payloads)
    reader = FrameReader(masked=encode in CLIENTS, max_size=70000)
    found: list[bytes | Raw] = []
    at = turn = 0
    while at < len(stream):
        step = cuts[turn % len(cuts)]
        found += reader.feed(stream[at : at + step])
        at, turn = at + step, turn + 1
    assert found == payloads
    assert all(type(one) is bytes for one in found)
    assert reader.kept == 0


ODD = {
    "ping": frame(b"hello", 9, mask=True),
    "close": frame(b"\x03\xe8", 8, mask=True),
    "text": frame(b"hi", 1, mask=True),
    "reserved bit": frame(b"x", rsv1=True, mask=True),
    "fragment": frame(b"x", fin=False, mask=True) + frame(b"y", 0, mask=True),
    "ping inside a message": frame(b"x", fin=False, mask=True) + frame(b"", 9, mask=True) + frame(b"y", 0, mask=True),
    "whole message inside a message": frame(b"x", fin=False, mask=True) + frame(b"y", mask=True),
    "unmasked": frame(b"x", mask=False),
    "too large": frame(bytes(101), mask=True),
}


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_all_that_is_not_plain_is_passed_on_unchanged(odd: bytes, step: int) -> None:
    before, after = frame(b"before", mask=True), frame(b"after", mask=True)
    reader = FrameReader(masked=True, max_size=100)
    stream = before + odd
    found: list[bytes | Raw] = []
    for at in range(0, len(stream), step):
        found += reader.feed(stream[at : at + step])
    assert found[0] == b"before"
    assert b"".join(item.data for item in found[1:] if isinstance(item, Raw)) == odd
    assert len([item for item in found if not isinstance(item, Raw)]) == 1
    if odd not in (ODD["whole message inside a message"], ODD["unmasked"]):
        assert reader.feed(after) == [b"after"]


def test_what_is_kept_is_bounded_by_one_frame() -> None:
    reader = FrameReader(masked=True, max_size=1000)
    reader.feed(frame(bytes(1000), mask=True)[:-1])
    assert reader.kept == 1000 + 7
    claims = FrameReader(masked=True, max_size=1000)
    claims.feed(b"\x82\xff" + (1 << 62).to_bytes(8, "big"))
    for _ in range(1000):
        claims.feed(bytes(1000))
    assert claims.kept == 0
