"""Leave to send: what a lane answers about one more message, about many, and what the session may still start."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from outproc.session.limits import Overflow
from outproc.session.log import Body


class Admission(Enum):
    """What to do with one more message."""

    ACCEPT = auto()
    WAIT = auto()
    REFUSE = auto()
    DROP = auto()
    FAIL = auto()


class Quota(NamedTuple):
    """Leave to append messages without asking: one to `bodies` for each of `numbers`, in order."""

    numbers: range
    bodies: list[Body]


@dataclass(slots=True)
class SendCredit:
    """What the session as a whole may still start to send: absolute limit and use, in bytes."""

    limit: int = 0
    used: int = 0

    @property
    def left(self) -> int:
        return self.limit - self.used


WAITING = (Overflow.BLOCK, Overflow.SPILL)
"""Policies with which a sender may wait for space; what is spilled does not get here, and requests are not spilled."""

WHEN_FULL = {
    Overflow.BLOCK: Admission.WAIT,
    Overflow.REJECT: Admission.REFUSE,
    Overflow.DROP_NEWEST: Admission.DROP,
    Overflow.KEEP_LATEST: Admission.REFUSE,
    Overflow.FAIL: Admission.FAIL,
    Overflow.SPILL: Admission.WAIT,
}
"""What a full lane answers where no message can be dropped to make room."""
