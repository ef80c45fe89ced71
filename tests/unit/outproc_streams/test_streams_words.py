"""Tests of `outproc.streams.words`."""

from __future__ import annotations

import math
from random import Random

import pytest

from litz.errors import ProtocolError
from litz.stream_port import MAX_METADATA, MAX_REASON, Refusal
from outproc.streams.words import (
    MAX_STREAM,
    MAX_WORDS_SIZE,
    Abort,
    Accept,
    Done,
    Open,
    Refuse,
    Word,
    decode,
    encode,
    messages,
)

SAID: list[Word] = [
    Open(16, "files", b"", pipe=False),
    Open(MAX_STREAM, "ü" * 127, b"m" * MAX_METADATA, pipe=True),
    Accept(17),
    Refuse(18, Refusal.BUSY, 1.25, "later"),
    Refuse(19, Refusal.REFUSED, None, ""),
    Abort(20, 65_535, "r" * MAX_REASON),
    Abort(21, 0, ""),
    Done(22),
]


def test_words_come_back_as_they_were_said_alone_and_together() -> None:
    for word in SAID:
        assert decode(memoryview(encode(word))) == [word]
    assert decode(memoryview(b"".join(map(encode, SAID)))) == SAID


@pytest.mark.parametrize(
    ("asked", "told"), [(-1.0, 0.0), (0.0004, 0.0), (math.inf, (2**32 - 2) / 1000), (math.nan, 0.0), (None, None)]
)
def test_no_retry_after_of_a_user_costs_the_word(asked: float | None, told: float | None) -> None:
    (word,) = decode(memoryview(encode(Refuse(18, Refusal.BUSY, asked, ""))))
    assert isinstance(word, Refuse)
    assert word.retry_after == told


def test_a_thousand_opens_are_two_messages() -> None:
    words = [encode(Open(16 + 2 * each, "some.service", b"", pipe=False)) for each in range(1_000)]
    together = list(messages(words))
    assert sum(count for count, _ in together) == 1_000
    assert len(together) == 2
    assert all(len(message) <= MAX_WORDS_SIZE for _, message in together)
    assert b"".join(message for _, message in together) == b"".join(words)
    assert list(messages([])) == []


def test_reasons_are_cut_between_characters_and_made_printable() -> None:
    (said,) = decode(memoryview(encode(Abort(16, 1, "one\n\x1b[31m" + "ü" * 300))))
    assert isinstance(said, Abort)
    assert said.reason.startswith("one  [31mü")
    assert len(said.reason.encode()) <= MAX_REASON
    (said,) = decode(memoryview(encode(Abort(16, 1, "\ud800 odd"))))
    assert isinstance(said, Abort)
    assert said.reason.endswith("odd")


def test_what_does_not_fit_is_not_encoded() -> None:
    for word in (
        Open(16, "s" * 256, b"", pipe=False),
        Open(16, "s", b"m" * (MAX_METADATA + 1), pipe=False),
        Abort(16, 65_536, ""),
        Done(MAX_STREAM + 1),
    ):
        with pytest.raises(ValueError, match=r"at most|fit"):
            encode(word)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x02\x10\x00\x00",
        b"\x02\x0f\x00\x00\x00",
        b"\x06\x10\x00\x00\x00",
        b"\x00\x10\x00\x00\x00",
        b"\x02\x10\x00\x00\x00\x05",
        b"\x01\x10\x00\x00\x00\x02\x01\x00\x00a",
        b"\x01\x10\x00\x00\x00\x00\x00\x00\x00",
        b"\x01\x10\x00\x00\x00\x00\x01\x00\x00",
        b"\x01\x10\x00\x00\x00\x00\x01\x00\x00 ",
        b"\x01\x10\x00\x00\x00\x00\x01\x00\x00\xff",
        b"\x01\x10\x00\x00\x00\x00\x01\x01\x10a" + b"m" * 4097,
        b"\x01\x10\x00\x00\x00\x00\x01\x02\x00am",
        b"\x03\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x03\x10\x00\x00\x00\x01\x00\x00\x00\x00\x01",
        b"\x04\x10\x00\x00\x00\x01\x00\xc9" + b"r" * 201,
        b"\x04\x10\x00\x00\x00\x01\x00\x01\xff",
    ],
    ids=[
        "nothing",
        "half a head",
        "a number of another lane",
        "unknown",
        "zero",
        "half a word behind a whole one",
        "unknown flag",
        "no service",
        "service cut off",
        "service with a space",
        "service that is no UTF-8",
        "metadata too long",
        "metadata cut off",
        "refused for nothing",
        "reason cut off",
        "reason too long",
        "reason that is no UTF-8",
    ],
)
def test_what_is_malformed_is_a_protocol_error(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(memoryview(message))


def test_any_bytes_are_words_or_a_protocol_error() -> None:
    rng = Random("words about streams")
    whole = b"".join(map(encode, SAID))
    taken = refused = 0
    for _ in range(20_000):
        data = bytearray(encode(rng.choice(SAID)) if rng.random() < 0.8 else whole)
        for _ in range(rng.randint(0, 4)):
            place = rng.randrange(len(data))
            data[place] = rng.choice((0, 1, 0xFF, rng.randrange(256)))
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        try:
            said = decode(memoryview(data))
        except ProtocolError:
            refused += 1
            continue
        taken += 1
        # What was taken is bounded, can be shown, and means the same when it is said again.
        again = decode(memoryview(b"".join(map(encode, said))))
        assert again == said
    assert taken > 1_000
    assert refused > 1_000
