"""Both ends of one lane, and frames between them, for tests."""

from __future__ import annotations

from litz.errors import ProtocolError
from outproc.frames.decode import decode_frame
from outproc.frames.encode import frame_header
from outproc.frames.records import Batch, Fin, Record, Skip
from outproc.session.cutting import FrameParts
from outproc.session.limits import Overflow, SessionLimits
from outproc.session.receive_lane import Delivery, Finished, ReceiveCredit, ReceiveLane, Skipped, Verdict
from outproc.session.send_lane import SendCredit, SendLane

SMALL = SessionLimits(
    log_messages=8, log_size=100, window_messages=8, window_size=200, session_window_size=200, max_message=100
)


def sender(
    limits: SessionLimits = SMALL, overflow: Overflow = Overflow.BLOCK, session: SendCredit | None = None
) -> SendLane:
    """A bound lane with the whole window granted."""
    lane = SendLane(0, limits, overflow, session)
    lane.allow(limits.window_messages, limits.window_size)
    lane.bind("w", 1)
    return lane


def receiver(limits: SessionLimits = SMALL, session: ReceiveCredit | None = None) -> ReceiveLane:
    return ReceiveLane(0, limits, session)


def records(lane: SendLane, budget: int = 65_536, *, cut_from: int = 16 << 10) -> list[Record]:
    """What the lane sends next in one frame of `budget` bytes."""
    out: FrameParts = [frame_header(0)]
    used = lane.fill(out, budget, cut_from=cut_from)
    assert used <= max(budget, 0)
    assert used == sum(map(len, out[1:]))
    if not used:
        return []
    return decode_frame(b"".join(out))[2]


def feed(lane: ReceiveLane, wire: str, record: Record) -> Delivery | Skipped | Finished | Verdict | None:
    """One record arrives; the verdict if it was not taken."""
    assert isinstance(record, Batch | Skip | Fin)
    number = record.first if isinstance(record, Skip) else record.number
    offset = record.offset if isinstance(record, Batch) else 0
    verdict = lane.place(wire, record.epoch, number, offset)
    if verdict is not Verdict.TAKEN:
        return verdict
    if isinstance(record, Batch):
        return lane.take(record)
    return lane.take_skip(record) if isinstance(record, Skip) else lane.take_fin(record)


__all__ = ["SMALL", "ProtocolError", "feed", "receiver", "records", "sender"]
