"""Why a session ended, as the error that its waiters get."""

from __future__ import annotations

from litz.errors import (
    PeerClosedError,
    PeerRestartedError,
    ReplacedError,
    SessionEndedError,
    SessionExpiredError,
    SessionFaultError,
)
from litz.events import EndReason, LostReceipt

ERRORS: dict[EndReason, tuple[type[SessionEndedError], str]] = {
    EndReason.CLOSED_HERE: (PeerClosedError, "the transport was closed on this side"),
    EndReason.CLOSED_BY_PEER: (PeerClosedError, "the peer said goodbye"),
    EndReason.PEER_RESTARTED: (PeerRestartedError, "the peer came back as a new incarnation; send again what it needs"),
    EndReason.UNKNOWN_TO_PEER: (PeerRestartedError, "the peer no longer knows the session; send again what it needs"),
    EndReason.EXPIRED: (SessionExpiredError, "no wire came up for as long as a session is kept"),
    EndReason.FAULT: (SessionFaultError, "the peer broke the session's rules again and again"),
    EndReason.OVERFLOW: (SessionEndedError, "a lane whose policy is to fail was full; send less, or choose another"),
    EndReason.REPLACED: (ReplacedError, "a newer process uses this node's id; stop one of them"),
}


def ended_error(dest: str, reason: EndReason, detail: str, lost: tuple[LostReceipt, ...]) -> SessionEndedError:
    """The typed error of a session with `dest` that ended for `reason`; `lost` lists what was not confirmed."""
    kind, cure = ERRORS[reason]
    return kind(f"the session with {dest} ended: {cure} ({detail})", dest=dest, lost=lost)
