"""When a frame asks for an ack at once (R9). Pure.

Who waits asks with each frame. A log that fills up asks now and then: its sender goes on meanwhile, and each answer
costs both ends about what a frame costs.
"""

from __future__ import annotations

from outproc.session.send_lane import SendLane

SHARE = 4
"""A log that fills up asks when this part of what it holds went out since it last asked."""


class Asking:
    """Of one wire: what each lane sent on it since it asked last."""

    __slots__ = ("_asked_at", "_unasked")

    def __init__(self) -> None:
        self._unasked: dict[int, int] = {}
        self._asked_at: dict[int, int] = {}

    def asks(self, lane: SendLane, used: int) -> bool:
        """Whether the frame asks, in which `lane` has just put `used` bytes."""
        if not lane.ack_now:
            return False
        number, limits = lane.lane, lane.limits
        unasked = self._unasked.get(number, 0) + used
        messages = lane.cursor.number - self._asked_at.get(number, 0)
        waits = lane.blocked or lane.acked.number < lane.ack_wanted <= lane.high_water
        if (
            waits
            or not lane.has_unsent
            or unasked * SHARE >= limits.log_size
            or not 0 <= messages * SHARE < limits.log_messages
        ):
            self._unasked[number], self._asked_at[number] = 0, lane.cursor.number
            return True
        self._unasked[number] = unasked
        return False
