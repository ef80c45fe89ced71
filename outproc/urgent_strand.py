"""The second strand of a link whose wire has an urgent channel.

To the session it is a wire of its own that comes and goes with its link (`Session.join_strand`): the two overtake each
other as any two wires do. To all else there is one wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from litz.message import Buffer
from litz.wire import UrgentChannel

if TYPE_CHECKING:
    from outproc.link import Link
    from outproc.session.session import Session


class UrgentStrand:
    """Of one link. Compared by identity, like its link."""

    def __init__(self, link: Link, channel: UrgentChannel) -> None:
        self.link = link
        self.channel = channel

    def fill(self, session: Session, now: float) -> None:
        """Write what the session has for it, while the channel takes more. Nothing before it has joined."""
        while self.channel.writable:
            frame = session.next_frame(self, now)
            if frame is None:
                return
            self._write(frame)

    def _write(self, buffers: Sequence[Buffer]) -> None:
        self.link.frames_out += 1
        self.link.bytes_out += sum(map(len, buffers))
        self.channel.write(buffers)

    def __repr__(self) -> str:
        return f"<urgent strand of {self.link!r}>"
