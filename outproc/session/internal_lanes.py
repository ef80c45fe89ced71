"""The two internal lanes: the rules that are fixed for them, and how they come to be.

Most dests never use them, so a session makes each when it is first needed, and states nothing about one that is not
there: both ends know where it begins (docs/protocol.md).
"""

from __future__ import annotations

from typing import Final

from litz.errors import ProtocolError
from litz.node_port import MAX_BULK, MAX_SIGNAL
from outproc.session.fixed_lanes import INTERNAL_BULK, INTERNAL_SIGNAL
from outproc.session.limits import Overflow, SessionLimits
from outproc.session.log import Body
from outproc.session.receive_lane import ReceiveLane
from outproc.session.send_lane import SendLane

INTERNAL_LIMITS: Final = {
    INTERNAL_SIGNAL: SessionLimits(
        log_messages=1_024, log_size=1 << 20, window_messages=1_024, window_size=1 << 20, max_message=MAX_SIGNAL
    ),
    INTERNAL_BULK: SessionLimits(
        log_messages=4_096, log_size=4 << 20, window_messages=4_096, window_size=4 << 20, max_message=MAX_BULK
    ),
}
"""The windows and `max_message` are part of the protocol: whoever sends begins with that much credit."""

MAX_UNSENT: Final = 256 << 10
"""Bytes of a lane that may wait for a wire. What is queued cannot be put in another order any more, so it is little."""


class InternalSendLane(SendLane):
    """The sending end of an internal lane: begins with the credit that the protocol gives it, and refuses instead of
    letting anybody wait."""

    def __init__(self, lane: int) -> None:
        limits = INTERNAL_LIMITS[lane]
        super().__init__(lane, limits, Overflow.REJECT, None)
        self.allow(limits.window_messages, limits.window_size)
        self.posted_size = 0

    @property
    def has_room(self) -> bool:
        """Whether the lane takes one more message of any allowed size."""
        log, limits = self.log, self.limits
        unsent = self.posted_size - self.charged_size
        return log.count < limits.log_messages and (
            log.count == 0 or (unsent < MAX_UNSENT and log.size + limits.max_message <= limits.log_size)
        )

    def post(self, body: Body) -> None:
        """Append after `has_room` said yes."""
        self.posted_size += len(body)
        self.log.append(body)


def lane_out(lanes: dict[int, SendLane], number: int) -> SendLane:
    """The lane of this number in `lanes`; an internal one is made when it is first asked for. Raises ProtocolError."""
    lane = lanes.get(number)
    if lane is None:
        if number not in INTERNAL_LIMITS:
            raise ProtocolError(f"there is no lane {number}")
        lane = lanes[number] = InternalSendLane(number)
    return lane


def lane_in(lanes: dict[int, ReceiveLane], number: int) -> ReceiveLane:
    """The same for what comes."""
    lane = lanes.get(number)
    if lane is None:
        if number not in INTERNAL_LIMITS:
            raise ProtocolError(f"there is no lane {number}")
        lane = lanes[number] = ReceiveLane(number, INTERNAL_LIMITS[number], None)
    return lane
