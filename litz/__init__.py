"""litz: send by destination id over wires that break, and lose nothing.

This package is the contract that every transport manager shares. `inproc` has the one for a single
process, `outproc` the one across processes and machines.

Errors are there at once; other names are loaded when they are first used, so that who wants a few of them, as the pure
cores do and most of the command, does not wait for all of asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from litz.errors import (
    AdmissionRefusedError,
    Attempt,
    BackpressureError,
    BusyError,
    ConnectError,
    ConsumerConflictError,
    DrainingError,
    EndOfStreamError,
    ForbiddenError,
    GaveUpError,
    HandshakeError,
    IncompatibleError,
    InsecureListenError,
    InvalidDestError,
    InvalidEndpointError,
    LitzError,
    ManagerStateError,
    MessageDroppedError,
    MessageTooLargeError,
    NotARequestError,
    OrderBrokenError,
    OutcomeUnknownError,
    PayloadError,
    PeerClosedError,
    PeerDrainingError,
    PeerRestartedError,
    PipeResetError,
    ProtocolError,
    ProxyError,
    RemoteError,
    ReplacedError,
    RequestError,
    RequestTimeoutError,
    ResumeImpossibleError,
    SessionEndedError,
    SessionExpiredError,
    SessionFaultError,
    StreamAbortedError,
    StreamLostError,
    StreamRefusedError,
    StreamStateError,
    UnauthenticatedError,
    UnknownDestError,
    UntrustedPeerError,
    WireClosedError,
)
from litz.late_names import late_names

if TYPE_CHECKING:
    from litz.events import Event, LaneReceived, LostReceipt, Outcome, ResentReceipt
    from litz.manager import Peer, TransportManager
    from litz.message import Buffer, Message, Origin, Receipt
    from litz.order import Fifo, PerKey
    from litz.payload import PayloadType
    from litz.pipes import PipeListener
    from litz.resumable_pipe import ResumablePipe
    from litz.resumable_server import ResumableServer
    from litz.resume_options import ResumeOptions
    from litz.retry import Retry
    from litz.snapshot import DestState
    from litz.stream import Stream
    from litz.stream_options import Drain, StreamOptions
    from litz.wire import Endpoint, UrgentChannel, Wire, WireBuilder, WireListener, WireLoss, WirePath, WireSink

__version__ = "0.1.0"

__all__ = [
    "AdmissionRefusedError",
    "Attempt",
    "BackpressureError",
    "Buffer",
    "BusyError",
    "ConnectError",
    "ConsumerConflictError",
    "DestState",
    "Drain",
    "DrainingError",
    "EndOfStreamError",
    "Endpoint",
    "Event",
    "Fifo",
    "ForbiddenError",
    "GaveUpError",
    "HandshakeError",
    "IncompatibleError",
    "InsecureListenError",
    "InvalidDestError",
    "InvalidEndpointError",
    "LaneReceived",
    "LitzError",
    "LostReceipt",
    "ManagerStateError",
    "Message",
    "MessageDroppedError",
    "MessageTooLargeError",
    "NotARequestError",
    "OrderBrokenError",
    "Origin",
    "Outcome",
    "OutcomeUnknownError",
    "PayloadError",
    "PayloadType",
    "Peer",
    "PeerClosedError",
    "PeerDrainingError",
    "PeerRestartedError",
    "PerKey",
    "PipeListener",
    "PipeResetError",
    "ProtocolError",
    "ProxyError",
    "Receipt",
    "RemoteError",
    "ReplacedError",
    "RequestError",
    "RequestTimeoutError",
    "ResentReceipt",
    "ResumablePipe",
    "ResumableServer",
    "ResumeImpossibleError",
    "ResumeOptions",
    "Retry",
    "SessionEndedError",
    "SessionExpiredError",
    "SessionFaultError",
    "Stream",
    "StreamAbortedError",
    "StreamLostError",
    "StreamOptions",
    "StreamRefusedError",
    "StreamStateError",
    "TransportManager",
    "UnauthenticatedError",
    "UnknownDestError",
    "UntrustedPeerError",
    "UrgentChannel",
    "Wire",
    "WireBuilder",
    "WireClosedError",
    "WireListener",
    "WireLoss",
    "WirePath",
    "WireSink",
    "__version__",
]

_HOMES = {
    "Buffer": "litz.message",
    "DestState": "litz.snapshot",
    "Drain": "litz.stream_options",
    "Endpoint": "litz.wire",
    "Event": "litz.events",
    "Fifo": "litz.order",
    "LaneReceived": "litz.events",
    "LostReceipt": "litz.events",
    "Message": "litz.message",
    "Origin": "litz.message",
    "Outcome": "litz.events",
    "PayloadType": "litz.payload",
    "Peer": "litz.manager",
    "PerKey": "litz.order",
    "PipeListener": "litz.pipes",
    "Receipt": "litz.message",
    "ResentReceipt": "litz.events",
    "ResumablePipe": "litz.resumable_pipe",
    "ResumableServer": "litz.resumable_server",
    "ResumeOptions": "litz.resume_options",
    "Retry": "litz.retry",
    "Stream": "litz.stream",
    "StreamOptions": "litz.stream_options",
    "TransportManager": "litz.manager",
    "UrgentChannel": "litz.wire",
    "Wire": "litz.wire",
    "WireBuilder": "litz.wire",
    "WireListener": "litz.wire",
    "WireLoss": "litz.wire",
    "WirePath": "litz.wire",
    "WireSink": "litz.wire",
}


if not TYPE_CHECKING:  # type checkers are to notice names that are not there
    __getattr__ = late_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
