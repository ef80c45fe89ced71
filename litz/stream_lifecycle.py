"""The life of one stream as one literal table. Pure.

Whether the dest has a wire (`link_up`) is no state of a stream: each state is lived through with and without one, and a
stream may drain while it is detached. The first reason for an end wins; later ones are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class StreamState(Enum):
    """Where a stream is in its life."""

    INIT = "init"
    """Asked for, and not answered."""
    OPEN = "open"
    """Both halves."""
    LOCAL_CLOSED = "local closed"
    """This side has ended its half: it sends nothing more, and the peer still may."""
    REMOTE_CLOSED = "remote closed"
    """The peer has."""
    DRAINING = "draining"
    """Nothing new is sent; what was is being confirmed, and the peer's half comes to its end."""
    CLOSED = "closed"
    """Over. What came before may still be read."""


class Happening(Enum):
    """What moves a stream from state to state."""

    OPENED = "opened"
    REFUSED = "refused"
    FINISHED_HERE = "finished here"
    FINISHED_THERE = "finished there"
    DRAIN = "drain"
    DRAINED = "drained"
    ABORTED_HERE = "aborted here"
    ABORTED_THERE = "aborted there"
    LOST = "lost"


class StreamEnd(Enum):
    """How a stream ended."""

    COMPLETE = "complete"
    """Both halves were finished, and all of this side's arrived."""
    REFUSED = "refused"
    ABORTED_HERE = "aborted here"
    ABORTED_THERE = "aborted by the peer"
    """Or by a limit, or a right that was withdrawn, at either node."""
    LOST = "lost"
    """The session under it is over, or the manager was closed."""


ENDS: Final[Mapping[Happening, StreamEnd]] = {
    Happening.REFUSED: StreamEnd.REFUSED,
    Happening.DRAINED: StreamEnd.COMPLETE,
    Happening.ABORTED_HERE: StreamEnd.ABORTED_HERE,
    Happening.ABORTED_THERE: StreamEnd.ABORTED_THERE,
    Happening.LOST: StreamEnd.LOST,
}
"""What ends a stream, and how it has ended then."""

_CUT: Final = {
    Happening.ABORTED_HERE: StreamState.CLOSED,
    Happening.ABORTED_THERE: StreamState.CLOSED,
    Happening.LOST: StreamState.CLOSED,
}

TABLE: Final[Mapping[StreamState, Mapping[Happening, StreamState]]] = {
    StreamState.INIT: {
        Happening.OPENED: StreamState.OPEN,
        Happening.REFUSED: StreamState.CLOSED,
        **_CUT,
    },
    StreamState.OPEN: {
        Happening.FINISHED_HERE: StreamState.LOCAL_CLOSED,
        Happening.FINISHED_THERE: StreamState.REMOTE_CLOSED,
        Happening.DRAIN: StreamState.DRAINING,
        **_CUT,
    },
    StreamState.LOCAL_CLOSED: {
        Happening.FINISHED_HERE: StreamState.LOCAL_CLOSED,
        Happening.FINISHED_THERE: StreamState.DRAINING,
        Happening.DRAIN: StreamState.DRAINING,
        **_CUT,
    },
    StreamState.REMOTE_CLOSED: {
        Happening.FINISHED_HERE: StreamState.DRAINING,
        Happening.DRAIN: StreamState.DRAINING,
        **_CUT,
    },
    StreamState.DRAINING: {
        Happening.FINISHED_HERE: StreamState.DRAINING,
        Happening.FINISHED_THERE: StreamState.DRAINING,
        Happening.DRAIN: StreamState.DRAINING,
        Happening.DRAINED: StreamState.CLOSED,
        **_CUT,
    },
    StreamState.CLOSED: {},
}
"""Every move there is. What is missing is a bug of ours, but for `CLOSED`, where whatever happens comes too late."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a stream is over: how, the code of the abort (a `litz.stream_port.Abort`) and the reason, for people."""

    how: StreamEnd
    code: int | None = None
    reason: str = ""
    cause: BaseException | None = None


class StreamLife:
    """The state of one stream."""

    __slots__ = ("ending", "link_up", "state")

    def __init__(self, *, link_up: bool = True) -> None:
        self.state = StreamState.INIT
        self.link_up = link_up
        self.ending: Ending | None = None
        """Set with `CLOSED`, once."""

    @property
    def may_send(self) -> bool:
        """Whether something new may be sent."""
        return self.state in (StreamState.OPEN, StreamState.REMOTE_CLOSED)

    def happen(
        self, happening: Happening, *, code: int | None = None, reason: str = "", cause: BaseException | None = None
    ) -> bool:
        """Take the move. False: the stream was closed already, and nothing changes. Raises RuntimeError for a move that
        is not in the table."""
        if self.state is StreamState.CLOSED:
            return False
        to = TABLE[self.state].get(happening)
        if to is None:
            raise RuntimeError(f"a stream that is {self.state.value} cannot be {happening.value}")
        self.state = to
        if to is StreamState.CLOSED:
            self.ending = Ending(ENDS[happening], code, reason, cause)
        return True
