"""One end of a stream between two managers of a hub: entries are the very objects, and windows are counted.

The methods of `StreamSide` belong to the thread of the node's loop. Between the two ends of a stream there are only
calls handed to the other loop, in order, and counters of which each has one writer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from inproc.hub import Link, post
from litz.stream_counts import StreamCounts
from litz.stream_port import MAX_ENTRY, UNCHARGED, Abort, Kept, Offer, Refusal, Refused, StreamUser

if TYPE_CHECKING:
    from inproc.node import Node

WINDOW_ENTRIES: Final = 256
WINDOW_BYTES: Final = 4 * 1024 * 1024
"""What may be written and not consumed. An empty window takes one entry of any size."""

CHUNK: Final = 64
"""Entries told to a user at once."""


class InprocSide:
    """One end. Made by `inproc.streams`, in the loop of `node`."""

    def __init__(
        self,
        node: Node,
        link: Link,
        number: int,
        *,
        offer: Offer,
        counts: StreamCounts,
        forget: Callable[[InprocSide], None],
        ticks: Iterator[int],
    ) -> None:
        self._node = node
        self._loop = node.loop
        self.offer = offer
        self._counts = counts
        self._forget = forget
        self._ticks = ticks
        self._peer_node = link.other(node)
        self.link = link
        self.peer: InprocSide | None = None
        """The other end, once it exists."""
        self.answered: asyncio.Future[Refused | None] | None = None
        """At the end that asks: whether the other took it."""
        self._number = number
        self._user: StreamUser | None = None
        self.ended = False
        self._silent = False
        self.unused_since: int | None = None
        """Place in the order in which ends became unused; None: somebody uses it."""
        self._pending = False  # an offer that is answered later
        # What goes out. The backlog is emptied by the other loop.
        self._backlog: deque[tuple[Any, int]] = deque()
        self._scheduled = False
        self._blocked = False
        self._written = 0
        self._written_bytes = 0
        self._finish_said = False
        # What comes in.
        self.taken = 0
        self.bytes_in = 0
        self.freed = 0
        self.freed_bytes = 0
        self._sizes: deque[int] = deque()
        self._early: deque[Callable[[StreamUser], None]] = deque()
        self._paused = False
        self._held = (0, 0)
        self._finished = False

    # -- StreamSide: for its user, in this loop -----------------------------------------------------------

    @property
    def dest(self) -> str:
        return self._peer_node.local_id

    @property
    def number(self) -> int:
        return self._number

    @property
    def link_up(self) -> bool:
        return not self.ended

    @property
    def unconfirmed(self) -> int:
        return self._written - (self.peer.taken if self.peer is not None else 0)

    @property
    def buffered(self) -> int:
        return 0

    @property
    def max_entry(self) -> int:
        return MAX_ENTRY

    def use(self, user: StreamUser) -> None:
        self._user = user
        if self._early:
            self._loop.call_soon(self._tell_early)

    def answer(self, refused: Refused | None) -> None:
        if self.ended or not self._pending:
            return
        self._pending = False
        self._accepted(refused)

    def write(self, entry: Any, size: int) -> bool:
        if self.ended or self._finish_said:
            raise RuntimeError(f"{self!r} has ended, nothing can be written")
        peer = self.peer
        assert peer is not None
        if not self._has_room(peer, size):
            # Before the second look: whoever frees room after it sees the flag.
            self._blocked = True
            if not self._has_room(peer, size):
                return False
            self._blocked = False
        self._backlog.append((entry, size))
        self._written += 1
        self._written_bytes += size
        if not self._scheduled:
            self._scheduled = True
            self._post(peer.take)
        return True

    def _has_room(self, peer: InprocSide, size: int) -> bool:
        entries = self._written - peer.freed
        held = self._written_bytes - peer.freed_bytes
        return entries == 0 or (entries < WINDOW_ENTRIES and held + size <= WINDOW_BYTES)

    def finish(self) -> None:
        if not self.ended and not self._finish_said and self.peer is not None:
            self._finish_said = True
            self._post(self.peer.peer_finished)

    def abort(self, code: int, reason: str) -> None:
        if self.ended:
            return
        if self._pending:
            self.answer(Refused(Refusal.REFUSED, reason))
            return
        self._counts.aborted += 1
        self._silence()
        self._backlog.clear()
        if self.peer is not None:
            self._post(self.peer.peer_aborted, code, reason)

    def consumed(self, entries: int, size: int) -> None:
        """`size` is not looked at: this end knows what each entry was declared as, and objects change."""
        if self.ended:
            return
        freed = sum(self._sizes.popleft() for _ in range(entries))
        if self._paused:
            self._held = (self._held[0] + entries, self._held[1] + freed)
        else:
            self._free(entries, freed)

    def _free(self, entries: int, size: int) -> None:
        self.freed_bytes += size
        self.freed += entries
        peer = self.peer
        if peer is not None and peer._blocked:
            peer._blocked = False
            self._post(peer.room_again)

    def want_confirmed(self) -> None:
        if not self.ended and self.peer is not None:
            self._post(self.peer.asked_whether_all_came)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        held, self._held = self._held, (0, 0)
        if held[0]:
            self._free(*held)

    def attach(self, attached: bool) -> None:
        self.unused_since = None if attached else next(self._ticks)

    def keep(self, size: int) -> Kept:
        return UNCHARGED  # objects of this process: nobody knows how large they are

    def release(self) -> None:
        if not (self._finish_said and self._finished):
            self.abort(Abort.CANCELLED, "")
        self._silence()

    # -- what the other end calls: in this loop -------------------------------------------------------------

    def take(self) -> None:
        """There is something in the other end's backlog."""
        peer = self.peer
        if self.ended or peer is None:
            return
        # Before looking: what is appended after the look then schedules the next call.
        peer._scheduled = False
        taken: list[tuple[Any, int]] = []
        while True:
            try:
                taken.append(peer._backlog.popleft())
            except IndexError:
                break
        self.taken += len(taken)
        for start in range(0, len(taken), CHUNK):
            some = taken[start : start + CHUNK]
            self._sizes.extend(size for _, size in some)
            came = sum(size for _, size in some)
            self.bytes_in += came
            self._tell(partial(_received, [entry for entry, _ in some], came))

    def _tell(self, tell: Callable[[StreamUser], None]) -> None:
        """To the user, behind all that it is to be told yet."""
        if self._silent:
            return
        if self._user is None or self._early:
            self._early.append(tell)
        else:
            tell(self._user)

    def _tell_early(self) -> None:
        while self._early and self._user is not None:
            self._early.popleft()(self._user)

    def peer_finished(self) -> None:
        """It sends nothing more."""
        self.take()
        if not self.ended:
            self._finished = True
            self._tell(lambda user: user.finished())

    def peer_aborted(self, code: int, reason: str) -> None:
        """It ended both halves."""
        self._counts.aborted += not self.ended
        self._end(lambda user: user.aborted(code, reason))

    def turn_down(self, code: int, reason: str) -> None:
        """It was taken, and finds no place now: its user is told. The answer follows."""
        self._end(lambda user: user.aborted(code, reason))

    def evict(self, code: int, reason: str) -> None:
        """A limit needs its room: its user and the other end are told."""
        peer = self.peer
        self._counts.evicted += not self.ended
        self.peer_aborted(code, reason)
        if peer is not None:
            self._post(peer.peer_aborted, code, reason)

    def link_ended(self, error: BaseException) -> None:
        """The session is over."""
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(error)
        self._end(lambda user: user.lost(error))

    def _end(self, tell: Callable[[StreamUser], None]) -> None:
        if not self.ended:
            self._close()
            self._tell(tell)

    def room_again(self) -> None:
        """The window has room."""
        if not self.ended:
            self._tell(lambda user: user.writable())

    def asked_whether_all_came(self) -> None:
        """It waits for confirmation of all that it wrote before it asked."""
        self.take()
        if self.peer is not None:
            self._post(self.peer.all_came)

    def all_came(self) -> None:
        """The answer."""
        if not self.ended:
            self._tell(lambda user: user.confirmed())

    def give_up(self) -> None:
        """At the end that asked: it was refused, or nobody waits for the answer any more."""
        if self.answered is not None:
            self.answered.cancel()
        self._close()

    def taken_or_refused(self, refused: Refused | None) -> None:
        """The answer to the offer, at the end that made it."""
        if self.answered is not None and not self.answered.done():
            self._counts.opened += refused is None
            self._counts.refused_there += refused is not None
            self.answered.set_result(refused)

    # -- its life -----------------------------------------------------------------------------------------

    def answer_with(self, *, later: bool, refused: Refused | None) -> None:
        """What `accept` said of the offer that this end is the answer to."""
        if later:
            self._pending = True
        else:
            self._accepted(refused)

    def _accepted(self, refused: Refused | None) -> None:
        peer = self.peer
        assert peer is not None
        self._counts.accepted += refused is None
        if refused is not None:
            self._counts.refused_here += 1
            self._close()
        self._post(peer.taken_or_refused, refused)

    def _silence(self) -> None:
        """Nothing more is told."""
        self._silent = True
        self._user = None
        self._early.clear()
        self._close()

    def _close(self) -> None:
        if not self.ended:
            self.ended = True
            self._forget(self)

    def _post(self, call: Callable[..., object], *arguments: Any) -> None:
        if self.link.same_loop:
            self._loop.call_soon(call, *arguments)
        elif not post(self._peer_node.loop, call, *arguments):
            self._loop.call_soon(self._node.peer_is_dead, self._peer_node)

    # -- sight --------------------------------------------------------------------------------------------

    @property
    def opened_here(self) -> bool:
        return self.answered is not None

    @property
    def state(self) -> str:
        """In the words of `litz.snapshot.StreamSnapshot`."""
        if self.answered is not None and not self.answered.done():
            return "opening"
        if self._pending:
            return "offered"
        if not self._finish_said:
            return "read" if self._finished else "open"
        arrived = self.peer is not None and self.peer._finished
        if self._finished:
            return "gone" if arrived else "ending"
        return "sent" if arrived else "wrote"

    @property
    def bytes_out(self) -> int:
        return self._written_bytes

    @property
    def unread(self) -> int:
        return sum(self._sizes)

    @property
    def granted(self) -> int:
        """Bytes that the other end may have on the way, or unread here."""
        return self.unread if self._finished else max(WINDOW_BYTES, self.unread)

    def __repr__(self) -> str:
        return f"<stream {self._number} of {self._node.local_id} and {self.dest}{', ended' if self.ended else ''}>"


def _received(entries: list[Any], size: int, user: StreamUser) -> None:
    user.received(entries, size)
