"""What signaling messages look like, and what is refused: `outproc.signaling.messages`."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from litz.errors import ProtocolError
from outproc.signaling.messages import (
    MAX_ENVELOPE,
    MAX_SDP,
    Answer,
    Message,
    Offer,
    Refusal,
    Withdrawal,
    body_of,
    open_envelope,
    read_body,
    seal_envelope,
)

PRINT = ":".join(["AB"] * 32)
COMMON: dict[str, Any] = {"version": 1, "sender": "ann", "dest": "bob", "session": "1|2", "attempt": "0" * 32}
OFFER: dict[str, Any] = {**COMMON, "type": "offer", "expires": 1_800_000_000, "fingerprint": PRINT, "sdp": "v=0\r\n"}


@pytest.mark.parametrize(
    "message",
    [
        Offer(**OFFER),
        Answer(**{**OFFER, "type": "answer"}),
        Refusal(**COMMON, reason="busy", retry_after_ms=1500),
        Withdrawal(**COMMON),
    ],
    ids=["offer", "answer", "refuse", "withdraw"],
)
def test_what_is_sealed_is_opened_again(message: Message) -> None:
    body, proof = open_envelope(seal_envelope(body_of(message), b"\0proof"))
    assert proof == b"\0proof"
    assert read_body(body) == message


def test_a_body_is_opened_as_it_stands() -> None:
    body = '{ "type" : "withdraw" }'
    assert open_envelope(seal_envelope(body, b""))[0] == body


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"body": "{}"}',
        b'{"body": 1, "proof": ""}',
        b'{"body": "{}", "proof": "a"}',
        b'{"body": "{}", "proof": "$$$$"}',
        b'{"body": "{}", "proof": "", "more": 1}',
        json.dumps({"body": "{}", "proof": base64.b64encode(bytes(13_000)).decode()}).encode(),
        json.dumps({"body": "x" * MAX_ENVELOPE, "proof": ""}).encode(),
        b'{"body":' + b"[" * 40_000,
    ],
)
def test_envelopes_that_are_refused(envelope: bytes) -> None:
    with pytest.raises(ProtocolError):
        open_envelope(envelope)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "other"},
        {"type": None},
        {"version": 2},
        {"version": "1"},
        {"version": True},
        {"sender": ""},
        {"sender": "x" * 256},
        {"dest": 5},
        {"attempt": "0" * 31},
        {"attempt": "G" * 32},
        {"expires": -1},
        {"expires": 1.5},
        {"expires": 10**11},
        {"fingerprint": PRINT.lower()},
        {"fingerprint": PRINT[:-3]},
        {"sdp": ""},
        {"sdp": "x" * (MAX_SDP + 1)},
        {"session": "s" * 200},
        {"more": 1},
    ],
)
def test_bodies_that_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_body(json.dumps(OFFER | change))
    assert "v=0" not in str(caught.value), "an error quotes nothing of the peer's"


@pytest.mark.parametrize("field", [name for name in OFFER if name != "type"])
def test_no_field_may_be_missing(field: str) -> None:
    body = dict(OFFER)
    del body[field]
    with pytest.raises(ProtocolError):
        read_body(json.dumps(body))
