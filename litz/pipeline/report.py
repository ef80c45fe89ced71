"""How the pipeline of one stream ended, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from litz.supervision import Tally


class PipelineEnd(Enum):
    """Why it ended. The first reason counts."""

    COMPLETE = "complete"
    """The peer had said its last, and what `half_close` wants was done."""
    DRAINED = "drained"
    """This side left gracefully."""
    ABORTED_BY_PEER = "aborted by the peer"
    LOST = "lost"
    """The session under it is over, or the manager was closed."""
    ABORTED = "aborted"
    """By its user here, or by an exception in the body of `async with`."""
    CANCELLED = "cancelled"
    """The task that ran it was cancelled."""
    HANDLER_FAILED = "handler failed"
    """A message was given up, and its remedy is to close the stream."""
    ESCALATED = "escalated"
    """The same, and the exception left the serving call."""
    TASK_FAILED = "task failed"
    """A task that was started for this stream failed: as escalated."""
    ORDER_BROKEN = "order broken"
    OUTBOUND_FAILED = "outbound failed"
    GRACE_OVER = "grace over"
    """It was leaving gracefully, and that took longer than the grace."""

    __hash__ = object.__hash__


GRACEFUL = frozenset({PipelineEnd.COMPLETE, PipelineEnd.DRAINED})
"""Ends that nobody has to be told about loudly."""


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """What the pipeline of one stream came to. Times in seconds.

    reason, error      why it ended; None for a graceful end, and in `Pipeline.reports`: exceptions hold frames
    said               the class of the error and its text, in one short line
    duration, draining from its begin, and of that since the drain began
    received           messages that were taken off the stream
    inbound, outbound  counts by kind. `outbound.handled` counts what was written
    outstanding        numbers of those that were not finished, ascending: not begun, cut in the middle of a handler or
                       between two attempts, or what ended the stream. What waited behind a parked key became dead
                       letters
    interrupted        how many of these had begun and were cut, in the middle of a handler or between two attempts
    dead_letters       how many messages became dead letters, parked ones that were left included
    undelivered        messages that were to go out and were not written
    unread             how much came and was not taken off the stream (entries), if that is known
    """

    dest: str
    service: str
    reason: PipelineEnd
    error: BaseException | None
    duration: float
    draining: float
    received: int
    inbound: Tally
    outbound: Tally
    outstanding: tuple[int, ...] = ()
    interrupted: int = 0
    dead_letters: int = 0
    undelivered: int = 0
    unread: int = 0
    said: str = ""

    @property
    def graceful(self) -> bool:
        """Whether nothing was cut off."""
        return self.reason in GRACEFUL

    def __str__(self) -> str:
        return (
            f"{self.service} with {self.dest}: {self.reason.value} after {self.duration:.3f} s; "
            f"{self.inbound.handled} of {self.received} handled, {self.inbound.retried} retried, "
            f"{self.dead_letters} dead letters, {len(self.outstanding)} outstanding; "
            f"{self.outbound.handled} sent, {self.undelivered} undelivered"
        )
