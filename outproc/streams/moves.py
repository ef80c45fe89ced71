"""What becomes of a stream: one literal table. Pure.

Each end of a stream has a state, and moves when its user does something, when its incoming lane ends, or when the peer
says a word. Both ends move by the same table. A number is gone when this side has said that its receiving half is over
(by DONE, or by ABORT) and has heard the same of the peer: then neither needs the other's lane any more, and nothing but
an ABORT that crossed the last word can still come for it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from litz.errors import ProtocolError


class State(Enum):
    """Of one end of a stream."""

    OPENING = auto()
    """Asked for, and not answered."""
    OPENING_READ = auto()
    """The same, and the peer's half has come whole already: its end overtook its answer."""
    CANCELLED = auto()
    """Given up before it was answered; the answer is still to come."""
    OFFERED = auto()
    """The peer asks for it, and it is not answered."""
    OPEN = auto()
    READ = auto()
    """The peer's half is complete."""
    WROTE = auto()
    """This half is complete, and under way."""
    SENT = auto()
    """This half is complete, and the peer has all of it."""
    ENDING = auto()
    """Both halves are complete; the peer has not all of this one yet."""
    ABORTING = auto()
    """Aborted here; what the peer says to it is still to come."""
    GONE = auto()


class Input(Enum):
    """What moves it: words of the peer, the end of the incoming lane, or the user."""

    ACCEPT = auto()
    REFUSE = auto()
    ABORT = auto()
    DONE = auto()
    END = auto()
    """The incoming lane is complete."""
    FINISH = auto()
    """The user has written all."""
    GIVE_UP = auto()
    """The user aborts, or cancels the open."""
    TAKE = auto()
    """The user takes what was offered."""
    TURN_DOWN = auto()
    """It does not, or may not."""


class Effect(Enum):
    """What the driver does about it, in this order."""

    CLOSE_LANE = auto()
    """Append the end to the sending lane."""
    SAY_ACCEPT = auto()
    SAY_REFUSE = auto()
    SAY_DONE = auto()
    SAY_ABORT = auto()
    DROP_OUT = auto()
    """The sending lane is of no use any more."""
    DROP_IN = auto()
    """Neither is the incoming one: what came and was not read is nobody's."""
    KEEP_IN = auto()
    """The incoming lane is over; what came still waits for its reader."""
    TELL_OPEN = auto()
    TELL_REFUSED = auto()
    TELL_CONFIRMED = auto()
    TELL_FINISHED = auto()
    TELL_ABORTED = auto()


_S, _I, _E = State, Input, Effect
_BOTH: Final = (_E.DROP_OUT, _E.DROP_IN)
_ABORTS: Final = (_E.SAY_ABORT, *_BOTH)
_ABORTED: Final = (_E.DROP_OUT, _E.KEEP_IN, _E.TELL_ABORTED)
_ENDS: Final = (_E.SAY_DONE, _E.KEEP_IN, _E.TELL_FINISHED)
_CONFIRMED: Final = (_E.DROP_OUT, _E.TELL_CONFIRMED)

Move = tuple[State, tuple[Effect, ...]]

MOVES: Final[dict[State, dict[Input, Move]]] = {
    _S.OPENING: {
        _I.ACCEPT: (_S.OPEN, (_E.TELL_OPEN,)),
        _I.REFUSE: (_S.GONE, (*_BOTH, _E.TELL_REFUSED)),
        _I.END: (_S.OPENING_READ, _ENDS),
        _I.GIVE_UP: (_S.CANCELLED, _ABORTS),
    },
    _S.OPENING_READ: {
        _I.ACCEPT: (_S.READ, (_E.TELL_OPEN,)),
        _I.GIVE_UP: (_S.CANCELLED, _ABORTS),
    },
    _S.CANCELLED: {
        _I.ACCEPT: (_S.ABORTING, ()),
        _I.REFUSE: (_S.GONE, ()),
    },
    _S.OFFERED: {
        _I.TAKE: (_S.OPEN, (_E.SAY_ACCEPT,)),
        _I.TURN_DOWN: (_S.GONE, (_E.SAY_REFUSE, *_BOTH)),
        _I.GIVE_UP: (_S.GONE, (_E.SAY_REFUSE, *_BOTH)),
        _I.ABORT: (_S.GONE, (_E.SAY_REFUSE, *_BOTH, _E.TELL_ABORTED)),
    },
    _S.OPEN: {
        _I.END: (_S.READ, _ENDS),
        _I.FINISH: (_S.WROTE, (_E.CLOSE_LANE,)),
        _I.ABORT: (_S.GONE, (_E.SAY_DONE, *_ABORTED)),
        _I.GIVE_UP: (_S.ABORTING, _ABORTS),
    },
    _S.READ: {
        _I.FINISH: (_S.ENDING, (_E.CLOSE_LANE,)),
        _I.ABORT: (_S.GONE, _ABORTED),
        _I.GIVE_UP: (_S.ABORTING, _ABORTS),
    },
    _S.WROTE: {
        _I.END: (_S.ENDING, _ENDS),
        _I.DONE: (_S.SENT, _CONFIRMED),
        _I.ABORT: (_S.GONE, (_E.SAY_DONE, *_ABORTED)),
        _I.GIVE_UP: (_S.ABORTING, _ABORTS),
    },
    _S.SENT: {
        _I.END: (_S.GONE, _ENDS),
        _I.ABORT: (_S.GONE, (_E.SAY_DONE, *_ABORTED)),
        _I.GIVE_UP: (_S.GONE, _ABORTS),
    },
    _S.ENDING: {
        _I.DONE: (_S.GONE, _CONFIRMED),
        _I.ABORT: (_S.GONE, _ABORTED),
        _I.GIVE_UP: (_S.ABORTING, _ABORTS),
    },
    _S.ABORTING: {
        _I.DONE: (_S.GONE, ()),
        _I.ABORT: (_S.GONE, ()),
    },
    _S.GONE: {},
}

OF_THE_PEER: Final = frozenset({_I.ACCEPT, _I.REFUSE, _I.ABORT, _I.DONE})


def move(state: State, by: Input) -> Move:
    """The next state, and what to do. Raises `ProtocolError` for a word that nobody may say now, and RuntimeError for
    anything else that cannot happen."""
    found = MOVES[state].get(by)
    if found is not None:
        return found
    if by in OF_THE_PEER:
        raise ProtocolError(f"the peer said {by.name} about a stream that is {state.name.lower()} here")
    raise RuntimeError(f"{by.name} for a stream that is {state.name.lower()}")
