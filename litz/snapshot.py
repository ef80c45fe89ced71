"""The state of a manager as plain values, for people, dashboards and tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

MAX_STREAM_ROWS: Final = 100
"""Streams of one dest that are shown one by one, the oldest first."""


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
class HistoryEntry:
    """Something that happened, and how often in a row.

    at     when it happened first, in seconds since the Unix epoch, by the wall clock
    what   in a few fixed words: "wire down"
    cause  in words; "": there is none
    until  when it happened last
    times  how often it happened between the two
    dest   whom it concerns; "": the whole node
    """

    at: float
    what: str
    cause: str
    until: float
    times: int = 1
    dest: str = ""


@dataclass(frozen=True, slots=True)
class StreamSnapshot:
    """One stream. Sizes in bytes of entries.

    opened_here  by this side
    state        "opening", "offered", "open"; "read": the peer's half is complete, "wrote": this one, "sent": it has
                 arrived too; "ending": both are complete; "gone": over, and something of it is not read
    queued       that no wire has taken yet; `unconfirmed`: entries that the peer is not known to have
    unread       that came and were not taken by its user
    attached     whether somebody uses it: one that nobody uses may be evicted
    """

    number: int
    service: str
    pipe: bool
    opened_here: bool
    state: str
    bytes_in: int
    bytes_out: int
    queued: int
    unconfirmed: int
    unread: int
    attached: bool


@dataclass(frozen=True, slots=True)
class StreamsSnapshot:
    """The streams with one dest: those there are, the oldest in rows, and what happened since the dest is known (in
    process: in this session).

    granted  bytes that the peer may send, or has sent, and that nobody has taken
    wire     carries them all, for `reason`; "": none does
    unread   bytes that came of streams that are over, and that nobody has read (in process they are not counted)
    """

    count: int
    rows: tuple[StreamSnapshot, ...]
    opened: int
    accepted: int
    refused_here: int
    refused_there: int
    aborted: int
    evicted: int
    lost: int
    granted: int
    wire: str
    reason: str
    unread: int = 0


@dataclass(frozen=True, slots=True)
class DestSnapshot:
    """One dest. `history`: its last transitions and failures, oldest first, in bounded number. `draining`: why it
    leaves, once it has announced that it does. `streams`: None if there never was one."""

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
    cause: str = ""
    retry_in: float | None = None
    cold: bool = False
    given_up: bool = False
    history: tuple[HistoryEntry, ...] = ()
    draining: str = ""
    streams: StreamsSnapshot | None = None


@dataclass(frozen=True, slots=True)
class OutboxDestSnapshot:
    """One dest for which durable messages wait.

    waiting       messages in the outbox that its inbox has not confirmed
    state         "no session": dialled now and then; "asking": its inbox was asked and has not answered; "sending"; or
                  "refused", for the reason in `last_error`
    next_attempt  seconds until it is dialled again because of them; None: it has a session, or nothing is sent any more
    last_error    why its inbox takes none; "": nothing is known against it. Failed dials are told by `SlotSnapshot`
    """

    dest: str
    waiting: int
    state: str
    next_attempt: float | None
    last_error: str


@dataclass(frozen=True, slots=True)
class OutboxSnapshot:
    """Durable messages that this manager sends.

    waiting     messages that are committed and not confirmed; `waiting_bytes`: with what a row costs, and with those
                that are confirmed and leave the file with the next commit
    oldest_age  seconds since the oldest of them was accepted; None: none was there at the last look, which is taken
                every `revisit` seconds
    dead        dead letters at the last look; `dead_bytes`: with what a row costs
    last_error  of the file; "": the last commit succeeded
    """

    waiting: int
    waiting_bytes: int
    oldest_age: float | None
    dead: int
    dead_bytes: int
    last_error: str
    dests: tuple[OutboxDestSnapshot, ...]


@dataclass(frozen=True, slots=True)
class InboxSnapshot:
    """Durable messages that this manager takes.

    waiting     messages that were taken and whose position is not committed
    duplicates  messages that came again and were dropped, in this run
    producers   outboxes that were heard in this run
    last_error  of the file; "": the last commit succeeded
    """

    waiting: int
    duplicates: int
    producers: int
    last_error: str


@dataclass(frozen=True, slots=True)
class DepartureSnapshot:
    """A dest that said goodbye `age` seconds ago, for `reason`, and did not come back yet. `returning_in`: seconds
    until it means to be back, and 0 once that is over; None: it did not say so, and is not dialled."""

    dest: str
    reason: str
    age: float
    returning_in: float | None = None


@dataclass(frozen=True, slots=True)
class ManagerSnapshot:
    """One manager. `departed`: who said goodbye and is not back; `draining`: it leaves, and takes no new work.

     `logged_bytes` and `inbox_bytes` are what its process-wide limits apply to. `outbox` and `inbox` are
    of durable messages; None: it was given none. `history` tells what concerned no dest, or one that is not in `dests`
    any more."""

    local_id: str
    running: bool
    endpoints: tuple[str, ...]
    logged_bytes: int
    inbox_bytes: int
    dests: tuple[DestSnapshot, ...]
    outbox: OutboxSnapshot | None = None
    departed: tuple[DepartureSnapshot, ...] = ()
    draining: bool = False
    inbox: InboxSnapshot | None = None
    history: tuple[HistoryEntry, ...] = ()
