"""Every error litz raises: one class per different reaction of the caller.

The message of each says what happened, to which destination, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litz.events import LostReceipt


class LitzError(Exception):
    """Base of all errors raised by litz."""


class InvalidDestError(LitzError, ValueError):
    """The destination id is not legal. Fix the id."""


class InvalidEndpointError(LitzError, ValueError):
    """The endpoint URL cannot be read, or no installed wire understands its scheme."""


class ManagerStateError(LitzError, RuntimeError):
    """The manager was used before `async with` entered it, after it closed, or from a foreign loop."""


class ConsumerConflictError(LitzError, RuntimeError):
    """Two consumers want the same messages. `serve` and `messages` exclude each other."""


class NotARequestError(LitzError, RuntimeError):
    """`reply` was called on a message whose sender does not wait for an answer."""


class MessageTooLargeError(LitzError, ValueError):
    """The message is larger than `max_message`. Cut it into several, raise the limit, or use a stream."""


class PayloadError(LitzError, TypeError):
    """The payload is not something this manager can carry (bytes-like outside the process)."""


class BackpressureError(LitzError):
    """The log of the lane is full and waiting was not asked for. Await `send`, or try again later."""


class AdmissionRefusedError(BackpressureError):
    """A limiter did not admit a piece of work (`litz.admission`): nothing was taken. The text names the limit, the
    policy and the cure. Come again later, or let it wait (`Queue`)."""

    def __init__(self, text: str, *, limiter: str, policy: str) -> None:
        super().__init__(text)
        self.limiter = limiter
        self.policy = policy


class OrderBrokenError(LitzError):
    """A message that was accepted cannot be run in its turn any more (`litz.ordering`), so nothing more of that order
    runs: final. What was not finished is not acknowledged. `key` is the one it happened under; the cause says more."""

    def __init__(self, text: str, *, key: Hashable = None) -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed attempt to reach a destination: by which endpoint, and why it failed."""

    endpoint: str
    error: BaseException

    def __str__(self) -> str:
        return f"{self.endpoint}: {type(self.error).__name__}: {self.error}"


class ConnectError(LitzError, ConnectionError):
    """The destination could not be reached. Every attempt is named in `attempts`."""

    def __init__(self, message: str, *, dest: str, attempts: Sequence[Attempt] = ()) -> None:
        super().__init__("; ".join([message, *map(str, attempts)]))
        self.dest = dest
        self.attempts = tuple(attempts)


class UnknownDestError(ConnectError):
    """Nobody knows an endpoint of this destination. Give hints, or add it to the directory."""


class GaveUpError(ConnectError):
    """The dest is not dialled any more: its budget of redials is used up. Ask for it again when it is back:
    `reconnect`, or any send to it, begins anew."""


class PeerDrainingError(ConnectError):
    """The peer has announced that it leaves: nothing was accepted. Send to another dest, or again once it is back."""


class DrainingError(LitzError):
    """This node leaves (`drain(final=True)`) and takes no new work: nothing was accepted. Send from another node."""


class HandshakeError(LitzError, ConnectionError):
    """The peer and this node could not agree to talk over one wire."""


class ProxyError(HandshakeError):
    """A proxy on the way to the peer cannot be reached, refused us, or needs a package that is not installed. It is
    named, without its credentials. Check its address and credentials, or go without it."""


class IncompatibleError(HandshakeError):
    """No protocol version or feature set in common. Upgrade the older side."""


class UnauthenticatedError(HandshakeError):
    """The peer did not prove its id, or we did not prove ours. Check keys and trust."""


class UntrustedPeerError(UnauthenticatedError):
    """The peer showed a certificate or a key that is not to be trusted for its id: the endpoint leads elsewhere, or its
    key has changed. It is not dialled again by itself: correct the endpoint or the trust, then `reconnect`."""


class ForbiddenError(UnauthenticatedError):
    """The peer proved who it is, and `authorize` of this node refused it. Change that if it may. The peer is told what
    a stranger is told."""


class BusyError(HandshakeError):
    """The peer asked to come back after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InsecureListenError(LitzError, ValueError):
    """Listening beyond loopback needs an authenticator (P8)."""


class ProtocolError(LitzError):
    """The peer broke the protocol. It costs the peer that wire, and nothing else."""


class SealBrokenError(ProtocolError):
    """A sealed frame was changed, doubled, lost or reordered on its way. Somebody between may have done it."""


class WireClosedError(LitzError, ConnectionError):
    """The wire under an operation closed before the operation was done."""


class SessionEndedError(LitzError, ConnectionError):
    """The session ended, so what was not confirmed will not be by litz. `lost` lists it exactly.

    Subclasses tell why. Each `LostReceipt` says *never accepted* (safe to send again) or *outcome
    unknown* (the peer may have processed it).
    """

    def __init__(self, message: str, *, dest: str, lost: Sequence[LostReceipt] = ()) -> None:
        super().__init__(message)
        self.dest = dest
        self.lost = tuple(lost)


class PeerRestartedError(SessionEndedError):
    """The peer came back as a new incarnation (or discarded its state)."""


class SessionExpiredError(SessionEndedError):
    """No wire could be had for longer than the session is kept."""


class PeerClosedError(SessionEndedError):
    """The peer said goodbye, or this side closed the transport. After a goodbye of the peer `send` raises this until it
    comes back by itself, or until it is told `reopen=True`."""


class SessionFaultError(SessionEndedError):
    """The session was ended because the peer broke its rules repeatedly."""


class ReplacedError(SessionEndedError):
    """A newer incarnation of *this* node's id took over. This one has stopped redialling."""


class MessageDroppedError(LitzError):
    """A policy dropped the message before it was transmitted, so the wanted confirmation cannot come."""


class RequestError(LitzError):
    """Base of what a `request` can fail with, other than the transport's errors."""


class RemoteError(RequestError):
    """The handler at the peer raised. `kind` is the name of its exception's class."""

    def __init__(self, kind: str, detail: str, *, dest: str) -> None:
        super().__init__(f"handler at {dest} raised {kind}: {detail}" if detail else f"handler at {dest} raised {kind}")
        self.kind = kind
        self.detail = detail
        self.dest = dest


class RequestTimeoutError(RequestError, TimeoutError):
    """No reply in time. The peer has been told to cancel; the request may have run."""


class OutcomeUnknownError(RequestError, ConnectionError):
    """The peer restarted or its session ended after the request was sent: it may have run."""


class StreamRefusedError(LitzError, OSError):
    """The peer did not open the stream. `why` is a `litz.stream_port.Refusal`; `retry_after` in seconds, if the peer is
    busy and said when to come again."""

    def __init__(self, text: str, *, why: int, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.why = why
        self.retry_after = retry_after


class StreamAbortedError(LitzError, ConnectionError):
    """The stream ended and was not complete: the peer or this side aborted it. `code` is a `litz.stream_port.Abort`."""

    def __init__(self, text: str, *, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class StreamLostError(StreamAbortedError):
    """The session under the stream is over (a peer that restarted, or stayed away for too long). Its cause says why;
    what was written and not confirmed may or may not have arrived: `unconfirmed` entries."""

    def __init__(self, text: str, *, unconfirmed: int = 0) -> None:
        super().__init__(text)
        self.unconfirmed = unconfirmed


class PipeResetError(StreamAbortedError, ConnectionResetError):
    """A byte pipe broke: the peer aborted it, or its session is over (then the cause says why). What was written and
    not yet confirmed may or may not have arrived."""


class EndOfStreamError(LitzError, EOFError):
    """The peer has finished its half of the stream: all that it sent was received. `receive` raises it where `async
    for` just ends."""


class StreamStateError(LitzError, RuntimeError):
    """The stream was used in a way that it cannot be: two tasks send at once, or receive at once; or something is sent
    after `send_eof`."""


class ResumeImpossibleError(LitzError, ConnectionError):
    """The two ends of a `ResumablePipe` cannot go on with it: one lost its state, wants bytes that are not held any
    more, serves somebody else, or was away for too long. Final; open a new pipe. A `reconnect` of yours may raise it to
    give up."""
