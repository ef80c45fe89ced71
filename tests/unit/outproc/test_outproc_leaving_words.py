"""Tests of `outproc.leaving_words`."""

from __future__ import annotations

import pytest

from litz.errors import ProtocolError
from outproc.leaving_words import FLUSHED, LEAVES, MAX_REASON, decode_leaves, encode_leaves


def test_words_come_back_as_they_were_said() -> None:
    assert decode_leaves(memoryview(encode_leaves("", None))) == ("", None)
    reason, returning_in = decode_leaves(memoryview(encode_leaves("new version", 8.0))) or ("", None)
    assert (reason, returning_in) == ("new version", 8.0)
    assert decode_leaves(memoryview(bytes((FLUSHED,)))) is None


def test_reasons_are_cut_and_cleaned() -> None:
    said = decode_leaves(memoryview(encode_leaves("one\ntwo " + "ü" * 300, None)))
    assert said is not None
    assert said[0].startswith("one two ü")
    assert len(said[0].encode()) <= MAX_REASON


@pytest.mark.parametrize(
    "word",
    [
        b"",
        bytes((LEAVES,)),
        bytes((3, 0)),
        bytes((FLUSHED, 0)),
        bytes((LEAVES, 0)) + b"\xff",
        bytes((LEAVES, 0)) + b"x" * 201,
    ],
    ids=["empty", "short", "unknown", "more after it", "no UTF-8", "long"],
)
def test_what_is_no_word_is_refused(word: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_leaves(memoryview(word))
