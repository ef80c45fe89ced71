"""Whether to try again after an error, decided in one table by the class of the error.

The default is *retry*: an error nobody thought of must not end a connection for good.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from litz.errors import (
    BusyError,
    ConnectError,
    GaveUpError,
    IncompatibleError,
    InsecureListenError,
    InvalidDestError,
    InvalidEndpointError,
    ManagerStateError,
    PeerClosedError,
    ReplacedError,
    SealBrokenError,
    UnauthenticatedError,
    UntrustedPeerError,
)

SLOW_AFTER: Final = 30.0
"""Seconds to wait at least when only a person can mend it, at this end or the other."""

LONGEST_RETRY_AFTER: Final = 300.0
"""The most seconds a peer can ask us to stay away."""

DEEPEST_CAUSE: Final = 8
"""How far the causes of an error are followed."""


class Verdict(IntEnum):
    """What to do, the most hopeful first."""

    RETRY = 0
    """Try again after the backoff."""
    SLOW = 1
    """Try again, but rarely: somebody has to change something first, and may."""
    STOP = 2
    """Do not try again by yourself."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, and the seconds to wait at least. The caller *adds* its jittered backoff to `min_delay`, so
    that many clients told the same time do not come back in the same moment."""

    verdict: Verdict
    min_delay: float = 0.0


RETRY: Final = Decision(Verdict.RETRY)
SLOW: Final = Decision(Verdict.SLOW, SLOW_AFTER)
STOP: Final = Decision(Verdict.STOP)

OUT_OF_DATE: Final = (9, 10)
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (openssl/x509_vfy.h)."""

TABLE: Final[dict[type[BaseException], Decision]] = {
    UntrustedPeerError: STOP,  # it has shown who it is, and nothing but a change at this end makes it right
    UnauthenticatedError: SLOW,  # unproved: keys and trust can be changed while both run
    ssl.SSLCertVerificationError: STOP,  # see `UntrustedPeerError`
    SealBrokenError: Decision(Verdict.RETRY, 1.0),  # somebody between: the next wire may fare no better
    IncompatibleError: SLOW,  # the peer can be upgraded
    InvalidEndpointError: STOP,
    InvalidDestError: STOP,
    InsecureListenError: STOP,
    ManagerStateError: STOP,
    GaveUpError: STOP,  # its budget is used up
    PeerClosedError: STOP,  # it said goodbye; a reset is not a goodbye
    ReplacedError: STOP,  # a newer incarnation of ourselves has taken over (R13)
}
"""The nearest base class of an error counts. `BusyError` carries its own time. What is not an `Exception`
(a cancellation) stops."""


def classify(error: BaseException) -> Decision:
    """What to do after `error`. The caller waits `min_delay` plus its backoff, or stops.

    An error that is not in the table is judged by its explicit cause (`raise ... from`), a `ConnectError` or
    a group by the most hopeful of what it holds, and anything else means *retry*.
    """
    return _decide(error, DEEPEST_CAUSE) or RETRY


def is_retryable(error: BaseException) -> bool:
    """Whether trying again by itself makes sense after `error`."""
    return classify(error).verdict is not Verdict.STOP


def is_out_of_date(error: ssl.SSLCertVerificationError) -> bool:
    """Whether all that is wrong with a certificate is its time: it will be renewed, or a clock will be set."""
    return getattr(error, "verify_code", None) in OUT_OF_DATE


def _decide(error: BaseException, depth: int) -> Decision | None:
    if isinstance(error, ssl.SSLCertVerificationError) and is_out_of_date(error):
        return SLOW
    if isinstance(error, BusyError):
        return Decision(Verdict.RETRY, _believable(error.retry_after))
    for base in type(error).__mro__:
        if base in TABLE:
            return TABLE[base]
    if not depth:
        return None
    inner = _held_by(error)
    if inner:
        decisions = [_decide(each, depth - 1) or RETRY for each in inner]
        return min(decisions, key=lambda decision: (decision.verdict, decision.min_delay))
    if not isinstance(error, Exception):
        return STOP
    # Only errors explain an error: the TimeoutError of `asyncio.timeout` has a cancellation as its cause.
    return _decide(error.__cause__, depth - 1) if isinstance(error.__cause__, Exception) else None


def _held_by(error: BaseException) -> list[BaseException]:
    if isinstance(error, ConnectError):
        return [attempt.error for attempt in error.attempts]
    if isinstance(error, BaseExceptionGroup):
        return list(error.exceptions)
    return []


def _believable(retry_after: float) -> float:
    """What a peer asked for, within limits. Not a number counts as nothing."""
    return min(retry_after, LONGEST_RETRY_AFTER) if retry_after > 0 else 0.0
