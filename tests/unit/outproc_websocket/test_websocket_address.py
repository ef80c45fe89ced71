"""Endpoint URLs: `outproc.wires.websocket.address`; what answers of servers mean: `outproc.wires.websocket.refusal`."""

from __future__ import annotations

import email.utils
import time

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.http11 import Response

from litz.errors import BusyError, HandshakeError, IncompatibleError, InvalidEndpointError, UnauthenticatedError
from outproc.wires.websocket.address import Address, parse
from outproc.wires.websocket.refusal import MAX_RETRY_AFTER, error_of

GOOD = {
    "ws://127.0.0.1:8400": Address("ws", "127.0.0.1", 8400, "/litz"),
    "WS://Example.org": Address("ws", "example.org", 80, "/litz"),
    "wss://example.org/": Address("wss", "example.org", 443, "/litz"),
    "wss://example.org:1/deep/er?room=1": Address("wss", "example.org", 1, "/deep/er?room=1"),
    "ws://[::1]:0": Address("ws", "::1", 0, "/litz"),
    "unix:/run/litz.sock": Address("unix", file="/run/litz.sock"),
    "unix:///run/litz.sock": Address("unix", file="/run/litz.sock"),
    "unix:/run/a%20b": Address("unix", file="/run/a b"),
}
BAD = (
    "http://x", "ws://", "ws:127.0.0.1", "ws://:80", "ws://x:port", "ws://x:70000", "ws://me:secret@x", "ws://x#y",
    "ws://x/ü", "ws://x/a b", "unix:", "unix:relative", "unix://host/file", "unix:/dir/", "unix:/a\0b", "ws://[::1",
)  # fmt: skip


@pytest.mark.parametrize("url", GOOD)
def test_good_urls(url: str) -> None:
    assert parse(url) == GOOD[url]
    assert parse(str(parse(url))) == GOOD[url]


@pytest.mark.parametrize("url", BAD)
def test_bad_urls_say_what_is_wrong_and_keep_secrets(url: str) -> None:
    with pytest.raises(InvalidEndpointError) as caught:
        parse(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["ws://127.0.0.1", "ws://127.9.9.9", "wss://[::1]", "ws://localhost:1", "unix:/x"])
def test_local(url: str) -> None:
    assert parse(url).is_local


@pytest.mark.parametrize(
    "url", ["ws://0.0.0.0", "ws://[::]", "ws://10.0.0.1", "ws://example.org", "ws://localhost.example.org"]
)
def test_not_local(url: str) -> None:
    assert not parse(url).is_local


def _answer(status: int, body: bytes = b"", **headers: str) -> InvalidStatus:
    pairs = {name.replace("_", "-"): value for name, value in headers.items()}
    return InvalidStatus(Response(status, "Because", Headers(pairs), body))


@pytest.mark.parametrize(
    ("failure", "kind", "cure"),
    [
        (_answer(403), UnauthenticatedError, "origins="),
        (_answer(401), UnauthenticatedError, "headers="),
        (_answer(404), HandshakeError, "check the URL"),
        (_answer(426), IncompatibleError, "litz.1"),
        (_answer(302), HandshakeError, "final URL"),
        (_answer(500), HandshakeError, "log"),
        (_answer(503, Retry_After="7"), BusyError, "7 s"),
        (InvalidMessage("no HTTP"), HandshakeError, "ws or wss"),
    ],
)
def test_each_answer_has_its_error_and_its_cure(failure: Exception, kind: type[Exception], cure: str) -> None:
    error = error_of("ws://x", failure)
    assert type(error) is kind
    assert "ws://x" in str(error)
    assert cure in str(error)


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("0", 0, 0),
        ("12", 12, 12),
        ("99999999999999999999", MAX_RETRY_AFTER, MAX_RETRY_AFTER),
        ("-5", 1, 1),
        ("soon", 1, 1),
        (email.utils.formatdate(0, usegmt=True), 0, 0),
    ],
)
def test_retry_after_is_believed_within_bounds(value: str, low: float, high: float) -> None:
    error = error_of("x", _answer(429, Retry_After=value))
    assert isinstance(error, BusyError)
    assert low <= error.retry_after <= high


def test_a_server_cannot_write_into_a_terminal() -> None:
    assert "\x1b" not in str(error_of("x", _answer(500, b"\x1b[2J")))
    assert len(str(error_of("x", _answer(500, b"a" * 100_000)))) < 500


def test_a_connection_closed_during_the_handshake_is_an_os_error() -> None:
    failure = InvalidMessage("did not receive a valid HTTP response")
    assert isinstance(error_of("x", failure, ended=True), ConnectionResetError)


def test_retry_after_may_be_a_date() -> None:
    error = error_of("x", _answer(503, Retry_After=email.utils.formatdate(time.time() + 100, usegmt=True)))
    assert isinstance(error, BusyError)
    assert 0 < error.retry_after <= 100
