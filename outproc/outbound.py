"""The sending side of one dest: admission, waiting for space, the flush, and confirmations.

One flush per turn of the loop hands everything accepted in that turn to the wires. Appending costs no task, no
future and no timer; a sender waits only when a log is full.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat

from litz.errors import (
    BackpressureError,
    LitzError,
    MessageDroppedError,
    MessageTooLargeError,
    SessionEndedError,
)
from litz.events import DropReason, MessagesDropped
from litz.message import Channel, Receipt
from litz.payload import REPLY_LANE
from outproc.confirmations import Confirmations, Level
from outproc.local_node import LocalNode
from outproc.session.admission import WAITING
from outproc.session.fixed_lanes import FIXED_LANES, RPC_LANE, STREAMS
from outproc.session.limits import Overflow
from outproc.session.log import Body, EntryDetail, Gap
from outproc.session.resending import NOTHING, Carried
from outproc.session.send_lane import Admission, SendLane
from outproc.session.session import LOSSY_LANE, Session
from outproc.session.tombstones import Finals
from outproc.space_line import Place

SMALL = 1024
"""Messages up to this size may be accepted without a closer look."""


class Outbound:
    """Sends what is accepted for one dest, through whatever session it has."""

    def __init__(
        self,
        node: LocalNode,
        dest: str,
        session: Session,
        *,
        write: Callable[[float], None],
        overflowed: Callable[[str], SessionEndedError],
        dropped: Callable[[Receipt, MessageDroppedError], None],
    ) -> None:
        self._node = node
        self._dest = dest
        self._write = write
        self._overflowed = overflowed
        self._on_dropped = dropped
        self._armed: asyncio.Handle | None = None
        self._spaces: dict[int, deque[Place]] = {}
        self.closed: LitzError | None = None
        """What new messages get; None: they are accepted."""
        self._answers_go = False
        self._waiting_for_budget = False
        self.session = session
        self.channels: dict[int, Channel] = {}
        self.confirmations: dict[int, Confirmations] = {}
        self.use(session)

    def use(self, session: Session) -> None:
        """Send through `session` from now on. Those who wait for space go on with it."""
        self._node.fast.pop(self._dest, None)
        self.session = session
        self.channels = {lane: Channel(self._dest, session.index, lane) for lane in session.send_lanes}
        self.channels[LOSSY_LANE] = Channel(self._dest, session.index, LOSSY_LANE)
        for number, send_lane in session.send_lanes.items():
            if send_lane.log.count:  # of the session before, to be sent again
                self._node.budget_of(send_lane).settle(send_lane)
                if number in self.confirmations:
                    send_lane.ack_wanted = self.confirmations[number].highest + 1
        for lane in list(self._spaces):
            self.wake(lane)

    # -- accepting ----------------------------------------------------------------------------------

    def accept(self, lane_number: int, body: Body, detail: EntryDetail | None, *, first: bool) -> Receipt | None:
        """Accept one message now; None: wait for space. `first`: the caller is the first of those who wait.

        Raises `BackpressureError`, `PeerClosedError` when the dest is being closed, and `SessionEndedError` for a lane
        whose policy is to end the session.
        """
        if self.closed is not None and not (self._answers_go and lane_number == REPLY_LANE):
            raise self.closed.with_traceback(None)
        if len(body) > self.session.peer_max_message:
            raise MessageTooLargeError(
                f"{self._dest} takes messages of at most {self.session.peer_max_message} bytes and this one has "
                f"{len(body)}; cut it into several, or raise max_message there"
            )
        if lane_number == LOSSY_LANE:
            number = self.session.lossy_out.append(body)
            self.arm()
            return self.receipt(lane_number, number)
        lane = self.session.send_lanes[lane_number]
        self._close_quota(lane)
        if self._spaces.get(lane_number) and not first and lane.overflow in WAITING:
            return None
        budget = self._node.log_budget
        budget.settle(lane)
        budget.make_room(len(body))
        admission, dropped = lane.admit(len(body), detail.key if detail is not None else None, budget.left)
        if dropped:
            budget.settle(lane)
            self._tell_dropped(lane, dropped)
        # One answer for each dest goes beyond what the process may log: a handler that waits with its answer until
        # others have read, and so does not read what they send, would make them wait for it in a circle.
        must_go = lane_number == REPLY_LANE and not lane.log.count
        if admission is Admission.ACCEPT and not (must_go or budget.fits(len(body))):
            admission = Admission.WAIT if lane.overflow in WAITING else Admission.REFUSE
            self._wait_for_budget()
        match admission:
            case Admission.WAIT:
                return None
            case Admission.REFUSE:
                full = self.what_is_full(lane_number, len(body))
                raise BackpressureError(f"{full} and the policy of lane {lane_number} is to refuse; try again later")
            case Admission.FAIL:
                raise self._overflowed(f"the log of lane {lane_number} is full and its policy is to fail")
            case _:
                number = lane.append(body, detail)
                budget.settle(lane)
        if admission is Admission.DROP:
            lane.discard(number, DropReason.NEWEST)
            self._tell_dropped(lane, [(number, DropReason.NEWEST)])
        self.arm()
        if lane.unflushed_messages > 1 and not lane.batch_is_full:
            self._open_quota(lane)  # a second one in the same turn of the loop: more may follow
        return self.receipt(lane_number, number)

    def what_is_full(self, lane: int, size: int) -> str:
        """Why a message of `size` bytes is not accepted now, in words."""
        budget, send_lane = self._node.log_budget, self.session.send_lanes[lane]
        if send_lane.fits(size) and not budget.fits(size):
            return f"all logs of this manager hold {budget.used} of {budget.limit} bytes (process_log_size)"
        log = send_lane.log
        return f"the log of lane {lane} to {self._dest} is full ({log.count} messages, {log.size} bytes)"

    def receipt(self, lane: int, number: int) -> Receipt:
        return (self.channels[lane], number)

    def _open_quota(self, lane: SendLane) -> None:
        """Let the fast path append until the next flush, within all limits. Not while somebody waits: it
        would overtake. Not on lanes whose policy has to look at every message."""
        if lane.overflow is not Overflow.BLOCK or self._spaces.get(lane.lane):
            return
        if lane.lane != RPC_LANE or self.session.peer_max_message < SMALL:
            return
        budget = self._node.log_budget
        limits = self.session.limits
        # As many as make about one batch of the size that messages had lately.
        average = max(1, lane.unflushed_size // max(1, lane.unflushed_messages))
        messages = min(limits.batch_messages, max(16, limits.flush_size // average)) - lane.unflushed_messages - 1
        # A quota takes at most an eighth of what is left: the senders of other dests want theirs.
        quota = lane.open_quota(messages, budget.left >> 3, SMALL)
        if quota is not None:
            # Held back from others until the quota is closed, so that no flush finds the process over its limit.
            budget.reserve(lane, len(quota.numbers) * SMALL, partial(self._close_quota, lane))
            receipts = zip(repeat(self.channels[RPC_LANE]), quota.numbers, strict=False)
            self._node.fast[self._dest] = (receipts, quota.bodies)

    def begin_batch(self, lane: int) -> None:
        """After a flush made for a full batch: what a tight loop sends next may go the fast way at once."""
        if lane == RPC_LANE and self.closed is None:
            send_lane = self.session.send_lanes[lane]
            self._close_quota(send_lane)
            self._open_quota(send_lane)
            self.arm()

    def _close_quota(self, lane: SendLane) -> None:
        if lane.lane == RPC_LANE:
            self._node.fast.pop(self._dest, None)
        if lane.close_quota():
            self._node.log_budget.release(lane)

    def _tell_dropped(self, lane: SendLane, dropped: Iterable[tuple[int, DropReason]]) -> None:
        confirmations = self.confirmations.get(lane.lane)
        for number, reason in dropped:
            self._node.emit(MessagesDropped(self._dest, lane.lane, number, number, reason))
            error = self._dropped_error(lane.lane, number, reason)
            self._on_dropped(self.receipt(lane.lane, number), error)
            if confirmations is not None:
                confirmations.fail(number, error)

    def _dropped_error(self, lane: int, number: int, reason: DropReason) -> MessageDroppedError:
        return MessageDroppedError(
            f"message {number} of lane {lane} to {self._dest} was dropped by the lane's policy "
            f"({reason.name.lower()}) before it was transmitted; choose another policy, or send it again"
        )

    def peer_takes(self, max_message: int) -> None:
        """The peer of the new session has said what it takes. What was accepted before, and is larger, is dropped: it
        could only ever cost the peer's wires."""
        session = self.session
        session.peer_max_message = min(max_message, session.limits.max_message)
        if max_message >= session.limits.max_message:
            return
        session.lossy_out.discard_above(max_message)
        for number, lane in session.send_lanes.items():
            self._close_quota(lane)
            large = [number for number in lane.log.messages() if lane.log.body_size(number) > max_message]
            self.drop(number, large, DropReason.TOO_LARGE)

    def drop(self, lane: int, numbers: Sequence[int], reason: DropReason) -> None:
        """Drop messages of `lane` that were never transmitted in this session, and say so."""
        send_lane = self.session.send_lanes[lane]
        for number in numbers:
            send_lane.discard(number, reason)
        self._tell_dropped(send_lane, [(number, reason) for number in numbers])

    # -- waiting for space --------------------------------------------------------------------------

    async def accept_in_turn(self, lane: int, body: Body, detail: EntryDetail | None) -> Receipt:
        """Accept one message, waiting for space first come, first served. Cancelled before, it is not sent at all."""
        receipt = self.accept(lane, body, detail, first=False)
        if receipt is not None:
            return receipt
        place = Place()
        line = self._spaces.setdefault(lane, deque())
        line.append(place)
        try:
            while True:
                place.turn = self._node.loop.create_future()
                await place.turn
                # All may have been woken at once: who is behind must not find room that the first has not.
                receipt = self.accept(lane, body, detail, first=True) if line[0] is place else None
                if receipt is not None:
                    return receipt
        finally:
            line.remove(place)
            if line:
                self.wake(lane)
            else:
                self._spaces.pop(lane, None)

    def wake(self, lane: int) -> None:
        """There may be space in `lane`: its first in line looks."""
        line = self._spaces.get(lane)
        if line:
            line[0].go()

    def _wait_for_budget(self) -> None:
        if not self._waiting_for_budget:
            self._waiting_for_budget = True
            self._node.log_budget.on_room(self._budget_has_room)

    def _budget_has_room(self) -> None:
        self._waiting_for_budget = False
        for lane in list(self._spaces):
            self.wake(lane)

    # -- flushing -----------------------------------------------------------------------------------

    def arm(self) -> None:
        """Flush at the end of this turn of the loop."""
        if self._armed is None:
            self._armed = self._node.loop.call_soon(self.flush)

    def disarm(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def flush(self) -> None:
        """Hand over now what the wires take."""
        self.disarm()
        lanes = self.session.send_lanes
        self._close_quota(lanes[RPC_LANE])  # no other lane ever has one
        for lane in lanes.values():
            if lane.unflushed_messages:
                lane.flushed()
                self._node.log_budget.settle(lane)
        self._write(self._node.now())

    def take_stock(self) -> None:
        """Count what was accepted since the last flush without a closer look."""
        for lane in self.session.send_lanes.values():
            self._close_quota(lane)
            self._node.budget_of(lane).settle(lane)

    # -- acks ---------------------------------------------------------------------------------------

    def acked(self, lanes: Iterable[int]) -> None:
        """Acks brought news for `lanes`."""
        for number in lanes:
            if number >= STREAMS:
                self._node.streams.acked(self._dest, number)
                continue
            lane = self.session.send_lanes[number]
            self._node.budget_of(lane).settle(lane)
            confirmations = self.confirmations.get(number)
            if confirmations is not None:
                confirmations.confirmed("received", lane.acked.number)
                confirmations.confirmed("drained", lane.acked.number)
                confirmations.confirmed("processed", lane.processed)
                confirmations.confirmed("durable", lane.durable)
            self.wake(number)

    @property
    def holds_messages(self) -> bool:
        """Whether anything that was accepted is not confirmed yet."""
        return any(self.session.send_lanes[number].log.count for number in FIXED_LANES)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for space: the dest is wanted even if it is never dialled from here."""
        return any(self._spaces.values())

    def batch_is_full(self, lane: int) -> bool:
        """Whether as much was accepted since the last flush as one flush should hold."""
        if lane == LOSSY_LANE:
            return False
        send_lane = self.session.send_lanes[lane]
        self._close_quota(send_lane)
        return send_lane.batch_is_full

    def confirmation(self, receipt: Receipt, level: Level) -> asyncio.Future[None] | None:
        """A future for the message of `receipt`, of the current session, to reach `level`; None if it has."""
        lane_number, number = receipt[0].lane, receipt[1]
        lane = self.session.send_lanes[lane_number]
        if level != "drained":
            self.check_kept(receipt)
        reached = {"processed": lane.processed, "durable": lane.durable}.get(level, lane.acked.number)
        if number < reached:
            return None
        lane.ack_wanted = max(lane.ack_wanted, number + 1)
        future: asyncio.Future[None] = self._node.loop.create_future()
        self.confirmations.setdefault(lane_number, Confirmations()).add(number, level, future)
        return future

    def check_kept(self, receipt: Receipt) -> None:
        """Raises `MessageDroppedError` if the message just accepted was dropped in the same moment."""
        log = self.session.send_lanes[receipt[0].lane].log
        segment = log.segments[log.locate(receipt[1])]
        if isinstance(segment, Gap) and segment.first <= receipt[1] <= segment.last:
            raise self._dropped_error(receipt[0].lane, receipt[1], segment.reason)

    def unconfirmed_ends(self) -> list[asyncio.Future[None]]:
        """Futures for the last entry of every lane to be received: what `drain` waits for. Give them to `all_of`."""
        futures = [
            self.confirmation(self.receipt(number, lane.log.next_number - 1), "drained")
            for number, lane in self.session.send_lanes.items()
            if lane.log.next_number and number in self.channels
        ]
        return [future for future in futures if future is not None]

    def session_ended(self, error: SessionEndedError, finals: Finals | None, carried: Carried = NOTHING) -> None:
        """The session is over; the peer ended it with `finals`, if it said any. Who waits for what is `carried` into
        the next session, which `use` is called with now, goes on waiting."""
        self.disarm()
        waiting = {}
        for number, confirmations in self.confirmations.items():
            final = finals.lanes.get(number) if finals is not None else None
            if final is not None:
                confirmations.confirmed("received", final.received.number)
                confirmations.confirmed("drained", final.received.number)
                confirmations.confirmed("processed", final.processed)
                confirmations.confirmed("durable", final.durable)
            if not carried.resends:
                confirmations.fail_all(error)
            else:
                lost = [entry[1] for entry in carried.lost if entry[0] == number]
                waiting[number] = confirmations.carried(carried.again.get(number, {}), lost, error)
        self.confirmations = waiting
        for lane in self.session.send_lanes.values():
            self._node.budget_of(lane).forget(lane)

    def refuse(self, error: LitzError) -> None:
        """The goodbye goes out: what is sent from now on gets `error`, because no wire would carry it any more. Those
        who wait for space go on waiting until `close`."""
        self.take_stock()
        self.closed, self._answers_go = error, False

    def turn_away(self, error: LitzError | None) -> None:
        """New work gets `error` from now on, and so do those who wait for space: one of the two sides leaves. Answers
        still go, and what was accepted. None: no more. After `refuse` or `close` it changes nothing."""
        if self.closed is None:
            self.take_stock()  # not again at the session's end: what its logs held counts no more then
        if self.closed is None or self._answers_go:
            self.closed, self._answers_go = error, error is not None
            self._wake_all()

    def close(self, error: LitzError) -> None:
        """No more sending: those who wait for space get `error`."""
        self.disarm()
        self.closed, self._answers_go = error, False
        self._wake_all()

    def _wake_all(self) -> None:
        for line in self._spaces.values():
            for place in line:
                place.go()
