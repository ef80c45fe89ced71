"""The streams of one dest as plain values."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from itertools import islice

from inproc.stream_side import InprocSide
from litz.snapshot import MAX_STREAM_ROWS, StreamSnapshot, StreamsSnapshot
from litz.stream_counts import StreamCounts


def snapshot_of(sides: Collection[InprocSide], counts: StreamCounts) -> StreamsSnapshot:
    """Of this moment. To be called in the loop of the node whose ends these are, the oldest first."""
    return StreamsSnapshot(
        count=len(sides),
        rows=tuple(map(_row, islice(sides, MAX_STREAM_ROWS))),
        granted=sum(side.granted for side in sides),
        wire="inproc",
        reason="",
        **asdict(counts),
    )


def _row(side: InprocSide) -> StreamSnapshot:
    return StreamSnapshot(
        number=side.number,
        service=side.offer.service,
        pipe=side.offer.pipe,
        opened_here=side.opened_here,
        state=side.state,
        bytes_in=side.bytes_in,
        bytes_out=side.bytes_out,
        queued=side.buffered,
        unconfirmed=side.unconfirmed,
        unread=side.unread,
        attached=side.unused_since is None,
    )
