"""The records a frame is made of, as plain values. `docs/protocol.md` specifies their bytes.

Treat them as immutable. Numbers count messages, offsets and sizes are bytes; all are absolute.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

MAX_ENTRIES: Final = 65_535
"""The most entries one BATCH or LOSSY record, and the most positions one GOODBYE, can hold."""

MAX_NUMBER: Final = 2**63 - 1
"""The largest message number, position, credit or amount of bytes. Tokens and ids are full 64 bits."""

MAX_ENTRY_SIZE: Final = 2**32 - 1
"""The largest message in bytes that the format can express (`max_message` is far below)."""

MAX_KEY: Final = 255
"""The longest key in bytes of UTF-8."""

MAX_DETAIL: Final = 255
"""The longest detail of a GOODBYE or CLOSED in bytes of UTF-8."""

CONTROL_CHARACTERS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
"""Not allowed in a detail: it is shown on terminals and in logs."""


class LeaveReason(IntEnum):
    """Why a wire leaves a session while others live on."""

    DUPLICATE = 1
    DISPLACED = 2
    CLOSING = 3


class Position(NamedTuple):
    """A place in a lane: the next message expected, and how many bytes of it are already there.

    Positions compare as they follow each other.
    """

    number: int
    offset: int


Correlation = tuple[int, int]
"""(kind, id): a `litz.requests.Correlation`, or (0, 0) for a message that has none."""


FirstSent = tuple[int, int]
"""(counter of the sender's half, number): the session and the place in this lane in which a message was first
transmitted; or (0, 0) for one that was not transmitted before this session."""


@dataclass(slots=True)
class Batch:
    """Messages `number` .. `number + len(bodies) - 1` of a reliable lane.

    `offset` bytes of the first were sent before; `remaining` bytes of the last still follow. With
    `offset == remaining == 0` all are whole. `correlations`, `keys` and `origins` are None, or as long as `bodies`.
    `size` is that of all bodies; -1: nobody has counted.
    """

    lane: int
    epoch: int
    number: int
    offset: int
    remaining: int
    bodies: list[bytes]
    correlations: list[Correlation] | None = None
    keys: list[str | None] | None = None
    origins: list[FirstSent] | None = None
    size: int = field(default=-1, compare=False, repr=False)


@dataclass(slots=True)
class Skip:
    """Messages `first` .. `last` were dropped before transmission. `reason` is a `litz.events.DropReason`."""

    reason: int
    lane: int
    epoch: int
    first: int
    last: int


@dataclass(slots=True)
class Fin:
    """The lane ends: `number` is that of this entry, one above the last message."""

    lane: int
    epoch: int
    number: int


@dataclass(slots=True)
class Lossy:
    """Whole messages `number` .. of a lane that is not acknowledged. Columns as in `Batch`."""

    lane: int
    number: int
    bodies: list[bytes]
    correlations: list[Correlation] | None = None
    keys: list[str | None] | None = None


@dataclass(slots=True)
class Ack:
    """What the receiver of `lane` has: all entries below `processed` and `durable` are so."""

    lane: int
    received: Position
    processed: int
    durable: int


@dataclass(slots=True)
class Credit:
    """The sender may send up to these totals, counted from the start of the session's lane."""

    lane: int
    messages: int
    size: int


@dataclass(slots=True)
class SessionCredit:
    """The sender may send up to this total of bytes, counted over all lanes of the session."""

    size: int


@dataclass(slots=True)
class Ping:
    """Answer at once on the same wire with a `Pong` of the same token."""

    token: int


@dataclass(slots=True)
class Pong:
    """The answer to the ping with this token."""

    token: int


@dataclass(slots=True)
class Goodbye:
    """The session ends; these are the final positions of what its sender received (R4, R14). `partial`: not of all
    lanes, because they did not fit."""

    reason: int
    detail: str
    positions: list[Ack]
    partial: bool = False


@dataclass(slots=True)
class Closed:
    """The session has ended; the answer to a `Goodbye`, with the other direction's final positions."""

    reason: int
    detail: str
    positions: list[Ack]
    partial: bool = False


@dataclass(slots=True)
class Leave:
    """This wire leaves the session, others live on. `reason` is a `LeaveReason`."""

    reason: int


Record = Batch | Skip | Fin | Lossy | Ack | Credit | SessionCredit | Ping | Pong | Goodbye | Closed | Leave
