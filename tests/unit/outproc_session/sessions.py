"""Two sessions, and the frames between them, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from litz.payload import PayloadType
from outproc.frames.decode import decode_frame
from outproc.frames.encode import encode_record, frame_header
from outproc.frames.records import (
    Record,
)
from outproc.session.cutting import FrameParts
from outproc.session.exchange import Received
from outproc.session.identity import Half, Incarnation
from outproc.session.limits import SessionLimits
from outproc.session.session import FIXED_LANES, LOSSY_LANE, Session

RPC, STREAM = int(PayloadType.RPC_RELIABLE), int(PayloadType.STREAM_RELIABLE)
A, B = Half(Incarnation(1, 1), 1), Half(Incarnation(2, 2), 1)
LIMITS = SessionLimits()


def pair(
    limits: SessionLimits = LIMITS, wires: Sequence[str] = ("w",), max_frame: int = 4_096, *, bound: bool = True
) -> tuple[Session, Session]:
    """Two ends of one session, with all lanes on the first wire."""
    a, b = Session(A, limits), Session(B, limits)
    a.complete(B)
    b.complete(A)
    for wire in wires:
        a.join(wire, max_frame, b.statement())
        b.join(wire, max_frame, a.statement())
    if bound:
        for session in (a, b):
            for lane in (*FIXED_LANES, LOSSY_LANE):
                session.bind(lane, wires[0])
    return a, b


def frames(session: Session, wire: str = "w", now: float = 0.0) -> list[bytes]:
    whole = []
    while (frame := session.next_frame(wire, now)) is not None:
        whole.append(b"".join(frame))
    return whole


def said(frame: bytes) -> list[Record]:
    return decode_frame(frame)[2]


def talk(here: Session, there: Session, wire: str = "w", now: float = 0.0) -> list[Received]:
    """Everything `here` has to say on `wire` arrives."""
    return [there.receive(wire, frame, now) for frame in frames(here, wire, now)]


def send(session: Session, lane: int, *bodies: bytes) -> None:
    for body in bodies:
        session.send_lanes[lane].append(body)


def frame_of(session: Session, *records: Record, flags: bool = False) -> bytes:
    out: FrameParts = [frame_header(session.tag, flags)]
    for record in records:
        encode_record(out, record)
    return b"".join(out)
