"""The lanes of the sides of one session: room, credit, acks, and what must be forgotten when. Acts on
`outproc.session.stream_lanes`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from outproc.session.log import Body
from outproc.session.receive_lane import Delivery
from outproc.streams.log_room import LogRoom
from outproc.streams.moves import State
from outproc.streams.side import OutprocSide

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport

READING = (State.OPENING, State.OPEN, State.WROTE, State.SENT)
"""More may come."""


class SideLanes:
    """See the module."""

    def __init__(self, transport: DestTransport, room: LogRoom) -> None:
        self._transport = transport
        self._node = transport.node
        self._lanes = transport.session.streams
        self._room = room
        self._arrivals: list[tuple[dict[int, int], asyncio.Future[None]]] = []
        """For each drain: up to where each stream must be acknowledged."""

    def open(self, side: OutprocSide) -> None:
        """Make both lanes of a side."""
        self._lanes.open(side.number)
        side.sends = side.receives = True
        if self._lanes.wire is None:
            self._transport.bind_lanes()

    # -- out ----------------------------------------------------------------------------------------

    def max_entry(self, side: OutprocSide) -> int:
        """Bytes of the largest entry that `write` takes now."""
        return self._lanes.max_entry(side.number)

    def write(self, side: OutprocSide, body: Body) -> bool:
        """Append an entry; False: there is no room, and the side is told when there is."""
        number, size = side.number, len(body)
        if not self._lanes.has_room(number, size):
            return False
        lane = self._lanes.send_lane(number)
        if not self._room.fits(lane, size):
            self._room.wait(side)
            return False
        self._lanes.append(number, body)
        self._room.settle(lane)
        side.bytes_out += size
        self._transport.outbound.arm()
        return True

    def take_roomy(self) -> list[int]:
        """Those that were refused room, and have some."""
        return self._lanes.take_roomy()

    def finish(self, side: OutprocSide) -> None:
        """Append the end."""
        self._lanes.finish(side.number)
        self._transport.outbound.arm()

    def unconfirmed(self, side: OutprocSide) -> int:
        """Entries that the peer has not confirmed."""
        return self._lanes.send_lane(side.number).unacked

    def buffered(self, side: OutprocSide) -> int:
        """Bytes that no wire has taken."""
        return self._lanes.send_lane(side.number).unsent_size

    def want_confirmed(self, side: OutprocSide) -> int:
        """Ask for acks of all that was written: up to which entry they must come; -1: they have."""
        confirmed = self._lanes.want_acks(side.number)
        self._transport.outbound.arm()
        return -1 if confirmed else self._lanes.send_lane(side.number).log.next_number

    def acked(self, side: OutprocSide) -> None:
        """An ack brought news."""
        if side.sends:
            lane = self._lanes.send_lane(side.number)
            self._room.settle(lane)
            self._arrived(side.number, lane.acked.number)
            side.acked(lane.acked.number)

    def drop_out(self, side: OutprocSide, *, confirmed: bool = False) -> None:
        """Send no more of it. `confirmed`: the peer has all."""
        if side.sends:
            side.sends = False
            lane = self._lanes.drop_sending(side.number)
            if lane is not None:
                self._room.forget(lane)
                self._arrived(side.number, lane.log.next_number)
                side.left_unconfirmed = 0 if confirmed else lane.unacked

    # -- in -----------------------------------------------------------------------------------------

    def consumed(self, side: OutprocSide, entries: int, size: int) -> None:
        """The user took so much. The lane is forgotten once nothing more can come, and all is read."""
        self._lanes.consumed(side.number, entries, size, self._node.now())
        if side.unread_entries <= 0 and side.entry.state not in READING:
            self.drop_in(side)
        self._transport.news()

    def ignore(self, delivery: Delivery) -> None:
        """What came is nobody's."""
        self._lanes.consumed(delivery.lane, len(delivery.bodies), delivery.size, self._node.now())

    def pause(self, side: OutprocSide) -> None:
        """Grant nothing more."""
        self._lanes.pause(side.number)

    def resume(self, side: OutprocSide) -> None:
        """Grant again."""
        if side.entry.state in READING:
            self._lanes.resume(side.number, self._node.now())
            self._transport.news()

    def keep_in(self, side: OutprocSide) -> None:
        """Nothing more comes; what came waits for its reader, and is charged until it is read."""
        if not side.unread_entries:
            self.drop_in(side)
        elif side.receives:
            self._lanes.pause(side.number)  # there is nothing to grant

    def drop_in(self, side: OutprocSide) -> None:
        """Take no more of it."""
        if side.receives:
            side.receives = False
            self._lanes.drop_receiving(side.number)

    # -- drain --------------------------------------------------------------------------------------

    def arrival(self, sides: list[OutprocSide]) -> asyncio.Future[None] | None:
        """For all that was written so far to be confirmed, or given up by an abort; None: it is."""
        ends = {}
        for side in sides:
            if side.sends and not self._lanes.want_acks(side.number):
                ends[side.number] = self._lanes.send_lane(side.number).log.next_number
        if not ends:
            return None
        future = self._node.loop.create_future()
        self._arrivals.append((ends, future))
        return future

    def _arrived(self, number: int, below: int) -> None:
        if not self._arrivals:
            return
        for ends, future in self._arrivals:
            if ends.get(number, below + 1) <= below:
                del ends[number]
            if not ends and not future.done():
                future.set_result(None)
        self._arrivals = [each for each in self._arrivals if not each[1].done()]

    def end(self, error: Exception) -> None:
        """The session is over: who drains gets `error`."""
        for _, future in self._arrivals:
            if not future.done():
                future.set_exception(error)
        self._arrivals.clear()
