"""One end of one stream: what its user says, and what it is told. `litz.stream_port` has the law."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from litz.stream_port import MAX_ENTRY, Abort, Kept, Refusal, Refused, StreamUser
from outproc.session.log import Body, Parts
from outproc.streams.moves import Input, State
from outproc.streams.table import DYING, Entry

if TYPE_CHECKING:
    from outproc.streams.session_streams import SessionStreams

JOINED_BELOW: Final = 4 << 10
"""Smaller entries are joined, which costs less than to keep their buffers apart."""


class OutprocSide:
    """See the module. Everything but what its own user says comes from `SessionStreams`, in the loop."""

    __slots__ = (
        "_began",
        "_closed",
        "_confirm_at",
        "_streams",
        "_told_end",
        "_unread",
        "_user",
        "bytes_in",
        "bytes_out",
        "end",
        "entry",
        "finished",
        "left_unconfirmed",
        "link_up",
        "receives",
        "released",
        "sends",
        "unread_entries",
        "unread_size",
    )

    def __init__(self, streams: SessionStreams, entry: Entry, *, link_up: bool) -> None:
        self._streams = streams
        self.entry = entry
        self._user: StreamUser | None = None
        self._began = self._closed = self._told_end = False
        """Whether the user: has been told all that came before; has finished or aborted; has been told the end."""
        self._unread: list[Any] = []
        self._confirm_at = -1
        """The user waits until all entries below this number are confirmed; -1: it does not."""
        self.finished = False
        """The peer's half is complete, and the user was not told yet."""
        self.end: Callable[[StreamUser], None] | None = None
        """How it ended otherwise: tells a user."""
        self.released = False
        self.link_up = link_up
        self.sends = self.receives = False
        """Whether the session has a lane for it, out and in."""
        self.left_unconfirmed = 0
        """How much was not confirmed when the sending lane was given up."""
        self.unread_entries = self.unread_size = 0
        """Told or kept, and not consumed."""
        self.bytes_in = self.bytes_out = 0

    # -- what it is ---------------------------------------------------------------------------------

    @property
    def dest(self) -> str:
        return self._streams.dest

    @property
    def number(self) -> int:
        return self.entry.number

    @property
    def unconfirmed(self) -> int:
        return self._streams.lanes.unconfirmed(self) if self.sends else self.left_unconfirmed

    @property
    def buffered(self) -> int:
        return self._streams.lanes.buffered(self) if self.sends else 0

    @property
    def max_entry(self) -> int:
        return self._streams.lanes.max_entry(self) if self.sends else MAX_ENTRY

    @property
    def attached(self) -> bool:
        """Whether somebody uses it."""
        return self._streams.is_attached(self)

    @property
    def used(self) -> bool:
        """Whether it has a user that hears."""
        return self._user is not None and not self.released

    # -- its user says ------------------------------------------------------------------------------

    def use(self, user: StreamUser) -> None:
        """`StreamSide.use`."""
        if self._user is not None:
            raise RuntimeError(f"{self!r} has its user already")
        self._user = user
        self._streams.soon(self._begin)

    def answer(self, refused: Refused | None) -> None:
        """`StreamSide.answer`."""
        if self.entry.state is not State.OFFERED:
            return
        if refused is None:
            self._streams.take(self)
        else:
            self._streams.turn_down(self, refused)

    def write(self, entry: Any, size: int) -> bool:
        """`StreamSide.write`."""
        if self.entry.state not in (State.OPEN, State.READ):
            if not (self._closed or self._told_end):
                return False  # the user hears why in this turn of the loop, or the next
            raise RuntimeError(f"{self!r} takes nothing more")
        return self._streams.lanes.write(self, _body(entry))

    def finish(self) -> None:
        """`StreamSide.finish`."""
        self._closed = True
        if self.entry.state in (State.OPEN, State.READ):
            self._streams.move(self, Input.FINISH)

    def abort(self, code: int, reason: str) -> None:
        """`StreamSide.abort`."""
        self._closed = True
        self.give_up(code, reason)

    def give_up(self, code: int, reason: str) -> None:
        """Abort it, or refuse it if it was not answered. A no-op after the end."""
        if self.entry.state is State.OFFERED:
            self._streams.turn_down(self, Refused(Refusal.REJECTED, reason))
        elif self.entry.state not in DYING:
            self._streams.move(self, Input.GIVE_UP, code, reason)

    def consumed(self, entries: int, size: int) -> None:
        """`StreamSide.consumed`."""
        self.unread_entries -= entries
        self.unread_size -= size
        if self.receives:
            self._streams.consumed(self, entries, size)

    def want_confirmed(self) -> None:
        """`StreamSide.want_confirmed`."""
        if self.sends:
            self._confirm_at = self._streams.lanes.want_confirmed(self)
            if self._confirm_at >= 0:
                return
        elif self.left_unconfirmed:
            return  # it has ended: that is told instead
        self._confirm_at = 0
        self._streams.soon(self.confirmed)

    def pause(self) -> None:
        """`StreamSide.pause`."""
        if self.receives:
            self._streams.lanes.pause(self)

    def resume(self) -> None:
        """`StreamSide.resume`."""
        if self.receives:
            self._streams.lanes.resume(self)

    def attach(self, attached: bool) -> None:
        """`StreamSide.attach`."""
        if not self.released:
            self._streams.attach(self, attached)

    def keep(self, size: int) -> Kept:
        """`StreamSide.keep`."""
        return self._streams.keep(size)

    def release(self) -> None:
        """`StreamSide.release`."""
        if self.released:
            return
        if not self.entry.over:
            self.abort(Abort.CANCELLED, "")
        self.released = True
        self._unread.clear()
        self._streams.released(self)

    # -- it is told ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Tell all that came before the user did. It may say anything meanwhile."""
        self._began = True
        unread, self._unread = self._unread, []
        if unread:
            self._tell("received", unread, sum(map(len, unread)))
        if self.finished:
            self.finished = False
            self._tell("finished")
        if self.end is not None and self.used:
            self._tell_end()

    def received(self, entries: Sequence[Any], size: int) -> None:
        """Entries came."""
        self.unread_entries += len(entries)
        self.unread_size += size
        self.bytes_in += size
        if self._began:
            self._tell("received", entries, size)
        elif not self.released:
            self._unread.extend(entries)

    def complete(self) -> None:
        """The peer's half is complete."""
        if self._began:
            self._tell("finished")
        else:
            self.finished = True

    def ends(self, how: Callable[[StreamUser], None]) -> None:
        """It ends otherwise. The first reason wins."""
        if self.end is None:
            self.end = how
            if self._began:
                self._tell_end()

    def _tell_end(self) -> None:
        user, how = self._user, self.end
        assert how is not None
        self._told_end = True
        if user is not None and not self.released:
            self._streams.guarded(self, how, user)

    def writable(self) -> None:
        """There is room."""
        if self.entry.state in (State.OPEN, State.READ):
            self._tell("writable")

    def acked(self, below: int) -> None:
        """All entries below this number are confirmed."""
        if 0 <= self._confirm_at <= below:
            self.confirmed()

    def confirmed(self) -> None:
        """Everything is."""
        if self._confirm_at >= 0:
            self._confirm_at = -1
            self._tell("confirmed")

    def link(self, up: bool) -> None:
        """The dest has a wire, or has none."""
        if up != self.link_up:
            self.link_up = up
            if self._began:
                self._tell("link", up)

    def _tell(self, what: str, *arguments: Any) -> None:
        if self._user is not None and not self.released and (self.end is None or what in ("received", "finished")):
            self._streams.guarded(self, getattr(self._user, what), *arguments)

    def __repr__(self) -> str:
        entry = self.entry
        return f"<stream {entry.number} of {entry.service!r} with {self.dest}: {entry.state.name.lower()}>"


def _body(entry: Any) -> Body:
    """An entry as it goes into the log: a list of buffers stays one."""
    if not isinstance(entry, tuple | list):
        return bytes(entry) if isinstance(entry, bytearray) else entry
    buffers = tuple(bytes(each) if isinstance(each, bytearray) else each for each in entry)
    parts = Parts(buffers)
    return b"".join(buffers) if len(parts) < JOINED_BELOW else parts
