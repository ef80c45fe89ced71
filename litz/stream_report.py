"""What a stream says of itself, while it lives and at its end."""

from __future__ import annotations

from dataclasses import dataclass

from litz.stream_lifecycle import Ending, StreamState


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One stream at one moment; the last one comes with its end.

    Messages are those that were accepted by `send`, and those that were handed out by `receive`. Bytes are those of
    the entries that went into the window and came out of it: payloads and their sizes. In process they are what
    `litz.turns.payload_size` says.
    """

    dest: str
    service: str
    number: int
    state: StreamState
    ending: Ending | None
    """Why it is over; None while it is not."""
    messages_sent: int
    bytes_sent: int
    unconfirmed: int
    """Entries that were sent, and that the peer's side has not confirmed (at the end: had not)."""
    messages_received: int
    bytes_received: int
    unread: int
    """Entries that came and were not taken."""
    duration: float
    """Seconds since it was opened, by the loop's clock."""
