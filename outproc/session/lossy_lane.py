"""The latency-first lane: at most once, one frame at most, never acknowledged nor replayed."""

from __future__ import annotations

from collections.abc import Hashable

from litz.errors import MessageTooLargeError, ProtocolError
from outproc.frames.encode import encode_lossy
from outproc.frames.layout import FRAME_HEADER_SIZE
from outproc.frames.records import Lossy
from outproc.session.limits import SessionLimits
from outproc.session.log import Body, Parts
from outproc.session.receive_lane import Delivery

LOSSY_OVERHEAD = 64
"""Bytes kept free for what stands around a message in its frame, after the frame's header."""


class LossySendLane:
    """Keeps the newest messages until a wire takes them; the oldest unsent go first when it is full."""

    def __init__(self, lane: int, limits: SessionLimits) -> None:
        self.lane = lane
        self.limits = limits
        self.wire: Hashable | None = None
        self.queue: list[tuple[int, Body]] = []
        self.size = 0
        self.next_number = 0
        self.dropped = 0

    def append(self, body: Body) -> int:
        """Queue a message, dropping the oldest unsent if there is no room, and return its number.

        Raises MessageTooLargeError for what could never be one frame.
        """
        limit = min(self.limits.batch_size - FRAME_HEADER_SIZE - LOSSY_OVERHEAD, self.limits.lossy_size)
        if len(body) > limit:
            raise MessageTooLargeError(
                f"a latency-first message has at most {limit} bytes, this one has {len(body)}; "
                "send it as STREAM_RELIABLE, or cut it"
            )
        number = self.next_number
        self.next_number += 1
        self.queue.append((number, body))
        self.size += len(body)
        while len(self.queue) > self.limits.lossy_messages or self.size > self.limits.lossy_size:
            self._drop_oldest()
        return number

    def discard_above(self, size: int) -> None:
        """Drop and count what waits and is larger: the peer does not take it."""
        taken = [(number, body) for number, body in self.queue if len(body) <= size]
        self.dropped += len(self.queue) - len(taken)
        self.queue = list(taken)
        self.size = sum(len(body) for _, body in taken)

    def _drop_oldest(self) -> None:
        _, body = self.queue.pop(0)
        self.size -= len(body)
        self.dropped += 1

    def fill(self, out: list[bytes | bytearray | memoryview], budget: int, largest: int) -> int:
        """Append as many of the queued messages as fit into `budget` bytes; returns the bytes used.

        A message that does not fit even into an empty frame of this wire, which has `largest` bytes, is dropped and
        counted. One that does not fit beside what others have in this frame waits for the next.
        """
        used = 0
        while self.queue and used + LOSSY_OVERHEAD < budget:
            number, body = self.queue[0]
            if used + LOSSY_OVERHEAD + len(body) > budget:
                if LOSSY_OVERHEAD + len(body) <= largest:
                    break
                self._drop_oldest()
                continue
            self.queue.pop(0)
            self.size -= len(body)
            used += encode_lossy(out, self.lane, number, [body.buffers if isinstance(body, Parts) else body])
        return used


class LossyReceiveLane:
    """Delivers what is newer than the newest delivered, drops the rest, and counts what is missing."""

    def __init__(self, lane: int, max_message: int) -> None:
        self.lane = lane
        self.max_message = max_message
        self.expected = 0
        self.lost = 0
        self.stale = 0

    def take(self, record: Lossy) -> Delivery | None:
        """Returns the part of the record that is newer than all delivered before.

        Raises ProtocolError and takes nothing when a message is larger than was allowed: no credit bounds this lane, so
        its messages must be bounded (P5)."""
        if any(len(body) > self.max_message for body in record.bodies):
            raise ProtocolError(f"a latency-first message is larger than the {self.max_message} bytes allowed")
        behind = self.expected - record.number
        bodies = record.bodies
        number = record.number
        if behind > 0:
            self.stale += min(behind, len(bodies))
            bodies = bodies[behind:]
            number = self.expected
        else:
            self.lost -= behind
        if not bodies:
            return None
        self.expected = number + len(bodies)
        return Delivery(self.lane, number, bodies, None, None, sum(map(len, bodies)))
