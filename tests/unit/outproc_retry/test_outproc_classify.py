"""The one table that says whether an error is worth another attempt."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl

import pytest

from litz.errors import (
    Attempt,
    BusyError,
    ConnectError,
    GaveUpError,
    HandshakeError,
    IncompatibleError,
    InsecureListenError,
    InvalidDestError,
    InvalidEndpointError,
    ManagerStateError,
    PeerClosedError,
    PeerRestartedError,
    ProtocolError,
    ReplacedError,
    SessionExpiredError,
    UnauthenticatedError,
    UnknownDestError,
    UntrustedPeerError,
)
from outproc.retry.classify import (
    LONGEST_RETRY_AFTER,
    RETRY,
    SLOW,
    STOP,
    Decision,
    Verdict,
    classify,
    is_retryable,
)

CERTIFICATE = ssl.SSLCertVerificationError(1, "certificate has expired")
CERTIFICATE.verify_code = 10
FOREIGN = ssl.SSLCertVerificationError(1, "unable to get local issuer certificate")
FOREIGN.verify_code = 20


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def connect(*errors: BaseException) -> ConnectError:
    return ConnectError("no way", dest="bob", attempts=[Attempt("ws://x", error) for error in errors])


@pytest.mark.parametrize(
    ("error", "decision"),
    [
        (ConnectionRefusedError(), RETRY),
        (ConnectionResetError(), RETRY),
        (socket.gaierror(), RETRY),
        (TimeoutError(), RETRY),
        (PermissionError(), RETRY),
        (ssl.SSLError(), RETRY),
        (ValueError("nobody thought of this"), RETRY),
        (HandshakeError(), RETRY),
        (ProtocolError(), RETRY),
        (UnknownDestError("who", dest="bob"), RETRY),
        (PeerRestartedError("", dest="bob"), RETRY),
        (SessionExpiredError("", dest="bob"), RETRY),
        (BusyError("later", retry_after=3.0), Decision(Verdict.RETRY, 3.0)),
        (UnauthenticatedError(), SLOW),
        (IncompatibleError(), SLOW),
        (CERTIFICATE, SLOW),
        (FOREIGN, STOP),
        (UntrustedPeerError(), STOP),
        (GaveUpError("no more", dest="bob"), STOP),
        (InvalidEndpointError(), STOP),
        (InvalidDestError(), STOP),
        (InsecureListenError(), STOP),
        (ManagerStateError(), STOP),
        (PeerClosedError("", dest="bob"), STOP),
        (ReplacedError("", dest="bob"), STOP),
        (asyncio.CancelledError(), STOP),
        (KeyboardInterrupt(), STOP),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_table(error: BaseException, decision: Decision) -> None:
    assert classify(error) == decision
    assert is_retryable(error) is (decision.verdict is not Verdict.STOP)


def test_a_subclass_is_judged_by_its_nearest_base() -> None:
    class WrongKeyError(UnauthenticatedError):
        pass

    assert classify(WrongKeyError()) == SLOW


def test_an_unknown_error_is_judged_by_its_explicit_cause() -> None:
    assert classify(caused(OSError(), caused(HandshakeError(), CERTIFICATE))) == SLOW
    assert classify(caused(OSError(), ConnectionResetError())) == RETRY
    assert classify(caused(InvalidEndpointError(), CERTIFICATE)) == STOP
    assert classify(caused(OSError(), BusyError("", retry_after=2.0))) == Decision(Verdict.RETRY, 2.0)


async def test_a_deadline_that_passed_is_worth_another_attempt() -> None:
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    assert classify(caught.value) == RETRY
    # Pythons differ in what they give it as its cause: nothing before 3.11.4, the cancellation since.
    assert classify(caused(TimeoutError(), asyncio.CancelledError())) == RETRY


def test_an_implicit_context_decides_nothing() -> None:
    error = OSError()
    error.__context__ = CERTIFICATE
    assert classify(error) == RETRY


def test_causes_in_a_ring_end() -> None:
    first, second = OSError(), OSError()
    caused(first, caused(second, first))
    assert classify(first) == RETRY


def test_the_most_hopeful_attempt_counts() -> None:
    assert classify(connect(InvalidEndpointError(), UnauthenticatedError())) == SLOW
    assert classify(connect(InvalidEndpointError(), TimeoutError())) == RETRY
    assert classify(connect(InvalidEndpointError())) == STOP
    assert classify(connect(UnauthenticatedError(), BusyError("", retry_after=9.0))).min_delay == 9.0
    assert classify(connect(TimeoutError(), BusyError("", retry_after=9.0))) == RETRY
    assert classify(connect()) == RETRY
    assert classify(caused(connect(), CERTIFICATE)) == SLOW


def test_groups_are_looked_into() -> None:
    assert classify(ExceptionGroup("", [InvalidEndpointError(), CERTIFICATE])) == SLOW
    assert classify(BaseExceptionGroup("", [asyncio.CancelledError()])) == STOP


@pytest.mark.parametrize(
    ("asked", "given"),
    [(-1.0, 0.0), (0.0, 0.0), (0.5, 0.5), (1e9, LONGEST_RETRY_AFTER), (math.inf, LONGEST_RETRY_AFTER), (math.nan, 0.0)],
)
def test_a_peer_cannot_keep_us_away_for_ever(asked: float, given: float) -> None:
    assert classify(BusyError("later", retry_after=asked)) == Decision(Verdict.RETRY, given)
