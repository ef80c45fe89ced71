"""The part of the checker that knows streams: what both ends of each saw and were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from outproc.frames.records import Credit
from outproc.session.fixed_lanes import STREAMS
from outproc.session.receive_lane import Delivery, Finished
from outproc.session.session import Session
from tests.simulation.core.checker import InvariantError

if TYPE_CHECKING:
    from tests.simulation.core.checker import Checker


@dataclass(slots=True)
class StreamRecord:
    """Both directions of one stream at one end."""

    sent: list[bytes | None] = field(default_factory=list)
    """None stands for the end."""
    dropped: bool = False
    """This end has forgotten the lane that receives."""
    next: int = 0
    """Of what the peer sends: the entry that is delivered next."""
    size: int = 0
    entries: int = 0
    consumed_size: int = 0
    consumed_entries: int = 0
    stated: Credit | None = None
    """The highest credit that was told of what the peer sends."""
    news_since: float | None = None
    told: bool = False
    """An ack of it went out since the last look."""


class StreamChecker:
    """Told of every stream at both ends."""

    def __init__(self, checker: Checker, hits: Counter[str]) -> None:
        self._checker = checker
        self._hits = hits
        self._records: dict[tuple[Session, int], StreamRecord] = {}

    def record(self, session: Session, number: int) -> StreamRecord:
        """Of one stream at one end."""
        found = self._records.get((session, number))
        if found is None:
            found = self._records[session, number] = StreamRecord()
        return found

    def far(self, session: Session, number: int) -> StreamRecord:
        """The other end's."""
        other = self._checker.other(self._checker.sides[session])
        if other is None:
            raise InvariantError("complete-pair", f"stream {number} with nobody")
        return self.record(other.session, number)

    # -- sending ------------------------------------------------------------------------------------

    def accepted(self, session: Session, number: int, entry: int, body: bytes | None) -> None:
        """`entry` was appended: a body, or the end."""
        sent = self.record(session, number).sent
        if entry != len(sent):
            raise InvariantError("stream-exactly-once", f"stream {number}: entry {entry} after {len(sent) - 1}")
        sent.append(body)
        lane, limits = session.streams.send_lane(number), session.streams.limits
        unsent = sum(len(each or b"") for each in sent[lane.high_water :])
        alone = len(sent) - lane.high_water <= 1
        if body is not None and not alone and (unsent > limits.log_size or len(lane.log.tail.bodies) > 1_000):
            raise InvariantError("stream-bound", f"{unsent} bytes of stream {number} wait")
        held = limits.most_size + limits.log_size + limits.large_entry
        if lane.log.size > held:
            raise InvariantError("stream-bound", f"stream {number} holds {lane.log.size} bytes")

    def done(self, session: Session, number: int) -> None:
        """The peer says that it has all of this end's half."""
        here, there = self.record(session, number), self.far(session, number)
        if not here.sent or here.sent[-1] is not None or there.next != len(here.sent):
            raise InvariantError("stream-exactly-once", f"stream {number} is called complete and is not")

    def acked(self, session: Session, number: int) -> None:
        """An ack brought news of it."""
        lane, there = session.streams.send_lane(number), self.far(session, number)
        if lane.acked.number > there.next:
            raise InvariantError("ack-not-above-delivered", f"stream {number}: the peer is at {there.next}")

    def ended(self, session: Session) -> None:
        """The session is over, and said what is not confirmed."""
        unconfirmed = session.streams.unconfirmed
        self._hits["stream record for one that is gone"] += session.streams.late
        self._hits["stream lost with its session"] += len(unconfirmed)
        for number in session.streams.sending:
            record = self.record(session, number)
            confirmed = len(record.sent) - unconfirmed.get(number, 0)
            if confirmed and confirmed > self.far(session, number).next:
                raise InvariantError("stream-confirmed", f"stream {number}: {confirmed} are called confirmed")
        if session.streams.budget.used:
            raise InvariantError("stream-nothing-left", f"{session.streams.budget.used} bytes of the budget")

    # -- receiving ----------------------------------------------------------------------------------

    def delivery(self, session: Session, delivery: Delivery) -> None:
        """Entries came."""
        number = delivery.lane
        record, sent = self.record(session, number), self.far(session, number).sent
        for index, body in enumerate(delivery.bodies, delivery.number):
            if record.dropped or index != record.next or index >= len(sent) or sent[index] != body:
                raise InvariantError("stream-exactly-once", f"stream {number}: {index} came, {record.next} was next")
            record.next += 1
            record.size += len(body)
            record.entries += 1
        limits = session.streams.limits
        size, entries = limits.first_size, limits.first_entries
        if record.stated is not None:
            size, entries = max(size, record.stated.size), max(entries, record.stated.messages)
        if record.size > size or record.entries > entries:
            raise InvariantError("stream-credit", f"stream {number}: {record.entries} entries, {record.size} bytes")

    def finished(self, session: Session, note: Finished) -> None:
        """The end came."""
        record, sent = self.record(session, note.lane), self.far(session, note.lane).sent
        if note.number != record.next or record.dropped or len(sent) != note.number + 1 or sent[-1] is not None:
            raise InvariantError("stream-exactly-once", f"stream {note.lane}: its end is {note.number}")
        record.next += 1

    def consumed(self, session: Session, number: int, size: int) -> None:
        """One entry was taken by its reader."""
        record = self.record(session, number)
        record.consumed_size += size
        record.consumed_entries += 1

    def ack_written(self, session: Session, number: int) -> None:
        """An ack is told. What comes behind it is news of its own."""
        self.record(session, number).told = True

    def granted(self, session: Session, credit: Credit) -> None:
        """A credit is told."""
        record, limits = self.record(session, credit.lane), session.streams.limits
        before = record.stated
        if before is not None and (credit.size < before.size or credit.messages < before.messages):
            raise InvariantError("stream-credit", f"stream {credit.lane}: {credit} after {before}")
        record.stated = credit
        if credit.size <= max(record.consumed_size + limits.first_size, before.size if before is not None else 0):
            return
        self._hits["stream window grew"] += 1
        held = sum(self._held(session, number) for number in session.streams.receiving)
        if held > limits.budget:
            raise InvariantError("stream-budget", f"{held} bytes are granted and not taken")
        if credit.size - record.consumed_size > limits.most_size:
            raise InvariantError("stream-budget", f"stream {credit.lane}: a window above the largest")

    def _held(self, session: Session, number: int) -> int:
        record = self.record(session, number)
        if session.streams.receiving[number].finished:
            return record.size - record.consumed_size
        stated = record.stated.size if record.stated is not None else 0
        return max(stated, session.streams.limits.first_size) - record.consumed_size

    def check_deadlines(self, session: Session, now: float, tolerance: float, *, writable: bool) -> None:
        """Called after every chance to send: acks of streams must have gone out in time."""
        for number, lane in session.streams.receiving.items():
            record = self.record(session, number)
            if not (lane.unacked_messages and writable and number in session.unsent.acks) or record.told:
                record.news_since = None
                record.told = False
            elif record.news_since is None:
                record.news_since = now
            elif now - record.news_since > session.limits.ack_delay + tolerance:
                raise InvariantError("ack-within-deadline", f"stream {number}: news since {record.news_since:.3f}")

    # -- after all ----------------------------------------------------------------------------------

    def nothing_left(self, sessions: Sequence[Session]) -> None:
        """All streams are closed, and all is quiet."""
        for session in sessions:
            streams, unsent = session.streams, session.unsent
            self._hits["stream record for one that is gone"] += streams.late
            told = [number for number in (*unsent.acks, *unsent.credits) if number >= STREAMS]
            left = (streams.sending, streams.receiving, streams.waits, streams.budget.used, told, streams.take_roomy())
            if any(left) or streams.sent_size or streams.sent_entries != streams.acked_entries:
                raise InvariantError("stream-nothing-left", f"{left}, {streams.sent_size} bytes in flight")
