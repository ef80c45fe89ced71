"""What outboxes and inboxes say to each other is read back as it was written, and anything else is refused.

Covers `outproc.outbox.records`.
"""

from __future__ import annotations

import contextlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litz.errors import ProtocolError
from litz.node_port import MAX_BULK
from outproc.outbox.records import (
    MAX_COUNT,
    MAX_PAYLOAD,
    MAX_SEQUENCE,
    Accept,
    Ack,
    Data,
    Open,
    Part,
    Refuse,
    RefuseCode,
    decode_from_inbox,
    decode_from_outbox,
    encode_accept,
    encode_ack,
    encode_data,
    encode_open,
    encode_part,
    encode_refuse,
)

PRODUCER, RUN, BOOT = b"p" * 16, b"r" * 16, b"b" * 16
ACCEPT = Accept(True, 7, RUN, 41, 42, 16, 4096, 1 << 20, BOOT)

ROWS = st.lists(
    st.tuples(st.integers(1, 1 << 40), st.integers(0, 1), st.text(max_size=20), st.binary(max_size=50)),
    min_size=1,
    max_size=30,
)


@given(ROWS, st.booleans())
def test_messages_are_read_back(rows: list[tuple[int, int, str, bytes]], keys: bool) -> None:
    steps, marks, names, bodies = zip(*rows, strict=True)
    sequences = [sum(steps[: index + 1]) for index in range(len(steps))]
    said = Data(sequences, marks, list(names) if keys else None, list(bodies))
    got = decode_from_outbox(memoryview(b"".join(encode_data(said))))
    assert isinstance(got, Data)
    assert (list(got.sequences), bytes(got.marks), got.keys, got.bodies) == (
        sequences,
        bytes(marks),
        list(names) if keys else None,
        list(bodies),
    )


@pytest.mark.parametrize("said", [Open(3, PRODUCER, RUN), Part(9, 1, "k", 10, 4, b"abc"), Part(9, 0, "", 3, 0, b"abc")])
def test_what_an_outbox_says_is_read_back(said: Open | Part) -> None:
    data = encode_open(said) if isinstance(said, Open) else b"".join(encode_part(said))
    assert decode_from_outbox(memoryview(data)) == said


@pytest.mark.parametrize("said", [ACCEPT, Refuse(RefuseCode.FENCED, 8, RUN), Ack(99, 16, 4096)])
def test_what_an_inbox_says_is_read_back(said: Accept | Refuse | Ack) -> None:
    if isinstance(said, Accept):
        data = encode_accept(said)
    else:
        data = encode_refuse(said) if isinstance(said, Refuse) else encode_ack(said)
    assert decode_from_inbox(memoryview(data)) == said


def test_the_largest_batch_fits_an_internal_message() -> None:
    key, each = "k" * 40, MAX_PAYLOAD // MAX_COUNT - 40
    sequences = range(MAX_SEQUENCE - MAX_COUNT, MAX_SEQUENCE)
    said = Data(sequences, [1] * MAX_COUNT, [key] * MAX_COUNT, [bytes(each)] * MAX_COUNT)
    size = sum(map(len, encode_data(said)))
    assert size + len("outbox") + 1 <= MAX_BULK


@pytest.mark.parametrize(
    "said",
    [
        Data([2, 2], [0, 0], None, [b"", b""]),
        Data([3, 2], [0, 0], None, [b"", b""]),
        Data([0], [0], None, [b""]),
        Data([MAX_SEQUENCE + 1], [0], None, [b""]),
        Data([1], [2], None, [b""]),
        Part(0, 0, "", 1, 0, b"a"),
        Part(1, 2, "", 1, 0, b"a"),
        Part(1, 0, "", 1, 1, b"a"),
        Part(1, 0, "", 1, 0, b""),
    ],
)
def test_what_breaks_the_rules_is_refused(said: Data | Part) -> None:
    data = encode_data(said) if isinstance(said, Data) else encode_part(said)
    with pytest.raises(ProtocolError):
        decode_from_outbox(memoryview(b"".join(data)))


@pytest.mark.parametrize(
    "said", [Accept(False, 0, RUN, 0, 5, 1, 1, 1, BOOT), Accept(True, 1, RUN, 6, 5, 1, 1, 1, BOOT)]
)
def test_an_accept_that_contradicts_itself_is_refused(said: Accept) -> None:
    with pytest.raises(ProtocolError):
        decode_from_inbox(memoryview(encode_accept(said)))


def test_whatever_is_cut_or_changed_is_refused_or_read_and_nothing_else() -> None:
    rng = Random(4)
    good = [
        encode_open(Open(3, PRODUCER, RUN)),
        b"".join(encode_data(Data([1, 2, 9], [0, 1, 0], ["", "key", "x"], [b"one", b"", b"three"]))),
        b"".join(encode_part(Part(9, 1, "k", 10, 4, b"abc"))),
        encode_accept(ACCEPT),
        encode_refuse(Refuse(RefuseCode.NO_ROOM, 8, RUN)),
        encode_ack(Ack(99, 16, 4096)),
    ]
    for data in good:
        for end in range(len(data)):
            for decode in (decode_from_outbox, decode_from_inbox):
                with contextlib.suppress(ProtocolError):
                    decode(memoryview(data[:end]))
        for _ in range(500):
            changed = bytearray(data)
            for _ in range(rng.randint(1, 4)):
                changed[rng.randrange(len(data))] = rng.choice((0, 1, 255, rng.randrange(256)))
            for decode in (decode_from_outbox, decode_from_inbox):
                with contextlib.suppress(ProtocolError):
                    decode(memoryview(bytes(changed)))
