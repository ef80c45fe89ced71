"""What made a dial fail, in words."""

from __future__ import annotations

import errno
import socket

import pytest

from litz.errors import Attempt, ConnectError, HandshakeError, UntrustedPeerError
from outproc.failure_words import cause_of


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError("ws://10.0.0.1:80"), "connection refused"),
        (ConnectionRefusedError("ws://10.0.0.2:80"), "connection refused"),
        (TimeoutError("no answer within 10 s"), "no answer in time"),
        (OSError(errno.ENETUNREACH, "x"), "the network cannot be reached"),
        (socket.gaierror(-2, "x"), "its name cannot be resolved"),
        (UntrustedPeerError("x"), "its certificate or key is not trusted"),
        (caused(HandshakeError("x"), TimeoutError()), "no answer in time"),
        (ConnectError("x", dest="b", attempts=[Attempt("e", TimeoutError())] * 2), "no answer in time"),
        (KeyError("a bug"), "KeyError"),
    ],
)
def test_words(error: BaseException, words: str) -> None:
    assert cause_of(error) == words


def test_several_causes_are_named_once_each() -> None:
    attempts = [Attempt("e", TimeoutError()), Attempt("f", ConnectionRefusedError()), Attempt("g", TimeoutError())]
    assert cause_of(ConnectError("x", dest="b", attempts=attempts)) == "no answer in time, connection refused"
