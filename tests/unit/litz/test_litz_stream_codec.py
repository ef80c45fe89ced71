"""Messages as entries and back: boundaries, sizes, who owns what, and everything a peer may not send."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from litz.errors import MessageTooLargeError, PayloadError, ProtocolError
from litz.stream_codec import COPY_LIMIT, MAX_BUFFERS, NOTHING, Assembler, Kind, begin, size_of_entry
from litz.stream_port import MAX_ENTRY

MIB = 1 << 20


def entries_of(data: Any, max_message: int = 64 * MIB) -> list[tuple[Any, int]]:
    entry, size, rest = begin(data, max_message)
    return [(entry, size), *(rest or ())]


def joined(entries: Iterable[tuple[Any, int]]) -> list[bytes]:
    """As they come out of a wire."""
    found = []
    for entry, size in entries:
        flat = b"".join(entry) if isinstance(entry, tuple) else bytes(entry)
        assert len(flat) == size == size_of_entry(entry) <= MAX_ENTRY
        found.append(flat)
    return found


def through(data: Any, max_message: int = 64 * MIB) -> Any:
    assembler = Assembler(max_message)
    entries = joined(entries_of(data))
    for entry in entries[:-1]:
        assert assembler.take(entry) is NOTHING
        assert assembler.incomplete
    message = assembler.take(entries[-1])
    assert not assembler.incomplete
    return message


SIZES = [0, 1, 100, COPY_LIMIT - 1, COPY_LIMIT, COPY_LIMIT + 1, MAX_ENTRY - 1, MAX_ENTRY, MAX_ENTRY + 1, 3 * MAX_ENTRY]


@pytest.mark.parametrize("size", SIZES)
def test_one_buffer_of_any_size(size: int) -> None:
    data = Random(size).randbytes(size)
    got = through(data)
    assert got == data
    assert isinstance(got, bytes if size < MAX_ENTRY else bytearray)


@pytest.mark.parametrize(
    "sizes",
    [
        *([], [0], [0, 0], [1, 0, 2], [MAX_ENTRY], [MAX_ENTRY, 0, 1], [0, 3 * MAX_ENTRY, 0]),
        *([10] * 100, [7] * 20_000, [0] * 20_000, [MAX_ENTRY // 2] * 7),
    ],
    ids=lambda sizes: f"{len(sizes)} of {sum(sizes)}",
)
def test_lists_keep_their_boundaries(sizes: list[int]) -> None:
    random = Random(len(sizes))
    data = [random.randbytes(size) for size in sizes]
    got = through(data)
    assert isinstance(got, list)
    assert [bytes(part) for part in got] == data


def test_small_messages_are_one_entry_and_small_ones_are_joined() -> None:
    assert joined(entries_of(b"abc")) == [b"\x00abc"]
    assert joined(entries_of([b"ab", b"", b"c"])) == [struct.pack("<B4I", 1, 3, 2, 0, 1) + b"abc"]
    assert isinstance(entries_of(b"abc")[0][0], bytes)


def test_large_buffers_go_out_as_views_of_the_callers() -> None:
    data = bytearray(4 * MAX_ENTRY)
    entries = entries_of(data)
    data[:] = b"x" * len(data)  # seen by what goes out, so it is no copy
    del entries[0]
    assert b"".join(joined(entries)) == data


def test_small_mutable_buffers_are_copied_at_once() -> None:
    data = bytearray(b"before")
    entries = entries_of([data, memoryview(data)])
    data[:] = b"after!"
    assert Assembler(100).take(joined(entries)[0]) == [b"before", b"before"]


def test_large_ones_come_writable_and_belong_to_the_receiver() -> None:
    got = through([bytes(100_000), b"abc"])
    got[0][0] = 7
    got[1] += b"def"
    assert got[1] == b"abcdef"


def test_views_that_are_not_contiguous_and_views_of_numbers() -> None:
    assert through(memoryview(b"abcdef")[::2]) == b"ace"
    numbers = memoryview(struct.pack("<40000I", *range(40_000))).cast("I")
    assert through(numbers) == numbers.tobytes()


@pytest.mark.parametrize("data", ["text", 7, None, {"a": 1}, [b"a", "b"], [[b"a"]]], ids=repr)
def test_what_is_no_buffer_is_refused(data: Any) -> None:
    with pytest.raises(PayloadError):
        begin(data, MIB)


def test_a_message_over_the_limit_is_refused_here() -> None:
    assert through(b"x" * 10, 10) == b"x" * 10
    for data in (b"x" * 11, [b"x" * 6, b"y" * 5], bytearray(11)):
        with pytest.raises(MessageTooLargeError, match="max_message"):
            begin(data, 10)
    with pytest.raises(PayloadError, match="at most"):
        begin([b""] * (MAX_BUFFERS + 1), MIB)


@pytest.mark.parametrize("data", [b"x" * 11, [b"x" * 6, b"y" * 5], bytes(100_000), [bytes(100_000)]], ids=len)
def test_a_message_over_the_limit_is_refused_there_before_anything_is_kept(data: Any) -> None:
    with pytest.raises(MessageTooLargeError, match="max_message"):
        Assembler(10).take(joined(entries_of(data))[0])


def head(sizes: list[int], count: int | None = None, is_list: int = 1) -> bytes:
    return struct.pack(f"<BBI{len(sizes)}Q", Kind.HEAD, is_list, len(sizes) if count is None else count, *sizes)


MALFORMED: dict[str, list[bytes]] = {
    "empty": [b""],
    "unknown kind": [b"\x04abc"],
    "sizes out of place": [struct.pack("<BQ", Kind.SIZES, 4)],
    "list without a count": [b"\x01\x00\x00"],
    "list ends before its sizes": [struct.pack("<BI", Kind.LIST, 2) + bytes(7)],
    "list with a huge count": [struct.pack("<BI", Kind.LIST, 0xFFFFFFFF)],
    "list whose sizes are too small": [struct.pack("<BII", Kind.LIST, 1, 1) + b"ab"],
    "list whose sizes are too large": [struct.pack("<BII", Kind.LIST, 1, 3) + b"ab"],
    "short head": [b"\x02\x00\x01"],
    "head with a strange flag": [head([5], is_list=2)],
    "head of one buffer with two": [head([5, 6], is_list=0)],
    "head of one buffer with none": [head([], is_list=0)],
    "head with too many": [head([1], count=MAX_BUFFERS + 1)],
    "head without sizes": [head([], count=3)],
    "head with more sizes than it says": [head([1, 2, 3], count=2)],
    "head with half a size": [head([5])[:-3]],
    "sizes that do not come": [head([5], count=2), b"\x00abc"],
    "empty sizes": [head([5], count=2), b"\x03"],
    "more sizes than there are": [head([5], count=2), struct.pack("<BQQ", Kind.SIZES, 4, 4)],
    "an empty piece": [head([5]), b""],
    "a piece too long": [head([5]), b"abc", b"def"],
}


@pytest.mark.parametrize("entries", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_entries_are_typed_errors(entries: list[bytes]) -> None:
    assembler = Assembler(MIB)
    for entry in entries[:-1]:
        assert assembler.take(entry) is NOTHING
    with pytest.raises(ProtocolError):
        assembler.take(entries[-1])


def test_a_head_that_claims_much_costs_nothing() -> None:
    assembler = Assembler(1 << 40)
    assert assembler.take(head([1 << 39, 1 << 39])) is NOTHING
    assert assembler.take(b"abc") is NOTHING
    assert sum(map(len, assembler._buffers)) == 3


@pytest.mark.parametrize("seed", range(12))
def test_fuzz_round_trips_and_broken_entries(seed: int) -> None:
    """Messages of any shape come out as they went in; with bytes changed, cut or repeated there is a message or a typed
    error, and never more memory than the limit."""
    random = Random(seed)
    assembler = Assembler(4 * MAX_ENTRY)
    broken = Assembler(4 * MAX_ENTRY)
    for _ in range(60):
        data: Any = random.randbytes(_size(random))
        if random.random() < 0.5:
            data = [random.randbytes(_size(random) // 4) for _ in range(random.randrange(6))]
        entries = joined(entries_of(data, 4 * MAX_ENTRY))
        got = [message for entry in entries if (message := assembler.take(entry)) is not NOTHING]
        assert len(got) == 1
        assert got[0] == data
        for entry in entries:
            changed = bytearray(entry)
            for _ in range(random.randrange(3)):
                changed[random.randrange(min(len(changed), 20))] = random.randrange(256)
            if random.random() < 0.1:
                del changed[random.randrange(len(changed)) :]
            try:
                broken.take(bytes(changed))
            except (ProtocolError, MessageTooLargeError):
                broken = Assembler(4 * MAX_ENTRY)
            assert sum(map(len, broken._buffers)) <= 4 * MAX_ENTRY


def _size(random: Random) -> int:
    return random.choice([random.randrange(40), random.randrange(MAX_ENTRY), random.randrange(4 * MAX_ENTRY)])
