"""The limits of one session and of its streams, and what a full lane does about a further message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from litz.stream_port import FIRST_ENTRIES, FIRST_WINDOW, LARGE_ENTRY, MAX_ENTRY
from outproc.frames.records import MAX_ENTRIES


class Overflow(Enum):
    """What a lane does when its log is full and one more message is sent.

    BLOCK        the sender waits (the default)
    REJECT       the sender gets `BackpressureError`
    DROP_OLDEST  the oldest message that was never transmitted is dropped
    DROP_NEWEST  the new message is dropped
    KEEP_LATEST  the older message of the same key that was never transmitted is dropped, full or not
    FAIL         the session ends, loudly
    SPILL        the message goes into the outbox, and so do all behind it until that one is empty (docs/outbox.md)

    Every drop is a typed event here and a typed gap at the peer. Only what was never transmitted can be dropped;
    if nothing can, the new message is refused with `BackpressureError` before it gets a number (R11).
    """

    BLOCK = "block"
    REJECT = "reject"
    DROP_OLDEST = "drop oldest"
    DROP_NEWEST = "drop newest"
    KEEP_LATEST = "keep latest per key"
    FAIL = "fail"
    SPILL = "spill"


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Counts are of messages, sizes in bytes, times in seconds."""

    log_messages: int = 16_384
    log_size: int = 4 << 20
    window_messages: int = 16_384
    window_size: int = 16 << 20
    session_window_size: int = 64 << 20
    max_message: int = 16 << 20
    max_wires: int = 8
    batch_messages: int = 2_048
    flush_size: int = 128 << 10
    """A flush is due when so many messages, or bytes, were accepted since the last."""
    batch_size: int = 64 << 10
    """The size at which a frame is full while small messages or signals share the wire."""
    bulk_frame: int = 256 << 10
    """The size of a frame that carries one large message while no signal lane is in use; of one that carries a stream
    up to four times as much, where the path is fast (`outproc.session.bulk_frame`)."""
    early_size: int = 128 << 10
    """Data on a wire that has joined and has not answered a ping since: the peer may have to hold it, unproved."""
    ack_delay: float = 0.025
    max_faults: int = 3
    forgiven_after: float = 60.0
    lossy_messages: int = 256
    lossy_size: int = 1 << 20

    def __post_init__(self) -> None:
        for name in (
            "log_messages",
            "log_size",
            "window_messages",
            "window_size",
            "session_window_size",
            "max_message",
            "max_wires",
            "batch_messages",
            "batch_size",
            "flush_size",
            "bulk_frame",
            "early_size",
            "max_faults",
            "lossy_messages",
            "lossy_size",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; 0 never means unlimited")
        if self.batch_messages > MAX_ENTRIES:
            raise ValueError(f"batch_messages is at most {MAX_ENTRIES}")
        if self.max_message > min(self.window_size, self.session_window_size):
            raise ValueError("max_message is above the receive window: such a message could never arrive")


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """The limits of the streams of one session. Counts are of entries, sizes in bytes. The first four are part of the
    protocol: both ends must have the same (docs/protocol.md)."""

    first_size: int = FIRST_WINDOW
    first_entries: int = FIRST_ENTRIES
    """What a stream may send before its reader has taken anything. No window is ever smaller."""
    max_entry: int = MAX_ENTRY
    """Never above the first window, so that whoever took everything is always sent more."""
    large_entry: int = LARGE_ENTRY
    """The same of one that the peer's credit allows already."""
    most_size: int = 8 << 20
    """To which a window grows while its reader keeps up; in entries to the same multiple."""
    budget: int = 64 << 20
    """Bytes granted and not consumed, over all streams, up to which windows grow beyond the first."""
    log_size: int = 256 << 10
    log_entries: int = 1_024
    """What of one stream may wait to be sent. What was sent and is not acknowledged is bounded by the peer's window,
    and never above `most_size`."""

    def __post_init__(self) -> None:
        if min(self.first_size, self.first_entries, self.max_entry, self.budget, self.log_size, self.log_entries) < 1:
            raise ValueError("limits of streams must be at least 1; 0 never means unlimited")
        if self.large_entry < self.max_entry:
            raise ValueError("large_entry is below max_entry")
        if self.max_entry > self.first_size:
            raise ValueError("max_entry is above the first window: such an entry could never be sent")
        if self.most_size < self.first_size:
            raise ValueError("most_size is below the first window, which every stream has")
