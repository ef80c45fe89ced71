"""How a session ends: the frames that say so, or take one wire out of it, and what is open then (R4, R14)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from litz.events import Outcome
from outproc.frames.encode import encode_closed, encode_goodbye, encode_leave, frame_header
from outproc.frames.layout import FRAME_HEADER_SIZE, POSITION_LAYOUT
from outproc.frames.records import Ack
from outproc.session.cutting import FrameParts
from outproc.session.fixed_lanes import INTERNAL_LANES
from outproc.session.send_lane import SendLane
from outproc.session.tombstones import Finals

HEADER: Final = FRAME_HEADER_SIZE
"""Bytes of a frame before its first record."""


def farewell(tag: int, reason: int, detail: str, finals: Sequence[Ack], max_frame: int, *, answer: bool) -> FrameParts:
    """The frame that ends the session, with as many final positions as `max_frame` bytes take."""
    encode = encode_closed if answer else encode_goodbye
    room = (max_frame - HEADER - len(encode(reason, detail, ()))) // POSITION_LAYOUT.size
    named = finals[: max(0, room)]
    return [frame_header(tag), encode(reason, detail, named, len(named) < len(finals))]


def dismissal(tag: int, reason: int) -> FrameParts:
    """The frame that takes one wire out of the session."""
    return [frame_header(tag), encode_leave(reason)]


def unconfirmed(lanes: Iterable[SendLane], finals: Finals | None) -> list[tuple[int, int, Outcome]]:
    """(lane, number, outcome) of every message of the user's in `lanes` that is not confirmed, by acks or by the peer's
    `finals` (None: they are not known)."""
    lost = []
    for lane in lanes:
        if lane.lane in INTERNAL_LANES:
            continue
        final = finals.received(lane.lane, lane.acked) if finals is not None else None
        lost += [(lane.lane, number, outcome) for number, outcome in lane.unconfirmed(final)]
    return lost
