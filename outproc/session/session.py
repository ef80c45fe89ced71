"""One session: its lanes, the wires that joined it, and the frames between. Pure.

The driver calls a method for everything that happens and acts on what it returns, in the same turn:

- a wire proved itself: `complete` (a new pair), `join`, then `bind` lanes to wires by its own policy;
- a frame came: `receive`; then `next_frame` for every wire while it is writable, because news may be due;
- a message is to be sent: `send_lanes[n].admit` and `append`; `next_frame` before the loop's turn ends;
- a wire died: `leave`, then `bind` the lanes it carried to another one;
- the time `due` has come: `next_frame`;
- the consumer made progress: `consumed`.

Keeps R5 to R10 across lanes; R1 to R3 and R13 are in `pairing`, R4 and R14 also in `tombstones`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from zlib import crc32

from litz.errors import ProtocolError
from litz.events import Outcome
from outproc.frames.encode import frame_header
from outproc.frames.layout import ACK_NOW
from outproc.frames.pieces import decode
from outproc.frames.records import (
    Ack,
    Batch,
    Closed,
    Credit,
    Fin,
    Goodbye,
    Leave,
    Lossy,
    Ping,
    Pong,
    SessionCredit,
    Skip,
)
from outproc.session.bulk_frame import SIGNAL_IN_USE, BulkFrame
from outproc.session.control import NOTHING, Unsent
from outproc.session.cutting import CHUNKED_FROM, FrameParts
from outproc.session.ending import HEADER, dismissal, farewell, unconfirmed
from outproc.session.exchange import Early, JoinedWire, Received, Statement, has_news
from outproc.session.faults import Faults
from outproc.session.fixed_lanes import FIXED_LANES, LOSSY_LANE, PRIORITY_LANES, SIGNAL_LANE, STREAMS
from outproc.session.identity import Half, Pair
from outproc.session.internal_lanes import lane_in, lane_out
from outproc.session.lanes_at_start import lanes_in, lanes_out
from outproc.session.limits import Overflow, SessionLimits, StreamLimits
from outproc.session.lossy_lane import LossyReceiveLane, LossySendLane
from outproc.session.receive_lane import ReceiveCredit, Verdict
from outproc.session.send_lane import SendCredit
from outproc.session.stream_lanes import StreamLanes
from outproc.session.taking import take_record
from outproc.session.tombstones import Finals

__all__ = ["FIXED_LANES", "LOSSY_LANE", "PRIORITY_LANES", "SIGNAL_LANE", "Received", "Session", "Statement"]

MAX_PONGS = 4
"""Pings, and answers to pings, that wait for a frame of one wire."""
ROOM_TO_SPARE = CHUNKED_FROM + 1024
"""With so much room left in a frame nothing waits for the next: what comes next would be in it, or have begun in it."""


class Session:
    """See the module. `index` counts this manager's sessions with the dest."""

    def __init__(
        self,
        mine: Half,
        limits: SessionLimits,
        *,
        index: int = 0,
        overflow: Mapping[int, Overflow] | None = None,
        streams: StreamLimits | None = None,
    ) -> None:
        self.mine = mine
        self.limits = limits
        self.index = index
        self.pair: Pair | None = None
        self.tag = 0
        self.ended = False
        self.final = False
        """Final positions were stated: no more data is taken on any wire (R4), and none is sent."""
        self.peer_max_message = limits.max_message  # lower once the peer has said so
        self.wires: dict[Hashable, JoinedWire] = {}
        self.send_credit = SendCredit()
        self.receive_credit = ReceiveCredit(limits.session_window_size)
        self.send_lanes = lanes_out(limits, overflow or {}, self.send_credit)
        self.receive_lanes = lanes_in(limits, self.receive_credit)
        self.lossy_out = LossySendLane(LOSSY_LANE, limits)
        self.lossy_in = LossyReceiveLane(LOSSY_LANE, limits.max_message)
        self.unsent = Unsent()
        self.streams = StreamLanes(limits, streams or StreamLimits(), self.unsent)
        self._bulk = BulkFrame(limits.bulk_frame)
        self.peer_log_messages = 1
        self.peer_log_size = 1
        self.faults = Faults(limits.max_faults, limits.forgiven_after)
        self.stale_batches = 0
        self.said_all = False
        """Whether the last frame surely left nothing for its wire: no need to ask for one more."""
        self._heard: Hashable | None = None
        """The dependable wire that carried a frame last: control goes there, since a silent one may be half open."""
        self._epoch = 0
        self._signal_at = float("-inf")

    # -- the pair -----------------------------------------------------------------------------------

    def complete(self, theirs: Half) -> None:
        """The pair of halves is complete: data may travel."""
        if self.pair is not None:
            raise RuntimeError("this session is paired already")
        self.pair = Pair(self.mine, theirs)
        low, high = sorted(self.pair)
        self.tag = crc32(f"{low}|{high}".encode())

    def statement(self) -> Statement:
        """What to state in a JOIN or OK. Stating a grant grants it."""
        grants = tuple(Credit(lane.lane, *lane.grant()) for lane in self.receive_lanes.values())
        return Statement(
            self.finals(), grants, self.receive_credit.grant(), self.limits.log_messages, self.limits.log_size
        )

    def finals(self) -> tuple[Ack, ...]:
        """The positions of all lanes received. Once sent or stored as final, take nothing more (R4)."""
        return tuple(
            Ack(lane.lane, lane.expected, lane.processed, lane.durable) for lane in self.receive_lanes.values()
        )

    # -- wires --------------------------------------------------------------------------------------

    def join(self, wire: Hashable, max_frame: int, stated: Statement | None, *, dependable: bool = True) -> list[int]:
        """Take a proved wire in, with what the peer stated. Returns the lanes with news from it.

        On resume the dialler takes it in with its JOIN, before the peer stated anything (None), and again with the OK.
        Ping it then: before it has answered it takes little (R1). An old statement changes nothing (R7). Raises
        ProtocolError for positions that were never sent; then the wire has not joined (or must leave, if it had).
        """
        if self.pair is None or self.ended:
            raise RuntimeError("a wire joins a session that is paired and has not ended")
        acked = self._take_statement(stated) if stated is not None else []
        if wire not in self.wires:
            self.wires[wire] = JoinedWire(max_frame, wire, Early(self.limits.early_size), dependable=dependable)
        return acked

    def join_strand(self, strand: Hashable, wire: Hashable) -> JoinedWire:
        """Take in the second strand of a joined `wire`, once: it keeps an order of its own, so that lanes take it for a
        wire of its own (R5, R6). It leaves with its wire. Do so when the peer was heard on the wire since it joined."""
        if strand not in self.wires:
            joined = self.wires[wire]
            joined.strand = strand
            self.wires[strand] = JoinedWire(joined.max_frame, wire, joined.early, dependable=joined.dependable)
        return self.wires[strand]

    def _take_statement(self, stated: Statement) -> list[int]:
        acked = [ack.lane for ack in stated.positions if self._acknowledge(ack)]
        for credit in stated.credits:
            self._allow(credit)
        self.send_credit.limit = max(self.send_credit.limit, stated.session_credit)
        self.peer_log_messages = max(1, stated.log_messages)
        self.peer_log_size = max(1, stated.log_size)
        return acked

    def leave(self, wire: Hashable, now: float) -> None:
        """The wire is gone: its lanes wait for `bind`, and all control it may have carried is unsent (R8)."""
        joined = self.wires.pop(wire, None)
        if joined is None:
            return
        if joined.strand is not None:
            self.leave(joined.strand, now)
        for lane in self.send_lanes.values():
            if lane.wire is wire:
                lane.unbind()
        for receiving in self.receive_lanes.values():
            receiving.unbind(wire)
        if self.lossy_out.wire is wire:
            self.lossy_out.wire = None
        self.streams.leave(wire)
        if self._heard is wire:
            self._heard = None
        if joined.dependable:
            self.unsent.everything(self.receive_lanes, now + self.limits.ack_delay)
            self.streams.restate(now + self.limits.ack_delay)

    def bind(self, lane: int, wire: Hashable) -> None:
        """Send `lane` (STREAMS: all streams) on `wire` from now on; replays from the highest ack (R5)."""
        if wire not in self.wires:
            raise RuntimeError("only a joined wire can carry a lane")
        if lane == LOSSY_LANE:
            self.lossy_out.wire = wire
            return
        if not self.wires[wire].dependable:
            raise RuntimeError("a reliable lane rides only on a wire that keeps order and loses nothing")
        self._epoch += 1
        if lane == STREAMS:
            self.streams.bind(wire, self._epoch)
        else:
            self.send_lanes[lane].bind(wire, self._epoch)

    # -- receiving ----------------------------------------------------------------------------------

    def receive(self, wire: Hashable, frame: bytes, now: float, strand: Hashable | None = None) -> Received:
        """Take one frame, from `wire` or its second `strand`. One of another pair, or after the end, brings nothing.

        Raises ProtocolError for a frame that cannot be decoded: the peer loses this wire for it.
        """
        flags, tag, records = decode(frame)
        received = Received(only_data=all(isinstance(record, Batch) for record in records))
        joined = self.wires.get(wire)
        if joined is None or tag != self.tag or self.ended:
            return received
        self._heard = wire if joined.dependable else self._heard
        if strand is not None:
            # The peer has joined, or it could not send this; our OK or its own may be behind it.
            joined = self.join_strand(strand, wire)
            wire = strand
        if self.final:
            records = [record for record in records if not isinstance(record, Batch | Skip | Fin | Lossy)]
        ack_now = bool(flags & ACK_NOW)
        try:
            for record in records:
                if isinstance(record, Batch | Skip | Fin):
                    self._take(wire, record, received, now, ack_now=ack_now)
                elif isinstance(record, Ack):
                    if self._acknowledge(record):
                        received.acked.append(record.lane)
                elif isinstance(record, Ping):
                    # A peer that pings faster than we can answer gets the newest answers only.
                    joined.pongs = [*joined.pongs, record.token][-MAX_PONGS:]
                else:
                    self._take_other(record, received)
        except ProtocolError as error:
            # What came before the bad record was taken, so it must be delivered.
            received.violation = error
        if received.pongs or not joined.dependable:  # where the pong may be lost, any frame of the peer's will do
            self._proved(joined, now)
        if received.deliveries or received.acked:
            self.faults.progressed(now)
        return received

    def _proved(self, joined: JoinedWire, now: float) -> None:
        """The peer has joined the wire for sure."""
        if joined.early.left is not None:
            joined.early.left = None
            if joined.dependable:
                self.streams.restate(now)  # what JOIN and OK say of the other lanes

    def _take_other(
        self, record: Credit | SessionCredit | Lossy | Pong | Leave | Goodbye | Closed, received: Received
    ) -> None:
        if isinstance(record, Credit):
            self._allow(record)
        elif isinstance(record, SessionCredit):
            self.send_credit.limit = max(self.send_credit.limit, record.size)
        elif isinstance(record, Lossy):
            if record.lane != LOSSY_LANE:
                raise ProtocolError(f"lane {record.lane} is not a latency-first lane")
            delivery = self.lossy_in.take(record)
            if delivery is not None:
                received.deliveries.append(delivery)
        elif isinstance(record, Pong):
            received.pongs.append(record.token)
        elif isinstance(record, Leave):
            received.leave = record.reason
        else:
            received.end = record

    def _take(
        self, wire: Hashable, record: Batch | Skip | Fin, received: Received, now: float, *, ack_now: bool
    ) -> None:
        lane = self.receive_lanes.get(record.lane)
        if lane is None:
            if record.lane >= STREAMS:
                self.stale_batches += self.streams.take(wire, record, received, now, ack_now=ack_now) is Verdict.OLD
                return
            lane = lane_in(self.receive_lanes, record.lane)
        verdict = take_record(lane, wire, record, received)
        if verdict is not Verdict.TAKEN:
            self.stale_batches += verdict is Verdict.OLD
            return
        if lane.lane == SIGNAL_LANE:
            self._signal_at = now
        if ack_now:
            lane.ack_now_below = lane.expected.number
        urgent = (
            ack_now
            or lane.unacked_size * 4 >= self.peer_log_size
            or lane.unacked_messages * 4 >= self.peer_log_messages
        )
        self.unsent.ack(lane.lane, now if urgent else now + self.limits.ack_delay)

    def _acknowledge(self, ack: Ack) -> bool:
        if ack.lane >= STREAMS:
            return self.streams.acknowledge(ack)
        return lane_out(self.send_lanes, ack.lane).acknowledge(ack)

    def _allow(self, credit: Credit) -> None:
        if credit.lane >= STREAMS:
            self.streams.allow(credit)
        else:
            lane_out(self.send_lanes, credit.lane).allow(credit.messages, credit.size)

    def consumed(self, lane: int, messages: int, size: int, processed: int, now: float) -> None:
        """The consumer is done with `messages` of `size` bytes of `lane`, in all, and with every number below
        `processed`. That is news for the peer, at once if it was asked for or half a window is free."""
        receive_lane = self.receive_lanes[lane]
        if messages == receive_lane.consumed_messages and processed <= receive_lane.processed:
            return
        asked = receive_lane.processed < receive_lane.ack_now_below
        urgent = receive_lane.consumed(messages, size, processed)
        by = now if urgent or asked else now + self.limits.ack_delay
        self.unsent.credit(lane, by, session=receive_lane.session_credit is not None)
        self.unsent.ack(lane, by)

    # -- sending ------------------------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When `next_frame` must be called although nothing else happens; None if that would bring nothing."""
        speaks = not self.final and any(joined.dependable for joined in self.wires.values())
        return self.unsent.due if speaks else None

    def ping(self, wire: Hashable, token: int) -> None:
        """Have the next frame on `wire` ask for a pong."""
        joined = self.wires.get(wire)
        if joined is not None:
            joined.pings = [*joined.pings, token][-MAX_PONGS:]

    def next_frame(self, wire: Hashable, now: float, most: int = 1 << 30) -> FrameParts | None:
        """The next frame for `wire`, of at most `most` bytes, as buffers to write unjoined; None: there is none now.

        Data of the lanes bound to it, signals first; control rides on every frame, and goes alone when due.
        """
        joined = self.wires.get(wire)
        if joined is None or self.ended or self.final or not has_news(wire, joined, self):
            return None
        out: FrameParts = [b""]
        large = joined.strand is not None or now - self._signal_at > SIGNAL_IN_USE
        full = self._bulk.size(now, self.streams.acked_size) if large else self.limits.batch_size
        budget = min(joined.max_frame, most, full) - HEADER
        budget -= joined.take_records(out, budget // 2)
        speaks = joined.dependable and (self._heard is None or self._heard is joined.of)
        alone = len(out) > 1 or (speaks and self.unsent.due is not None and self.unsent.due <= now)
        control = self.unsent.choose(budget // 2) if speaks else NOTHING
        budget -= control.size
        room = joined.early.room(budget)
        ack_now, left = self._fill(wire, joined, out, room, now)
        if left == room and not alone:
            return None
        joined.early.took(room - left)
        told = control.encode(self.receive_lanes, self.receive_credit, self.streams.receiving)
        out[0] = frame_header(self.tag, ack_now) + told
        self.unsent.sent(control)
        waits = self.lossy_out.queue or self.streams.ready
        self.said_all = left >= ROOM_TO_SPARE and not (self.unsent or joined.asks or waits)
        return out

    def _fill(self, wire: Hashable, joined: JoinedWire, out: FrameParts, budget: int, now: float) -> tuple[bool, int]:
        ack_now = False
        for number in joined.in_turn():
            used, lane = 0, self.send_lanes.get(number)
            if lane is not None:
                used = lane.fill(out, budget) if lane.wire is wire and lane.has_unsent else 0
                ack_now = (used > 0 and joined.asking.asks(lane, used)) or ack_now
            elif number == LOSSY_LANE:
                lossy = self.lossy_out
                used = lossy.fill(out, budget, joined.max_frame - HEADER) if lossy.wire is wire else 0
            elif number == STREAMS and self.streams.wire is wire:
                used, asks = self.streams.fill(out, budget)
                ack_now = asks or ack_now
            if used:
                budget -= used
                joined.had_room(number)
                if number == SIGNAL_LANE:
                    self._signal_at = now
        return ack_now, budget

    # -- the end ------------------------------------------------------------------------------------

    def farewell(self, reason: int, detail: str, max_frame: int, *, answer: bool = False) -> FrameParts:
        """The frame that ends the session, with as many final positions as `max_frame` bytes take; from now on no data
        is taken nor sent. Write it, then `end` with the peer's: at once if they are known from its Goodbye, else when
        its Closed comes (`Received.end`), or with None when it does not come in time. Said again it states the same.
        """
        self.final = True
        return farewell(self.tag, reason, detail, self.finals(), max_frame, answer=answer)

    def dismissal(self, reason: int) -> FrameParts:
        """The frame that takes one wire out of the session. After it call `leave`."""
        return dismissal(self.tag, reason)

    def end(self, finals: Finals | None) -> list[tuple[int, int, Outcome]]:
        """The session is over. Returns (lane, number, outcome) of every message of the user's that is not confirmed.
        Of streams it is in `streams.unconfirmed` how many entries are not.

        `finals`: the peer's final positions, None if they are not known. Nothing is taken any more.
        """
        self.ended = True
        self.wires.clear()
        self.streams.close()
        return unconfirmed(self.send_lanes.values(), finals)
