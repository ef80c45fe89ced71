"""What a session and its driver hand each other: statements of a joining wire, and what a frame brought."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from litz.errors import ProtocolError
from outproc.frames.encode import encode_ping, encode_pong
from outproc.frames.layout import NUMBER_LAYOUT
from outproc.frames.records import Ack, Closed, Credit, Goodbye
from outproc.session.asking import Asking
from outproc.session.cutting import FrameParts
from outproc.session.fixed_lanes import LOSSY_LANE, PRIORITY_LANES, SHARING_LANES
from outproc.session.receive_lane import Delivery, Finished, Skipped

if TYPE_CHECKING:
    from outproc.session.session import Session

ORDERS: Final = {
    lane: (*PRIORITY_LANES, *SHARING_LANES[place:], *SHARING_LANES[:place])
    for place, lane in enumerate(SHARING_LANES, 1)
}
"""By the sharing lane that had the first room in the frame before: who may fill the next one, in order."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What each side says of itself when a wire joins: positions, grants, and the size of its logs."""

    positions: tuple[Ack, ...] = ()
    credits: tuple[Credit, ...] = ()
    session_credit: int = 0
    log_messages: int = 1
    log_size: int = 1


@dataclass(slots=True)
class Received:
    """What one frame brought. The driver handles `deliveries` and `notes` in order."""

    deliveries: list[Delivery] = field(default_factory=list)
    notes: list[Skipped | Finished] = field(default_factory=list)
    acked: list[int] = field(default_factory=list)
    """Lanes with news for those who wait for space or for a confirmation."""
    pongs: list[int] = field(default_factory=list)
    end: Goodbye | Closed | None = None
    """The peer ended the session: call `end` with its positions, answer a Goodbye with `farewell`."""
    leave: int | None = None
    """The peer takes this wire out of the session, for this `LeaveReason`."""
    fault: str = ""
    """The wire lost or reordered something: close it (R6), and tell `faults.broke`."""
    violation: ProtocolError | None = None
    """The peer broke the rules: close the wire, and tell `faults.broke`. All else in here is valid."""
    only_data: bool = field(default=False, compare=False)
    """Nothing in it lets this side send more: `next_frame` when `due` says so is soon enough."""


@dataclass(slots=True)
class Early:
    """What a wire that has joined, and its second strand, take before a pong has come: so many bytes of data; None: it
    has come."""

    left: int | None

    def room(self, budget: int) -> int:
        """How much data the next frame may carry, of `budget` bytes."""
        return budget if self.left is None else min(budget, self.left)

    def took(self, size: int) -> None:
        """So much is in it."""
        if self.left is not None:
            self.left -= size


@dataclass(slots=True)
class JoinedWire:
    """A wire in the session, or its second strand, and what waits for it alone. `of` is the wire, for both."""

    max_frame: int
    of: Hashable
    early: Early
    strand: Hashable | None = None
    """Of a wire: its second strand, once that has joined."""
    dependable: bool = True
    """Whether it keeps order and loses nothing. Else it carries neither reliable lanes nor acks and credits."""
    pings: list[int] = field(default_factory=list)
    pongs: list[int] = field(default_factory=list)
    last_first: int = LOSSY_LANE
    """The sharing lane that had the first room in the latest frame: the one after it is next."""
    frame_shared: bool = False
    asking: Asking = field(default_factory=Asking)

    @property
    def asks(self) -> bool:
        """Whether pings or pongs wait."""
        return bool(self.pings or self.pongs)

    def in_turn(self) -> tuple[int, ...]:
        """The lanes in the order in which they may fill the next frame."""
        self.frame_shared = False
        return ORDERS[self.last_first]

    def had_room(self, lane: int) -> None:
        """`lane` is in the frame. Only what was sent moves the turn: else lanes could starve in step with the calls."""
        if lane in SHARING_LANES and not self.frame_shared:
            self.frame_shared = True
            self.last_first = lane

    def take_records(self, out: FrameParts, room: int) -> int:
        """Move as many pongs and pings as fit into `room` bytes to `out`. Returns their size in bytes."""
        pongs = self.pongs[: room // NUMBER_LAYOUT.size]
        pings = self.pings[: room // NUMBER_LAYOUT.size - len(pongs)]
        del self.pongs[: len(pongs)], self.pings[: len(pings)]
        out += map(encode_pong, pongs)
        out += map(encode_ping, pings)
        return (len(pongs) + len(pings)) * NUMBER_LAYOUT.size


def has_news(wire: Hashable, joined: JoinedWire, session: Session) -> bool:
    """Whether there may be anything for the next frame on `wire`. Of several wires most have nothing to carry, and to
    find that out must cost little."""
    streams, lossy = session.streams, session.lossy_out
    if joined.asks or session.unsent.due is not None or (streams.wire is wire and streams.waits):
        return True
    for lane in session.send_lanes.values():
        if lane.wire is wire and lane.has_unsent:
            return True
    return lossy.wire is wire and bool(lossy.queue)
