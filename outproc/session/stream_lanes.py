"""The lanes of a session's streams: numbers from 16 on, made and forgotten as the driver says. Pure.

They are kept apart from the fixed lanes: JOIN, OK and final positions never name them, and nothing here costs a step
for a stream without news. All streams of a session are bound to one wire, together.

What a driver does, besides what `session` says:

- it opens a stream when it posts or accepts its OPEN (`open`), so that both lanes are there before anything can come;
- it binds all streams like one lane: `Session.bind(STREAMS, wire)`, whenever `wire` is None and a stream is there;
- it appends while there is room (`has_room`, `append`, `finish`), then flushes as usual; who was refused room is in
  `take_roomy` after frames were made or taken;
- what comes is in `Received`: `deliveries`, `notes` (a `Finished` is the end of the peer's half) and `acked`, with
  lanes from `STREAMS` on. Deliveries of one stream come in order, and its end behind them;
- it says what a reader took (`consumed`), and whether it wants more (`pause`, `resume`);
- it forgets each half when that is over (`drop_sending`, `drop_receiving`), or both at once when it is aborted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import Final

from litz.errors import ProtocolError
from outproc.frames.records import Ack, Batch, Credit, Fin, Skip
from outproc.session.control import Unsent
from outproc.session.cutting import CHUNKED_FROM, SMALLEST_CHUNK, FrameParts
from outproc.session.exchange import Received
from outproc.session.fixed_lanes import STREAMS
from outproc.session.limits import SessionLimits, StreamLimits
from outproc.session.log import Body
from outproc.session.receive_lane import Verdict
from outproc.session.send_lane import ENTRY_RECORD
from outproc.session.stream_send_lane import HEAD, StreamSendLane
from outproc.session.stream_window import StreamBudget, StreamReceiveLane
from outproc.session.taking import take_record

TURN: Final = CHUNKED_FROM + 1024
"""Bytes of one stream in a frame after which others have a turn, or a quarter of the frame if that is more."""

SPARE: Final = 128
"""This part of a frame is left beside a large entry: for control, and the heads of records."""


class StreamLanes:
    """See the module. `session.streams`."""

    def __init__(self, session: SessionLimits, limits: StreamLimits, unsent: Unsent) -> None:
        self.limits = limits
        self.budget = StreamBudget(limits.budget)
        """What all windows together may grow to; set its `shared` one before the first stream is opened."""
        self.sending: dict[int, StreamSendLane] = {}
        self.receiving: dict[int, StreamReceiveLane] = {}
        self.wire: Hashable | None = None
        """What carries all streams."""
        self.late = 0
        """Records for streams that were gone already."""
        self.sent_entries = 0
        """Entries ever handed to a wire, each once. With `acked_entries` the progress of all: neither goes back."""
        self.acked_entries = 0
        """Of these, what is acknowledged or forgotten."""
        self.sent_size = 0
        """Bytes that were handed to a wire and are not acknowledged, over all streams."""
        self.acked_size = 0
        """Bytes of which acks came, over all streams that were not forgotten before."""
        self._frame = 0
        """Bytes that one stream had in the latest frame, if it wanted them."""
        self._session = session
        self._unsent = unsent
        self._lane_limits: SessionLimits | None = None
        self._highest = [STREAMS - 2, STREAMS - 1]
        """The highest number that was opened, even and odd."""
        self.ready: OrderedDict[int, StreamSendLane] = OrderedDict()
        """Those that have something to send which credit allows, in turn."""
        self._roomy: list[int] = []
        self._epoch = 0

    # -- opening and forgetting -----------------------------------------------------------------------

    def open(self, number: int, *, window: int | None = None) -> None:
        """Make both lanes of a stream. `window`: bytes to which what the peer may send can grow, at most and by default
        that of the limits. Raises RuntimeError for a number that is in use."""
        if number < STREAMS or number in self.sending or number in self.receiving:
            raise RuntimeError(f"stream {number} cannot be opened")
        if self._lane_limits is None:
            self._lane_limits = _lane_limits(self._session, self.limits)
        most = self.limits.most_size if window is None else min(window, self.limits.most_size)
        self.sending[number] = StreamSendLane(number, self._lane_limits, self.limits)
        large = self.limits.large_entry
        self.receiving[number] = StreamReceiveLane(number, self._lane_limits, most, large, self.budget)
        self._highest[number & 1] = max(number, self._highest[number & 1])

    def send_lane(self, number: int) -> StreamSendLane:
        """The lane, to look at. Raises KeyError when it was forgotten."""
        return self.sending[number]

    def drop_sending(self, number: int) -> StreamSendLane | None:
        """Forget the half that sends, whatever it holds: the peer is done with it, or it is aborted. What was not sent
        never is. Returns it for a last look (`unacked`, `log`); None if it was forgotten before."""
        lane = self.sending.pop(number, None)
        if lane is not None:
            self.ready.pop(number, None)
            self.acked_entries += lane.high_water - min(lane.acked.number, lane.high_water)
            self.sent_size -= lane.sent_size
        return lane

    def drop_receiving(self, number: int) -> StreamReceiveLane | None:
        """Forget the half that receives, and all that was to be told of it: when its end came and everything was
        consumed, or when it is aborted. What still comes for it is ignored. None if it was forgotten before."""
        lane = self.receiving.pop(number, None)
        if lane is not None:
            self._unsent.forget(number)
            lane.release()
        return lane

    @property
    def unconfirmed(self) -> dict[int, int]:
        """Of each stream how many entries (its end counts) are not confirmed, but of those where all are."""
        return {number: lane.unacked for number, lane in self.sending.items() if lane.unacked}

    def close(self) -> None:
        """The session is over: the budget gets everything back. The lanes that send stay, to be looked at."""
        for lane in self.receiving.values():
            lane.release()
        self.receiving.clear()
        self.ready.clear()
        self.wire = None

    # -- sending --------------------------------------------------------------------------------------

    def max_entry(self, number: int) -> int:
        """Bytes of the largest entry that is worth to be appended now: what one frame carries, so that it is in one
        piece. More than is always allowed only where credit for it is here already, or a stream might wait for ever;
        or where as much is on its way, and so is credit: then it has no room yet."""
        limits = self.limits
        most = min(limits.large_entry, self._frame - self._frame // SPARE)
        if most <= limits.max_entry:
            return limits.max_entry
        lane = self.sending[number]
        return most if lane.sent_size >= most else max(limits.max_entry, min(most, lane.credit_left))

    def has_room(self, number: int, size: int) -> bool:
        """Whether the stream takes an entry of `size` bytes now. If not, it is in `take_roomy` once there is room, or
        perhaps for a smaller one."""
        lane = self.sending[number]
        lane.wants_room = not (lane.has_room(size) and lane.takes(size))
        return not lane.wants_room

    def append(self, number: int, body: Body) -> int:
        """Append one entry after `has_room` said yes. Returns its number. The buffers go out as they are, and must not
        change until they are acknowledged. Raises ValueError for one that no peer takes, RuntimeError after `finish`.
        """
        lane = self.sending[number]
        if not lane.takes(len(body)):
            raise ValueError(f"an entry of {len(body)} bytes is too large for a stream: see `max_entry`")
        entry = lane.log.append(body)
        if not lane.blocked:
            self.ready[number] = lane
        return entry

    def finish(self, number: int) -> int:
        """Append the end of the half that sends, behind all entries. Returns its number. Idempotent."""
        lane = self.sending[number]
        finished = lane.log.finished
        entry = lane.finish()
        if not (finished or lane.blocked):
            self.ready[number] = lane
        return entry

    def want_acks(self, number: int) -> bool:
        """Somebody waits until all that was appended is confirmed: the next frames of it ask for an ack at once (R9).
        Returns whether it is confirmed already; else the stream is in `Received.acked` when acks come."""
        lane = self.sending[number]
        lane.ack_wanted = lane.log.next_number
        return not lane.unacked

    def take_roomy(self) -> list[int]:
        """The streams that were refused room and have some now, each once."""
        if not self._roomy:
            return []
        roomy, self._roomy = self._roomy, []
        return roomy

    def _look_for_room(self, number: int, lane: StreamSendLane) -> None:
        if lane.wants_room and lane.has_room(self.limits.max_entry):
            lane.wants_room = False
            self._roomy.append(number)

    def bind(self, wire: Hashable, epoch: int) -> None:
        """Send all streams on `wire` from now on, each from its highest ack (R5, R7)."""
        self.wire = wire
        self._epoch = epoch
        for number, lane in self.sending.items():
            if lane.acked.number < lane.log.next_number:
                lane.cursor = lane.acked
                self.ready[number] = lane

    def leave(self, wire: Hashable) -> None:
        """The wire is gone."""
        if self.wire is wire:
            self.wire = None
        for lane in self.receiving.values():
            lane.unbind(wire)

    @property
    def waits(self) -> bool:
        """Whether anything could be sent that no wire has taken."""
        return bool(self.ready)

    def fill(self, out: FrameParts, budget: int) -> tuple[int, bool]:
        """Append what is next, of one stream after the other, within `budget` bytes. Returns the bytes used, and
        whether the frame asks for acks at once. The caller hands them to `wire` at once."""
        used, asks = 0, False
        turn = max(TURN, budget // 4 + 2 * HEAD)
        self._frame = budget if len(self.ready) == 1 else turn
        # Where an entry has room, it is not cut: to put it together again costs more than the rest of a frame.
        cut_from = CHUNKED_FROM if turn < self.limits.max_entry else budget
        ready = self.ready
        while ready:
            left = budget - used
            number, lane = next(iter(ready.items()))
            if left < ENTRY_RECORD + SMALLEST_CHUNK:
                break
            if used and not min(lane.next_size, cut_from) <= left:
                break
            lane.epoch = self._epoch
            charged, high = lane.charged_size, lane.high_water
            took = lane.fill(out, left if len(ready) == 1 else min(left, turn), cut_from=cut_from)
            used += took
            self.sent_size += lane.charged_size - charged
            self.sent_entries += lane.high_water - high
            if took:
                asks = lane.asks(took) or asks
                self._look_for_room(number, lane)
            if not lane.has_unsent or (lane.blocked and lane.held_back):
                del ready[number]
            elif not took:
                break
            else:
                ready.move_to_end(number)
        return used, asks

    # -- receiving ------------------------------------------------------------------------------------

    def take(
        self, wire: Hashable, record: Batch | Skip | Fin, received: Received, now: float, *, ack_now: bool
    ) -> Verdict:
        """Data of a stream came. Raises ProtocolError if there never was such a stream, or it breaks the rules."""
        lane = self.receiving.get(record.lane)
        if lane is None:
            self._gone(record.lane)
            return Verdict.TAKEN
        if isinstance(record, Skip):
            raise ProtocolError(f"a gap on stream {record.lane}")
        if isinstance(record, Batch) and (record.correlations or record.keys or record.origins):
            raise ProtocolError(f"an entry of stream {record.lane} with more than its payload")
        verdict = take_record(lane, wire, record, received)
        if verdict is Verdict.TAKEN:
            at_once = ack_now or lane.acks_at_once
            self._unsent.ack(record.lane, now if at_once else now + self._session.ack_delay)
        return verdict

    def acknowledge(self, ack: Ack) -> bool:
        """An ack of a stream came. Returns whether it is news."""
        lane = self.sending.get(ack.lane)
        if lane is None:
            self._gone(ack.lane)
            return False
        before, trimmed = lane.acked.number, lane.log.trimmed
        if not lane.acknowledge(ack):
            return False
        self.acked_entries += lane.acked.number - before
        freed = lane.log.trimmed - trimmed
        self.sent_size -= freed
        self.acked_size += freed
        if not lane.has_unsent:
            self.ready.pop(ack.lane, None)
        self._look_for_room(ack.lane, lane)
        return True

    def allow(self, credit: Credit) -> None:
        """A credit of a stream came."""
        lane = self.sending.get(credit.lane)
        if lane is None:
            self._gone(credit.lane)
        elif lane.allow(credit.messages, credit.size):
            self._look_for_room(credit.lane, lane)
            if lane.blocked:
                lane.blocked = False
                self.ready[credit.lane] = lane

    def _gone(self, number: int) -> None:
        """Something came for a stream that is not there. Raises ProtocolError if it never was."""
        if number > self._highest[number & 1]:
            raise ProtocolError(f"there is no lane {number}: no such stream was ever opened")
        self.late += 1

    # -- the reader -----------------------------------------------------------------------------------

    def consumed(self, number: int, entries: int, size: int, now: float) -> None:
        """The reader took so much more of what was delivered. The peer hears of it, soon or at once (R10). For a half
        that is forgotten this, and what follows, does nothing."""
        lane = self.receiving.get(number)
        if lane is not None:
            lane.took(entries, size, now)
            self._tell_credit(number, lane, now)

    def pause(self, number: int) -> None:
        """Grant nothing beyond what was granted, whatever is consumed."""
        lane = self.receiving.get(number)
        if lane is not None:
            lane.paused = True

    def resume(self, number: int, now: float) -> None:
        """Take back `pause`."""
        lane = self.receiving.get(number)
        if lane is not None:
            lane.paused = False
            self._tell_credit(number, lane, now)

    def _tell_credit(self, number: int, lane: StreamReceiveLane, now: float) -> None:
        urgent = lane.news()
        if urgent is not None:
            self._unsent.credit(number, now if urgent else now + self._session.ack_delay, session=False)

    def restate(self, by: float) -> None:
        """What was told of streams may be lost, or was never told on a wire that has joined: tell it again (R8)."""
        for number, lane in self.receiving.items():
            if lane.has_told:
                self._unsent.ack(number, by)
                if not lane.finished:
                    self._unsent.credit(number, by, session=False)


def _lane_limits(session: SessionLimits, streams: StreamLimits) -> SessionLimits:
    """The limits of each lane of a stream, shared by all."""
    return replace(
        session,
        window_messages=streams.first_entries,
        window_size=streams.first_size,
        session_window_size=max(session.session_window_size, streams.first_size),
        max_message=streams.max_entry,
    )
