"""The streams of one dest as plain values."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

from litz.snapshot import MAX_STREAM_ROWS, StreamSnapshot, StreamsSnapshot
from outproc.session.fixed_lanes import STREAMS
from outproc.wire_set import link_of

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport
    from outproc.streams.side import OutprocSide
    from outproc.streams.streams import Streams


def snapshot_of(transport: DestTransport, streams: Streams) -> StreamsSnapshot | None:
    """Of this moment; None if there never was a stream with the dest."""
    if not streams.had_any(transport):
        return None
    counts, current, lanes = streams.counts(transport), streams.of(transport.dest), transport.session.streams
    sides = current.sides if current is not None else {}
    link = link_of(lanes.wire)
    return StreamsSnapshot(
        count=len(sides),
        rows=tuple(map(_row, islice(sides.values(), MAX_STREAM_ROWS))),
        granted=lanes.budget.used,
        wire=repr(link.wire) if link is not None else "",
        reason=transport.node.mover.why(transport, STREAMS),
        unread=transport.node.stream_rests.size(transport.dest),
        **asdict(counts),
    )


def _row(side: OutprocSide) -> StreamSnapshot:
    entry = side.entry
    return StreamSnapshot(
        number=entry.number,
        service=entry.service,
        pipe=entry.pipe,
        opened_here=entry.mine,
        state=entry.state.name.lower().replace("opening_read", "opening"),
        bytes_in=side.bytes_in,
        bytes_out=side.bytes_out,
        queued=side.buffered,
        unconfirmed=side.unconfirmed,
        unread=side.unread_size,
        attached=side.attached,
    )
