"""The sending end of one stream. Pure."""

from __future__ import annotations

from typing import Final

from outproc.session.limits import Overflow, SessionLimits, StreamLimits
from outproc.session.send_lane import SendLane

HEAD: Final = 32
"""Bytes around one entry of a batch of its own: header and length."""

ASKS_AFTER: Final = 4
"""A sender whose log fills up asks for an ack when this part of it went out since it asked last (R9)."""


class StreamSendLane(SendLane):
    """One stream towards the peer. It has no wire of its own: all streams of a session are bound together."""

    def __init__(self, lane: int, limits: SessionLimits, streams: StreamLimits) -> None:
        super().__init__(lane, limits, Overflow.REJECT, None)
        self.allow(limits.window_messages, limits.window_size)
        self.streams = streams
        self.wants_room = False
        """Whether somebody was told that there is none."""
        self._unasked = 0

    def has_room(self, size: int) -> bool:
        """Whether an entry of `size` bytes may be appended: little may wait to be sent, and as much be unacknowledged
        as the peer's window takes. One of any size may always wait."""
        log, streams = self.log, self.streams
        end = log.next_number
        most = streams.most_size
        if log.size > most or (end - log.base) * streams.first_size > most * streams.first_entries:
            return False
        waiting = end - self.high_water
        return waiting <= 0 or (waiting < streams.log_entries and self.unsent_size + size <= streams.log_size)

    @property
    def unsent_size(self) -> int:
        """Bytes that were not handed to a wire yet."""
        return self.log.size + self.log.trimmed - self.charged_size

    @property
    def credit_left(self) -> int:
        """Bytes that the peer takes beyond all that was appended; below 0 if that is more already."""
        return self.credit_size - self.log.size - self.log.trimmed

    def takes(self, size: int) -> bool:
        """Whether an entry of `size` bytes can be sent one day, whatever its reader does: one that is larger than any
        window only if there is credit for it already."""
        streams = self.streams
        return size <= streams.max_entry or size <= min(streams.large_entry, self.credit_left)

    @property
    def sent_size(self) -> int:
        """Bytes that were, and are not acknowledged."""
        return self.charged_size - self.log.trimmed

    @property
    def unacked(self) -> int:
        """Entries, the end among them, that the peer is not known to have."""
        return self.log.next_number - self.acked.number

    @property
    def held_back(self) -> bool:
        """Whether credit does not allow what comes next, which is no end. What was begun may always go on."""
        left = self.credit_size - self.charged_size
        return self.cursor.number >= self.high_water and (
            self.charged_messages >= self.credit_messages or self.log.body_size(self.cursor.number) > left
        )

    def asks(self, used: int) -> bool:
        """Whether the frame asks for an ack at once, in which the lane has just put `used` bytes (R9): somebody waits,
        credit has run out, or so much is not acknowledged that it will have no room, and a part of that went out since
        it asked last."""
        self._unasked += used
        waits = self.blocked or self.acked.number < self.ack_wanted <= self.high_water
        most = self.streams.most_size
        if waits or (self.sent_size * 2 >= most and self._unasked * ASKS_AFTER >= most):
            self._unasked = 0
            return True
        return False

    @property
    def next_size(self) -> int:
        """Bytes that the rest of the next entry needs, with what is around it."""
        return self.log.body_size(self.cursor.number) - self.cursor.offset + HEAD
