"""What publisher and subscriber say (`litz.episode_messages`): there and back, to the byte, and what none may say."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litz.episode_messages import (
    Request,
    decode,
    decode_request,
    encode_end,
    encode_items,
    encode_request,
    end_in_words,
    end_of_words,
)
from litz.episodes import Behind, End, EpisodeKey, Gap, Item, Part, Why
from litz.errors import ProtocolError

KEY = EpisodeKey("answer", 2, 1)
numbers = st.integers(0, (1 << 63) - 1)
texts = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=60)
roles = st.sampled_from(["", "user", "assistant", "r" * 64, "é" * 32])


def test_messages_to_the_byte() -> None:
    """Another language can hold itself against these."""
    request = Request(KEY, 5, Behind.SKIP)
    assert encode_request(request).hex() == "0101" + "0200000000000000" + "0100000000000000" + "0500000000000000" + (
        b"answer".hex()
    )
    one = encode_items([Part(7, b"a", "user"), Part(8, b"b", "user")])
    assert [one[0].hex(), *one[1:]] == ["01" + "0700000000000000" + "0100" + "04" + b"user".hex(), b"a", b"b"]
    two = encode_items([Part(7, b"a", "user"), Part(8, b"b")])
    assert two[0].hex() == "01" + "0700000000000000" + "0200" + "04" + b"user".hex() + "00" + "0000" + "0100"
    assert encode_items([Gap(3, 9, Why.SLOW)])[0].hex() == "02" + "0300000000000000" + "0900000000000000" + "07"
    end = encode_end(End(Why.SUPERSEDED, 9, "why", newer=EpisodeKey("answer", 3)))[0]
    assert (
        end.hex() == "03" + "04" + "0900000000000000" + "00" * 8 + "01" + "0300000000000000" + "00" * 8 + b"why".hex()
    )
    assert end_in_words(End(Why.SLOW, 9)) == "episode 7 9 0"


@given(texts, numbers, numbers, numbers, st.sampled_from(Behind))
def test_requests_there_and_back(stream: str, version: int, attempt: int, after: int, behind: Behind) -> None:
    request = Request(EpisodeKey(stream, version, attempt), after, behind)
    assert decode_request(encode_request(request)) == request


@given(st.lists(st.tuples(st.binary(max_size=20), roles), min_size=1, max_size=50), st.integers(1, 1 << 40))
def test_parts_there_and_back(parts: list[tuple[bytes, str]], first: int) -> None:
    items: list[Item] = [Part(first + index, data, role) for index, (data, role) in enumerate(parts)]
    message = encode_items(items)
    assert decode(KEY, message) == (items, None)
    # Large parts come as bytearrays of their own; parts are bytes all the same.
    changed = decode(KEY, [bytearray(message[0]), *map(bytearray, message[1:])])[0]
    assert changed == items and all(type(part[1]) is bytes for part in changed)


@pytest.mark.parametrize("why", list(Why))
def test_ends_and_gaps_there_and_back(why: Why) -> None:
    newer = EpisodeKey("answer", 2, 2) if why is Why.SUPERSEDED else None
    end = End(why, 12, "because é", first=3, newer=newer)
    assert decode(KEY, encode_end(end)) == ([], end)
    gap = Gap(3, 4, why)
    assert decode(KEY, encode_items([gap])) == ([gap], None)


def test_an_end_in_words_is_told_from_other_reasons() -> None:
    for why in (Why.SLOW, Why.CLOSED, Why.EVICTED, Why.EXPIRED, Why.TRIMMED):
        end = End(why, 12, first=3)
        assert end_of_words(end_in_words(end)) == end
    assert end_of_words(end_in_words(End(Why.COMPLETE, 12))) == End(Why.SLOW, 12)
    # The others do not come in the middle of a message, and a peer's words are not believed.
    for reason in (
        "",
        "left",
        "episode 1 2 0",
        "episode 4 2 0",
        "episode x y z",
        "episode 7 9",
        "episode 7 -9 0",
        "episode 99 1 0",
    ):
        assert end_of_words(reason) is None


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\2" + encode_request(Request(KEY, 0, Behind.FAIL))[1:],
        encode_request(Request(KEY, 0, Behind.FAIL))[:20],
        encode_request(Request(EpisodeKey("a"), 0, Behind.FAIL))[:-1],
        encode_request(Request(KEY, 0, Behind.FAIL)) + b"\xff",
        encode_request(Request(KEY, 0, Behind.FAIL)) + b"\n",
        encode_request(Request(KEY, 0, Behind.FAIL)) + b"a" * 250,
        b"\1\2" + encode_request(Request(KEY, 0, Behind.FAIL))[2:],
        b"\1\0" + b"\xff" * 24 + b"a",
        b"\1\0" + b"\0" * 16 + b"\xff" * 8 + b"a",
    ],
)
def test_a_request_that_is_none_is_refused(bad: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_request(bad)


GOOD = encode_items([Part(1, b"a", "user"), Part(2, b"b")])


@pytest.mark.parametrize(
    "bad",
    [
        b"\1",
        [],
        ["text"],
        [b""],
        [b"\4"],
        GOOD[:1],
        [GOOD[0][:-1], *GOOD[1:]],
        [GOOD[0][:6], *GOOD[1:]],
        [GOOD[0] + b"\0", *GOOD[1:]],
        [GOOD[0][:-2] + b"\2\0", *GOOD[1:]],
        [GOOD[0], *GOOD[1:], b"c"],
        [b"\1" + bytes(8) + GOOD[0][9:], *GOOD[1:]],
        [b"\1" + b"\xff" * 8 + GOOD[0][9:], *GOOD[1:]],
        [GOOD[0][:9] + b"\3\0" + GOOD[0][11:], *GOOD[1:]],
        [GOOD[0][:11] + b"\xff" + GOOD[0][12:], *GOOD[1:]],
        [encode_items([Part(1, b"a", "user")])[0] + b"\0", b"a"],
        [encode_items([Part(1, b"a", "user")])[0][:-1] + b"\xff", b"a"],
        [*encode_items([Gap(1, 2, Why.SLOW)]), b""],
        encode_items([Gap(2, 1, Why.SLOW)]),
        encode_items([Gap(0, 1, Why.SLOW)]),
        [encode_items([Gap(1, 2, Why.SLOW)])[0][:-1] + b"\xff"],
        encode_end(End(Why.SUPERSEDED)),
        encode_end(End(Why.SUPERSEDED, newer=KEY)),
        encode_end(End(Why.COMPLETE, newer=EpisodeKey("answer", 3))),
        [b"\3\xff" + encode_end(End(Why.COMPLETE))[0][2:]],
        [encode_end(End(Why.COMPLETE))[0][:20]],
    ],
)
def test_a_message_that_is_none_is_a_violation(bad: Any) -> None:
    with pytest.raises(ProtocolError):
        decode(KEY, bad)


def test_whatever_a_peer_says_there_is_an_answer() -> None:
    rng = Random("hostile")
    seeds = [GOOD, encode_items([Gap(1, 2, Why.SLOW)]), encode_end(End(Why.COMPLETE, 3))]
    read = 0
    for _ in range(20_000):
        message = [bytearray(part) for part in rng.choice(seeds)]
        head = message[0]
        for _ in range(rng.randint(1, 3)):
            head[rng.randrange(len(head))] = rng.choice((0, 1, 2, 255, rng.randrange(256)))
        if rng.random() < 0.3:
            del head[rng.randrange(1, len(head)) :]
        try:
            items, end = decode(KEY, message)
        except ProtocolError:
            continue
        read += 1
        assert bool(items) != (end is not None)
    assert read > 1_000
