"""The handshake of one wire: who is there, is it proved, and which session does the wire join.

Two pure state machines, `Initiator` and `Acceptor`; a driver moves frames between them and a wire, awaits
verifications, and keeps the deadline. docs/handshake.md specifies the frames byte by byte.
"""

from outproc.handshake.acceptor import Acceptor, AcceptorState
from outproc.handshake.checks import unproved_refusal
from outproc.handshake.codec import is_handshake
from outproc.handshake.initiator import DiallerState, Initiator
from outproc.handshake.json_guard import MAX_HANDSHAKE_FRAME
from outproc.handshake.models import (
    MAX_LANES,
    Join,
    LaneCredit,
    LanePosition,
    Limits,
    LogSize,
    Mismatch,
    Ok,
    RefuseCode,
    Terms,
)
from outproc.handshake.results import (
    VERSIONS,
    AcceptorStep,
    DiallerStep,
    Entropy,
    Joined,
    JoinReceived,
    Link,
    Mismatched,
    NeedsVerification,
    Node,
    Outdated,
    PeerInfo,
    PeerProved,
    Refused,
    SendChallenge,
)

__all__ = [
    "MAX_HANDSHAKE_FRAME",
    "MAX_LANES",
    "VERSIONS",
    "Acceptor",
    "AcceptorState",
    "AcceptorStep",
    "DiallerState",
    "DiallerStep",
    "Entropy",
    "Initiator",
    "Join",
    "JoinReceived",
    "Joined",
    "LaneCredit",
    "LanePosition",
    "Limits",
    "Link",
    "LogSize",
    "Mismatch",
    "Mismatched",
    "NeedsVerification",
    "Node",
    "Ok",
    "Outdated",
    "PeerInfo",
    "PeerProved",
    "RefuseCode",
    "Refused",
    "SendChallenge",
    "Terms",
    "is_handshake",
    "unproved_refusal",
]
