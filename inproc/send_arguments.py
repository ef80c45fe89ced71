"""What `send` of the in-process manager is asked for: which lane, and which confirmation."""

from __future__ import annotations

from typing import Literal

from inproc.lane import Level, OutLane
from inproc.transport import InprocTransport
from litz.manager import Confirm
from litz.payload import PayloadType


def lane_of(transport: InprocTransport, payload_type: PayloadType) -> OutLane:
    """The lane that carries it. Raises ValueError if there is none."""
    lane = transport.out.get(payload_type)
    if lane is None:
        if payload_type == PayloadType.RPC_DURABLE:
            raise ValueError("RPC_DURABLE outlives a process, and a hub does not; send RPC_RELIABLE here")
        raise ValueError(f"{payload_type!r} cannot be sent")
    return lane


def level_of(confirm: Confirm | None, payload_type: PayloadType) -> Level | None:
    """How far a message must have come before `send` returns. Raises ValueError."""
    found: Level | Literal["durable"] | None = confirm
    if found is None:
        return None
    if found == "durable":
        raise ValueError("confirm='durable' needs a store at the peer, and in one process there is none")
    if found not in ("received", "processed"):
        raise ValueError(f"confirm is 'received' or 'processed', not {confirm!r}")
    if not PayloadType(payload_type).reliable:
        raise ValueError(f"{PayloadType(payload_type).name} is never acknowledged; send it without confirm")
    return found
