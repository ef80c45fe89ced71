"""What made a dial fail, in words that are the same each time it is the same. Pure."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Final

from litz.errors import (
    BusyError,
    ConnectError,
    IncompatibleError,
    InvalidEndpointError,
    ReplacedError,
    SealBrokenError,
    UnauthenticatedError,
    UnknownDestError,
    UntrustedPeerError,
    WireClosedError,
)
from outproc.retry.classify import DEEPEST_CAUSE

WORDS: Final[dict[type[BaseException], str]] = {
    UnknownDestError: "no endpoint is known",
    UntrustedPeerError: "its certificate or key is not trusted",
    ssl.SSLCertVerificationError: "its certificate is not trusted",
    UnauthenticatedError: "one side did not accept the other's id",
    IncompatibleError: "it speaks no protocol that this node knows",
    BusyError: "it is busy",
    ReplacedError: "a newer process has this node's id",
    InvalidEndpointError: "its endpoint cannot be used",
    SealBrokenError: "somebody changes frames on the way",
    WireClosedError: "the wire closed",
    socket.gaierror: "its name cannot be resolved",
    ConnectionRefusedError: "connection refused",
    ConnectionResetError: "connection reset",
    TimeoutError: "no answer in time",
}
"""The nearest base class of an error counts."""

ERRNO: Final = {
    errno.ENETUNREACH: "the network cannot be reached",
    errno.EHOSTUNREACH: "the host cannot be reached",
    errno.ENETDOWN: "the network is down",
    errno.ENOENT: "nothing listens there",
    errno.EMFILE: "this process has too many open files",
    errno.ENFILE: "this machine has too many open files",
    errno.EADDRNOTAVAIL: "no local port is free",
}


def cause_of(error: BaseException) -> str:
    """A few words, one of a small number for all that is known, and the name of its class for what is not."""
    return _cause(error, DEEPEST_CAUSE) or type(error).__name__


def _cause(error: BaseException, depth: int) -> str:
    for base in type(error).__mro__:
        if base in WORDS:
            return WORDS[base]
    if isinstance(error, OSError) and error.errno in ERRNO:
        return ERRNO[error.errno]
    if not depth:
        return ""
    if isinstance(error, ConnectError) and error.attempts:
        found = dict.fromkeys(_cause(each.error, depth - 1) for each in error.attempts)
        return ", ".join(words for words in found if words)
    return _cause(error.__cause__, depth - 1) if isinstance(error.__cause__, Exception) else ""
