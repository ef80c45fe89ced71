"""The second strand of a link whose wire has an urgent channel.

To the session it is a wire of its own that comes and goes with its link (`Session.join_strand`): the two overtake each
other as any two wires do. To all else there is one wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from litz.message import Buffer
from litz.wire import UrgentChannel
from outproc.session.fixed_lanes import RPC_LANE
from outproc.wire_choice import NEVER

if TYPE_CHECKING:
    from outproc.link import Link
    from outproc.session.session import Session


LITTLE: Final = 64 * 1024
"""Bytes of the RPC lane that are not acknowledged, with more than which it is bulk and goes with bulk."""

QUIET: Final = LITTLE // 8
"""Bytes of it down to which it is no bulk any more."""

BULK_FOR: Final = 1.0
"""Seconds for which it counts as bulk at least: each move sends again what is in flight."""

URGENT_FRAME: Final = 65 * 1024
"""Bytes of a frame: what comes next waits for it."""


class UrgentStrand:
    """Of one link. Compared by identity, like its link."""

    def __init__(self, link: Link, channel: UrgentChannel) -> None:
        self.link = link
        self.channel = channel
        self._bulk_until = NEVER

    def fill(self, session: Session, now: float) -> None:
        """Write what the session has for it, while the channel takes more. Nothing before it has joined."""
        self._place_rpc(session, now)
        while self.channel.writable:
            frame = session.next_frame(self, now, URGENT_FRAME)
            if frame is None:
                return
            self._write(frame)
            if session.said_all:
                return

    def _place_rpc(self, session: Session, now: float) -> None:
        """Requests must not wait behind bulk, and whoever sends bulk by the same lane must not fill what is urgent."""
        lane = session.send_lanes[RPC_LANE]
        if lane.wire is self:
            if lane.log.size > LITTLE:
                self._bulk_until = now + BULK_FOR
                session.bind(RPC_LANE, self.link)
        elif lane.wire is self.link and lane.log.size <= QUIET and now >= self._bulk_until and self in session.wires:
            session.bind(RPC_LANE, self)

    def _write(self, buffers: Sequence[Buffer]) -> None:
        self.link.frames_out += 1
        self.link.bytes_out += sum(map(len, buffers))
        self.channel.write(buffers)

    def __repr__(self) -> str:
        return f"<urgent strand of {self.link!r}>"
