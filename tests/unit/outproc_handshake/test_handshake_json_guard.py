"""Handshake frames that are not the JSON they should be.

Covers `outproc.handshake.fields`.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from litz.errors import ProtocolError
from outproc.handshake import MAX_HANDSHAKE_FRAME, Acceptor, Join, Link
from outproc.handshake.codec import parse, split, with_proof
from outproc.handshake.json_guard import MAX_DEPTH, guarded_object
from outproc.handshake.models import MIN_MAX_FRAME, Auth
from outproc.session.identity import Half, Incarnation
from tests.unit.outproc_handshake.handshake_kit import ALICE, TERMS, Wiring, known_bytes, node

HELLO = Wiring().dialler.hello()


def refused(frame: bytes, match: str | None = None) -> None:
    acceptor = Acceptor(node("bob"), Link("memory"), known_bytes("b"))
    with pytest.raises(ProtocolError, match=match):
        acceptor.receive(frame)


def test_the_unchanged_frame_is_fine() -> None:
    assert guarded_object(HELLO)["dest"] == "bob"
    assert parse(split(HELLO)).value.type == "hello"


@pytest.mark.parametrize("cut", range(0, len(HELLO), 7))
def test_truncated(cut: int) -> None:
    refused(HELLO[:cut])


def test_oversized() -> None:
    padded = HELLO[:-1] + b" " * (MAX_HANDSHAKE_FRAME - len(HELLO)) + b"}"
    assert len(padded) == MAX_HANDSHAKE_FRAME
    assert split(padded).type == "hello"
    refused(padded + b" ", "limit is 16384")
    with pytest.raises(ProtocolError, match="limit is 16384"):
        guarded_object(b"{" + b" " * MAX_HANDSHAKE_FRAME)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep(opening: bytes) -> None:
    refused(b'{"type":' + opening * MAX_DEPTH, "nested deeper")
    refused(b'{"type":' + opening * 3000, "nested deeper")


def test_too_many_members() -> None:
    refused(b'{"type":"hello","versions":[' + b"1," * 2000 + b"1]}", "more than 1024 members")


def test_brackets_and_commas_in_strings_do_not_count() -> None:
    frame = b'{"a":"' + b"[{," * 1000 + rb"\"[[[\\" + b'"}'
    assert len(guarded_object(frame)["a"]) == 3005


@pytest.mark.parametrize("hostile", [b'"\\' * 8000, b'"' * 16000, b"\\" * 16000, b'{"' * 8000, b'"a\\"' * 4000])
def test_looking_at_a_hostile_frame_takes_linear_time(hostile: bytes) -> None:
    """It took seconds with a pattern that starts over at each quote; the bound is generous."""
    begin = time.thread_time()
    with pytest.raises(ProtocolError):
        guarded_object(b"{" + hostile)
    assert time.thread_time() - begin < 0.5


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"hello","type":"hello"}',
        b'{"type":"hello","\\u0074ype":"hello"}',
        b'{"type":"hello","auth":{"method":"none","method":"none"}}',
    ],
)
def test_a_name_twice(body: bytes) -> None:
    refused(body, "not the JSON it should be")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1.0", "1e3", "-0.0", "12345678901", "1" * 5000])
def test_numbers_that_are_no_plain_integers(number: str) -> None:
    refused(b'{"type":"hello","versions":[' + number.encode() + b"]}", "not the JSON it should be")


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"hello","dialler":"\xff"}',
        b'{"type":"hello","dialler":"\xed\xa0\x80"}',
        b'{"type":"hello","dialler":"\xc0\xaf"}',
        b"\xef\xbb\xbf{}",
        b"",
        b"[]",
        b"{} {}",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":"\x01"}',
    ],
)
def test_bad_text(frame: bytes) -> None:
    refused(frame)


@pytest.mark.parametrize("kind", ["null", "1", '"goodbye"', '["hello"]', '"HELLO"'])
def test_unknown_types(kind: str) -> None:
    refused(b'{"type":' + kind.encode() + b"}", "no known type")
    refused(b"{}", "no known type")


@pytest.mark.parametrize("versions", ["1", "[true]", '["1"]', "null", "{}"])
def test_versions_that_are_none(versions: str) -> None:
    refused(b'{"type":"hello","versions":' + versions.encode() + b"}", "without a list of versions")


def hello(**changes: object) -> bytes:
    return json.dumps({**json.loads(HELLO), **changes}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"dialler": "a b"},
        {"dialler": ""},
        {"dialler": "a" * 256},
        {"dialler": "\ud800"},
        {"dialler": "a\nb"},
        {"dialler": 5},
        {"nonce": "A" * 42},
        {"nonce": "A" * 42 + "B"},
        {"nonce": "A" * 42 + "="},
        {"nonce": "+" * 43},
        {"nonce": "A" * 100_0},
        {"nonce": None},
        {"incarnation": {"started": "1"}},
        {"incarnation": {"started": "1", "random": "2", "more": "3"}},
        {"incarnation": {"started": 1, "random": "2"}},
        {"incarnation": {"started": "-1", "random": "2"}},
        {"incarnation": {"started": "01", "random": "2"}},
        {"incarnation": {"started": "1e3", "random": "2"}},
        {"incarnation": {"started": "\u0661", "random": "2"}},
        {"incarnation": {"started": "18446744073709551616", "random": "2"}},
        {"incarnation": ["1", "2"]},
        {"auth": {"method": "ED", "credential": ""}},
        {"auth": {"method": "none\n", "credential": ""}},
        {"auth": {"method": "none", "credential": "", "more": 1}},
        {"auth": {"method": "none", "credential": "A" * 9000}},
        {"kind": ""},
        {"bound": 1},
        {"bound": "true"},
        {"seal": "perhaps"},
        {"seal": "require"},
        {"x25519": "A" * 43},
        {"limits": {"max_frame": str(MIN_MAX_FRAME - 1), "max_message": "1"}},
        {"limits": {"max_frame": "4096", "max_message": "0"}},
        {"limits": {"max_frame": 4096, "max_message": "1"}},
        {"features": ["UPPER"]},
        {"features": ["a"] * 33},
        {"features": "a"},
        {"versions": [1, 0]},
        {"versions": [1] * 17},
    ],
)
def test_fields_of_hello_that_are_refused(changes: dict[str, object]) -> None:
    refused(hello(**changes), "hello frame: ")


def test_unknown_fields_are_ignored_in_hello_and_refused_later() -> None:
    assert parse(split(hello(quantum={"a": 1}))).value.type == "hello"
    wiring = Wiring()
    wiring.prove_acceptor()
    body, _, proof = wiring.dialler.join(ALICE, None, TERMS).partition(b"\n")
    with pytest.raises(ProtocolError, match="join frame: 'quantum'"):
        wiring.acceptor.receive(body[:-1] + b',"quantum":1}\n' + proof)


def terms(**changes: object) -> dict[str, object]:
    return {**TERMS.model_dump(mode="json"), **changes}


POSITION = {"lane": 0, "number": "1", "offset": "0", "processed": "0", "durable": "0"}


@pytest.mark.parametrize(
    "changes",
    [
        {"join": 0},
        {"join": "1"},
        {"join": 1 << 31},
        {"join": True},
        {"yours": {"started": "1", "random": "2"}},
        {"yours": {"started": "1", "random": "2", "counter": "18446744073709551616"}},
        {"yours": "none"},
        {"mine": None},
        {"terms": terms(session_credit=5)},
        {"terms": terms(session_credit="5", more=1)},
        {"terms": terms(positions=[POSITION, POSITION])},
        {"terms": terms(positions=[{**POSITION, "lane": n} for n in range(33)])},
        {"terms": terms(positions=[{**POSITION, "lane": -1}])},
        {"terms": terms(positions=[{**POSITION, "lane": 1 << 32}])},
        {"terms": terms(positions=[{**POSITION, "processed": "2"}])},
        {"terms": terms(positions=[{**POSITION, "durable": "2"}])},
        {"terms": terms(credit=[{"lane": 1, "messages": "1", "bytes": "1"}] * 2)},
        {"terms": terms(log={"messages": "1"})},
    ],
)
def test_fields_of_join_that_are_refused(changes: dict[str, object]) -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    body, _, proof = wiring.dialler.join(ALICE, None, TERMS).partition(b"\n")
    changed = json.dumps({**json.loads(body), **changes}).encode()
    with pytest.raises(ProtocolError, match="join frame: "):
        wiring.acceptor.receive(changed + b"\n" + proof)


@pytest.mark.parametrize("proof", [b"*", b"A", b"AB", b"AA\n", b"AA==", b"\xff", b"A" * 9000])
def test_proofs_that_are_not_base64url(proof: bytes) -> None:
    wiring = Wiring()
    body = wiring.challenge().frame.partition(b"\n")[0]
    with pytest.raises(ProtocolError, match="challenge frame: its proof is not base64url"):
        wiring.dialler.receive(body + b"\n" + proof)


def test_an_error_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(ProtocolError) as raised:
        parse(split(hello(auth={"method": "none", "credential": "s3cret!"})))
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_values_that_cannot_be_sent_are_refused_where_they_are_made() -> None:
    life = Incarnation(1, 2)
    wrong: list[dict[str, Any]] = [
        {"mine": "a half"},
        {"mine": Half(life, 1 << 64)},
        {"mine": Half(Incarnation(-1, 2), 1)},
        {"mine": Half("life", 1)},  # type: ignore[arg-type]  # the point
        {"join": 0},
        {"terms": None},
    ]
    good: dict[str, Any] = {"join": 1, "mine": Half(life, 1), "yours": None, "terms": TERMS}
    assert Join(**good).mine == Half(life, 1)
    for changes in wrong:
        with pytest.raises(ValueError, match="validation error"):
            Join(**{**good, **changes})
    with pytest.raises(ValueError, match="validation error"):
        Auth(method="none", credential="text")  # type: ignore[arg-type]  # the point
    with pytest.raises(ValueError, match="the limit is 16384"):
        with_proof(b"{}", b"x" * MAX_HANDSHAKE_FRAME)
