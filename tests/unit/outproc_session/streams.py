"""Two sessions with streams between them, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from outproc.frames.records import Record
from outproc.session.exchange import Received
from outproc.session.fixed_lanes import STREAMS
from outproc.session.limits import StreamLimits
from outproc.session.session import Session
from outproc.session.stream_lanes import StreamLanes
from tests.unit.outproc_session.sessions import LIMITS, A, B, talk

TINY = StreamLimits(
    first_size=100,
    first_entries=4,
    max_entry=100,
    large_entry=300,
    most_size=800,
    budget=1_000,
    log_size=200,
    log_entries=8,
)


def stream_pair(
    *numbers: int, limits: StreamLimits = TINY, wires: Sequence[str] = ("w",), max_frame: int = 1 << 20
) -> tuple[Session, Session]:
    """Two ends of one session with these streams open, all on the first wire."""
    ends = Session(A, LIMITS, streams=limits), Session(B, LIMITS, streams=limits)
    ends[0].complete(B)
    ends[1].complete(A)
    for session, other in (ends, ends[::-1]):
        for wire in wires:
            session.join(wire, max_frame, other.statement())
            session.wires[wire].early.left = None
        session.bind(STREAMS, wires[0])
        for number in numbers:
            session.streams.open(number)
    return ends


def only(records: Sequence[Record], kind: type[Any]) -> list[Any]:
    """Those of one kind."""
    return [record for record in records if isinstance(record, kind)]


def append(streams: StreamLanes, number: int, *bodies: bytes) -> None:
    for body in bodies:
        assert streams.has_room(number, len(body))
        streams.append(number, body)


def came(received: Sequence[Received]) -> dict[int, list[bytes]]:
    """What was delivered, of each lane."""
    bodies: dict[int, list[bytes]] = {}
    for each in received:
        for delivery in each.deliveries:
            bodies.setdefault(delivery.lane, []).extend(delivery.bodies)
    return bodies


def converse(a: Session, b: Session, wire: str = "w", now: float = 0.0) -> dict[int, list[bytes]]:
    """Both speak until neither has anything to say. Returns what `b` got, and took at once."""
    bodies: dict[int, list[bytes]] = {}
    while True:
        came_now = talk(a, b, wire, now)
        for number, some in came(came_now).items():
            bodies.setdefault(number, []).extend(some)
            b.streams.consumed(number, len(some), sum(map(len, some)), now)
        if not (talk(b, a, wire, now) or came_now):
            return bodies
