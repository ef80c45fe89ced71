"""What happened to the streams with one dest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class StreamCounts:
    """Streams that were opened here and accepted from there, that were refused there and here, that somebody aborted
    (`evicted`: this node, to make room), and that a session's end took."""

    opened: int = 0
    accepted: int = 0
    refused_there: int = 0
    refused_here: int = 0
    aborted: int = 0
    evicted: int = 0
    lost: int = 0
