"""The streams of one node of a hub: which services it has, and which ends of streams."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from inproc.hub import Link, post
from inproc.stream_side import InprocSide
from inproc.stream_sight import snapshot_of
from litz.errors import ConsumerConflictError, ManagerStateError
from litz.payload import PayloadType
from litz.snapshot import StreamsSnapshot
from litz.stream_counts import StreamCounts
from litz.stream_port import Abort, Accept, Later, Offer, Refusal, Refused, StreamSide
from litz.stream_refusals import refused_error
from litz.within import late_open, within

if TYPE_CHECKING:
    from inproc.node import Node


class InprocStreams:
    """What `litz.stream_port.StreamCarrier` asks of a manager, for one node."""

    def __init__(self, node: Node, max_streams: int) -> None:
        self._node = node
        self._max = max_streams
        self._services: dict[str, Accept] = {}
        self._ticks = itertools.count()
        self._ends: dict[Link, dict[InprocSide, None]] = {}
        self._counts: dict[Link, StreamCounts] = {}
        """Of sessions in which a stream was opened, or nearly."""

    @property
    def standing(self) -> int:
        """Ends of streams that live."""
        return sum(map(len, self._ends.values()))

    async def open(self, dest: str, service: str, metadata: bytes, *, pipe: bool, timeout: float | None) -> StreamSide:
        async with within(timeout, *late_open(dest, service)):
            transport = await self._node.connect(dest)
            transport.out.get(PayloadType.RPC_RELIABLE)  # raises when one of the two leaves
            link = transport.link
            assert link is not None
            if not self._make_room(link, self._max - 1):
                raise refused_error(dest, service, Refused(Refusal.BUSY, f"{self._max} streams stand with it (here)"))
            offer = Offer(self._node.local_id, service, metadata, verified=True, pipe=pipe)
            side = self._new(link, next(link.numbers), offer)
            answered = side.answered = self._node.loop.create_future()
            try:
                other = link.other(self._node)
                if not post(other.loop, other.streams.offered, side, offer):
                    self._node.loop.call_soon(self._node.peer_is_dead, other)
                refused = await answered
            except BaseException:
                self._withdraw(side)
                raise
        if refused is not None:
            side.give_up()
            raise refused_error(dest, service, refused)
        return side

    def listen(self, service: str, accept: Accept) -> Callable[[], None]:
        if service in self._services:
            raise ConsumerConflictError(f"{service!r} is served by this node already; stop that listener first")
        self._services[service] = accept
        return partial(self._stop, service, accept)

    def _stop(self, service: str, accept: Accept) -> None:
        if self._services.get(service) is accept:
            del self._services[service]

    def _new(self, link: Link, number: int, offer: Offer) -> InprocSide:
        side = InprocSide(
            self._node,
            link,
            number,
            offer=offer,
            counts=self._counted(link),
            forget=self._forget,
            ticks=self._ticks,
        )
        self._ends.setdefault(link, {})[side] = None
        return side

    def _has_room(self, link: Link) -> bool:
        """Whether there is room for one more stream, perhaps in the place of an unused one."""
        ends = self._ends.get(link, {})
        return len(ends) < self._max or any(side.unused_since is not None for side in ends)

    def _make_room(self, link: Link, most: int) -> bool:
        """Whether there are no more than `most` streams now; the longest unused go for it."""
        ends = self._ends.get(link, {})
        while len(ends) > most:
            unused = [(side.unused_since, side) for side in ends if side.unused_since is not None]
            if not unused:
                return False
            min(unused, key=lambda found: found[0])[1].evict(Abort.IDLE, "unused, and there are too many")
        return True

    def _counted(self, link: Link) -> StreamCounts:
        return self._counts.setdefault(link, StreamCounts())

    def _forget(self, side: InprocSide) -> None:
        ends = self._ends.get(side.link)
        if ends is not None:
            ends.pop(side, None)
            if not ends:
                del self._ends[side.link]

    def _withdraw(self, side: InprocSide) -> None:
        """Nobody waits for the answer any more."""
        if not side.ended:
            side.give_up()
            other = side.link.other(self._node)
            post(other.loop, other.streams.withdrawn, side)

    # -- what the other node calls: in this node's loop -----------------------------------------------------

    def offered(self, theirs: InprocSide, offer: Offer) -> None:
        """A peer asks for a stream."""
        link = theirs.link
        if link.ended or self._node.closed:
            return
        accept = self._services.get(offer.service)
        refused = None
        if self._node.leaving is not None:
            refused = Refused(Refusal.BUSY, f"{self._node.local_id} leaves")
        elif accept is None:
            refused = Refused(Refusal.REFUSED)
        elif not self._has_room(link):
            refused = Refused(Refusal.BUSY, f"{self._max} streams stand with you")
        if refused is not None or accept is None:
            self._counted(link).refused_here += 1
            post(link.other(self._node).loop, theirs.taken_or_refused, refused)
            return
        ours = self._new(link, theirs.number, offer)
        ours.peer, theirs.peer = theirs, ours
        answer = accept(offer, ours)
        refused = answer if isinstance(answer, Refused) else None
        # Nobody goes for one that is refused.
        if refused is None and not self._make_room(link, self._max):
            refused = Refused(Refusal.BUSY, f"{self._max} streams stand with you")
            ours.turn_down(Abort.REJECTED, "all others are in use by now")
        ours.answer_with(later=answer is Later.LATER and refused is None, refused=refused)

    def withdrawn(self, theirs: InprocSide) -> None:
        """The one who asked has gone."""
        if theirs.peer is not None:
            theirs.peer.peer_aborted(Abort.CANCELLED, "the open was cancelled")

    # -- what the node calls --------------------------------------------------------------------------------

    def link_ended(self, link: Link, error: Exception, closed: Exception | None) -> None:
        """All streams of that session are lost."""
        self._counts.pop(link, None)
        for side in list(self._ends.pop(link, ())):
            side.link_ended(closed if isinstance(closed, ManagerStateError) else error)

    def snapshot(self, link: Link | None) -> StreamsSnapshot | None:
        """The streams of a session; None if there never was one in it."""
        counts = self._counts.get(link) if link is not None else None
        return None if link is None or counts is None else snapshot_of(self._ends.get(link, {}), counts)

    def __repr__(self) -> str:
        return f"<streams of {self._node.local_id}: {self.standing} stand, {len(self._services)} services>"
