"""What must be told to the peer besides data: acks and credits, and by when (R8, R9, R10).

All values are absolute, so only *that* one is unsent is kept here; its value is read when a frame is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from outproc.frames.encode import encode_ack, encode_credit, encode_session_credit
from outproc.frames.layout import ACK_LAYOUT, CREDIT_LAYOUT, NUMBER_LAYOUT
from outproc.session.receive_lane import ReceiveCredit, ReceiveLane

MANY: Final = 16
"""Acks in a frame from which credits have a part of it too, should not all go in."""


@dataclass(frozen=True, slots=True)
class Control:
    """What one frame tells: acks and credits of these lanes, and whether the session's credit."""

    acks: tuple[int, ...]
    credits: tuple[int, ...]
    session_credit: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return (
            len(self.acks) * ACK_LAYOUT.size
            + len(self.credits) * CREDIT_LAYOUT.size
            + self.session_credit * NUMBER_LAYOUT.size
        )

    def encode(
        self, lanes: Mapping[int, ReceiveLane], session: ReceiveCredit, streams: Mapping[int, ReceiveLane]
    ) -> bytes:
        """The records, with the values of this moment. Stating a grant grants it."""
        records = []
        for number in self.acks:
            ack = (lanes.get(number) or streams[number]).ack()
            records.append(encode_ack(number, ack.received, ack.processed, ack.durable))
        records += [encode_credit(number, *(lanes.get(number) or streams[number]).grant()) for number in self.credits]
        if self.session_credit:
            records.append(encode_session_credit(session.grant()))
        return b"".join(records)


NOTHING = Control((), (), session_credit=False)


class Unsent:
    """Which control values are unsent, and the time by which they go out even without data to ride on.

    The deadline is never put off by further news: it is no debounce.
    """

    __slots__ = ("acks", "credits", "due", "session_credit")

    def __init__(self) -> None:
        # dicts keep the order of news, so that what a frame holds never depends on a hash
        self.acks: dict[int, None] = {}
        self.credits: dict[int, None] = {}
        self.session_credit = False
        self.due: float | None = None

    def __bool__(self) -> bool:
        return bool(self.acks or self.credits or self.session_credit)

    def ack(self, lane: int, by: float) -> None:
        """The ack of `lane` is news, to be sent by the time `by`."""
        self.acks[lane] = None
        self._by(by)

    def credit(self, lane: int, by: float, *, session: bool) -> None:
        """The credit of `lane` (and of the session) is news."""
        self.credits[lane] = None
        self.session_credit = self.session_credit or session
        self._by(by)

    def everything(self, lanes: Iterable[int], by: float) -> None:
        """A wire died, and whatever it carried may be lost: all values are unsent again (R8)."""
        for lane in lanes:
            self.acks[lane] = None
            self.credits[lane] = None
        self.session_credit = True
        self._by(by)

    def forget(self, lane: int) -> None:
        """The lane is gone: nothing of it is to be told any more."""
        self.acks.pop(lane, None)
        self.credits.pop(lane, None)
        if not self:
            self.due = None

    def _by(self, by: float) -> None:
        if self.due is None or by < self.due:
            self.due = by

    def choose(self, room: int) -> Control:
        """What of it fits into `room` bytes."""
        if not self:
            return NOTHING
        session = self.session_credit and room >= NUMBER_LAYOUT.size
        room -= session * NUMBER_LAYOUT.size
        # There may be thousands: no frame costs a step for what it does not hold.
        most = max(0, room // ACK_LAYOUT.size)
        if self.credits and len(self.acks) > most > MANY:
            most = most * 5 // 8  # neither kind waits for the other for ever
        acks = tuple(islice(self.acks, most))
        room -= len(acks) * ACK_LAYOUT.size
        return Control(acks, tuple(islice(self.credits, max(0, room // CREDIT_LAYOUT.size))), session)

    def sent(self, control: Control) -> None:
        """This went out. The deadline ends when nothing is left."""
        for lane in control.acks:
            del self.acks[lane]
        for lane in control.credits:
            del self.credits[lane]
        if control.session_credit:
            self.session_credit = False
        if not self:
            self.due = None
