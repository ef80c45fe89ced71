"""Data of a lane comes: what becomes of one record (R6)."""

from __future__ import annotations

from collections.abc import Hashable

from outproc.frames.records import Batch, Fin, Skip
from outproc.session.exchange import Received
from outproc.session.receive_lane import ReceiveLane, Verdict


def take_record(lane: ReceiveLane, wire: Hashable, record: Batch | Skip | Fin, received: Received) -> Verdict:
    """Take the record if it is its turn, and add to `received` what became whole by it, or what is wrong with the wire.
    TAKEN: its ack is news. Raises ProtocolError for what breaks the rules."""
    if isinstance(record, Batch):
        number, offset = record.number, record.offset
    else:
        number, offset = record.first if isinstance(record, Skip) else record.number, 0
    verdict = lane.place(wire, record.epoch, number, offset)
    if verdict is Verdict.FAULT:
        # What follows in this frame is too high as well: it is one fault of one wire.
        received.fault = f"lane {lane.lane} jumped from {lane.expected} to {number}+{offset}"
    if verdict is not Verdict.TAKEN:
        return verdict
    if isinstance(record, Batch):
        delivery = lane.take(record)
        if delivery is not None:
            received.deliveries.append(delivery)
    else:
        note = lane.take_skip(record) if isinstance(record, Skip) else lane.take_fin(record)
        if note is not None:
            received.notes.append(note)
    return verdict
