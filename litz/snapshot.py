"""The state of a manager as plain values, for people, dashboards and tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class DestState(Enum):
    """What a manager has for a dest. Values are in the order of a life; `litz.lifecycle` has the moves."""

    CONNECTING = "connecting"
    """The first dial is under way; there is no transport yet."""
    CONNECTED = "connected"
    """There is a session and at least one wire."""
    DETACHED = "detached"
    """There is a session but no wire at the moment; messages are kept and wires are redialled."""
    CLOSING = "closing"
    """Being closed; nothing new is accepted."""
    CLOSED = "closed"
    """Gone. Only ever seen in events and on handles that outlived their transport."""


@dataclass(frozen=True, slots=True)
class LaneSnapshot:
    """Both directions of one lane. Counts are of messages, sizes in bytes. `wire` carries what is sent ("": none does),
    for `reason`; `urgent`: on its urgent channel."""

    lane: int
    sent: int
    acked: int
    processed: int
    logged: int
    logged_bytes: int
    received: int
    delivered: int
    inbox: int
    inbox_bytes: int
    dropped: int
    wire: str
    reason: str = ""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class WireSnapshot:
    """One live wire. `path` has its route and addresses, which follow apart.

    wire        its name, as in `LaneSnapshot.wire` and in events
    state       "in use": carries lanes; "spare": ready; "sick": takes data, and nothing is acknowledged
    age         seconds since it was made
    round_trip  in seconds, smoothed; None: not measured yet
    throughput  bytes a second that it took while it was the bottleneck; None: it never was, or long ago
    """

    kind: str
    path: str
    dialled: bool
    age: float
    round_trip: float | None
    bytes_in: int
    bytes_out: int
    frames_in: int
    frames_out: int
    buffered: int
    throughput: float | None = None
    wire: str = ""
    route: str = "direct"
    local: str = ""
    remote: str = ""
    state: str = "in use"


@dataclass(frozen=True, slots=True)
class SlotSnapshot:
    """One endpoint of a dest and what is being done about it."""

    endpoint: str
    state: str
    dials: int
    failures: int
    retry_in: float | None
    last_error: str


@dataclass(frozen=True, slots=True)
class DestSnapshot:
    """One dest."""

    dest: str
    state: DestState
    session: int
    verified: bool
    heals: int
    replayed: int
    duplicates_dropped: int
    wires: tuple[WireSnapshot, ...]
    slots: tuple[SlotSnapshot, ...]
    lanes: tuple[LaneSnapshot, ...]


@dataclass(frozen=True, slots=True)
class ManagerSnapshot:
    """One manager. `logged_bytes` and `inbox_bytes` are what its process-wide limits apply to."""

    local_id: str
    running: bool
    endpoints: tuple[str, ...]
    logged_bytes: int
    inbox_bytes: int
    dests: tuple[DestSnapshot, ...]
