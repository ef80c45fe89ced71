"""litz: send by destination id over wires that break, and lose nothing.

This package is the contract that every transport manager shares. `inproc` has the one for a single
process, `outproc` the one across processes and machines.
"""

from litz.errors import (
    Attempt,
    BackpressureError,
    BusyError,
    ConnectError,
    ConsumerConflictError,
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
    OutcomeUnknownError,
    PayloadError,
    PeerClosedError,
    PeerRestartedError,
    ProtocolError,
    RemoteError,
    ReplacedError,
    RequestError,
    RequestTimeoutError,
    SessionEndedError,
    SessionExpiredError,
    SessionFaultError,
    UnauthenticatedError,
    UnknownDestError,
    WireClosedError,
)
from litz.events import Event, LostReceipt, Outcome
from litz.manager import Peer, TransportManager
from litz.message import Buffer, Message, Receipt
from litz.payload import PayloadType
from litz.snapshot import DestState
from litz.wire import Endpoint, UrgentChannel, Wire, WireBuilder, WireListener, WireLoss, WirePath, WireSink

__version__ = "0.1.0"

__all__ = [
    "Attempt",
    "BackpressureError",
    "Buffer",
    "BusyError",
    "ConnectError",
    "ConsumerConflictError",
    "DestState",
    "Endpoint",
    "Event",
    "HandshakeError",
    "IncompatibleError",
    "InsecureListenError",
    "InvalidDestError",
    "InvalidEndpointError",
    "LitzError",
    "LostReceipt",
    "ManagerStateError",
    "Message",
    "MessageDroppedError",
    "MessageTooLargeError",
    "NotARequestError",
    "Outcome",
    "OutcomeUnknownError",
    "PayloadError",
    "PayloadType",
    "Peer",
    "PeerClosedError",
    "PeerRestartedError",
    "ProtocolError",
    "Receipt",
    "RemoteError",
    "ReplacedError",
    "RequestError",
    "RequestTimeoutError",
    "SessionEndedError",
    "SessionExpiredError",
    "SessionFaultError",
    "TransportManager",
    "UnauthenticatedError",
    "UnknownDestError",
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
