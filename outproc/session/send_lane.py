"""The sending end of one reliable lane: its log, how far it was sent, and how far it may be sent.

Keeps R5 (bind), R7 (resume), R9 (acks), R10 (credit) and R11 (drops) for one direction of one lane.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import accumulate
from typing import cast

from litz.errors import ProtocolError
from litz.events import DropReason, Outcome
from outproc.frames.encode import encode_batch, encode_fin, encode_skip
from outproc.frames.records import Ack, Position
from outproc.session.admission import WHEN_FULL, Admission, Quota, SendCredit
from outproc.session.cutting import CHUNKED_FROM, SMALLEST_CHUNK, FrameParts, columns, cut, head_of, rest_of
from outproc.session.limits import Overflow, SessionLimits
from outproc.session.log import Body, End, EntryDetail, Gap, Parts, Run, SendLog

BATCH_HEADER = 28
ENTRY_RECORD = 28
"""The largest size of a SKIP or FIN record."""
NOT_COUNTED: tuple[int, list[int], int] = (-1, [], 0)
__all__ = ["Admission", "Quota", "SendCredit", "SendLane"]


class SendLane:
    """One lane towards the peer.

    The driver asks `admit` about a message, acts on the answer and `append`s it. Where every message would be
    accepted anyway, `open_quota` lets it append many without asking.
    """

    def __init__(self, lane: int, limits: SessionLimits, overflow: Overflow, credit: SendCredit | None) -> None:
        self.lane = lane
        self.limits = limits
        self.overflow = overflow
        self.session_credit = credit
        self.log = SendLog()
        self.epoch = 0
        self.wire: Hashable | None = None
        self.cursor = Position(0, 0)
        self.high_water = 0
        """The first number of which no byte was ever handed to a wire."""
        self.acked = Position(0, 0)
        self.processed = 0
        self.durable = 0
        self.credit_messages = 0
        self.credit_size = 0
        self.charged_messages = 0
        self.charged_size = 0
        self.ack_wanted = 0
        """Somebody waits for the ack of every entry below this number."""
        self.replayed = 0
        self.blocked = False
        """Whether the last `fill` stopped for want of credit."""
        self.unflushed_messages = 0
        self.unflushed_size = 0
        self._quota_from: int | None = None
        self._counted = NOT_COUNTED
        """Of the last quota, or of what did not fit into the last frame: the first number, the size of each, and of
        all together. It is sent next as a rule."""

    # -- appending ----------------------------------------------------------------------------------

    def open_quota(self, messages: int, size: int, each: int) -> Quota | None:
        """Let the caller append up to `messages` bodies of at most `each` bytes, and `size` in all, without asking for
        each; None if there is no room for one. Nothing else may be done with the lane's log before `close_quota`,
        which takes stock of what was appended."""
        log, limits = self.log, self.limits
        if log.finished:
            return None
        room = min(size, limits.log_size - log.size)
        count = min(messages, limits.log_messages - log.count, room // each)
        if count < 1:
            return None
        self._quota_from = log.next_number
        return Quota(range(self._quota_from, self._quota_from + count), log.tail.bodies)

    def close_quota(self) -> bool:
        """Count what was appended under the quota; False: none is open."""
        number, self._quota_from = self._quota_from, None
        if number is None:
            return False
        sizes = list(map(len, self.log.tail.bodies[number - self.log.tail.first :]))
        size = sum(sizes)
        self.log.grown(size)
        self.unflushed_messages += len(sizes)
        self.unflushed_size += size
        self._counted = (number, sizes, size)
        return True

    def flushed(self) -> None:
        """What was accepted so far is being handed to the wires."""
        self.close_quota()
        self.unflushed_messages = 0
        self.unflushed_size = 0

    @property
    def batch_is_full(self) -> bool:
        """Whether one more message makes as much as one flush should hold. Close the quota before."""
        limits = self.limits
        return self.unflushed_messages + 1 >= limits.batch_messages or self.unflushed_size >= limits.flush_size

    def append(self, body: Body, detail: EntryDetail | None = None) -> int:
        """Append after `admit` said ACCEPT. Returns the number."""
        self.unflushed_messages += 1
        self.unflushed_size += len(body)
        return self.log.append(body, detail)

    def fits(self, size: int) -> bool:
        """Whether the log has room for a message of `size`. An empty log takes one of any allowed size."""
        log = self.log
        if log.count >= self.limits.log_messages:
            return False
        return log.size + size <= self.limits.log_size or log.count == 0

    def admit(
        self, size: int, key: str | None = None, left: int | None = None
    ) -> tuple[Admission, list[tuple[int, DropReason]]]:
        """Decide about one more message, and make room for it as the policy says; nothing is dropped for one that then
        does not fit into the `left` bytes of the process (None: no limit).

        Returns the decision and the numbers dropped for it. DROP: append it and `discard` its number.
        """
        if self.overflow is Overflow.KEEP_LATEST and key is not None:
            older = self.log.latest.get(key)
            if older is not None and older >= self.high_water:
                # Only if the newer one gets its place: the latest of a key is never lost to a full log.
                if not self._fits_without(1, self.log.body_size(older), size, left):
                    return Admission.REFUSE, []
                self.discard(older, DropReason.SUPERSEDED)
                return Admission.ACCEPT, [(older, DropReason.SUPERSEDED)]
        if self.fits(size):
            return Admission.ACCEPT, []
        if self.overflow is Overflow.DROP_OLDEST:
            return self._drop_oldest(size, left)
        return WHEN_FULL[self.overflow], []

    def _fits_without(self, messages: int, freed: int, size: int, left: int | None) -> bool:
        """Whether a message of `size` fits once `messages` of `freed` bytes in all are gone."""
        log, limits = self.log, self.limits
        if left is not None and size - freed > left:
            return False
        count = log.count - messages
        return count < limits.log_messages and (log.size - freed + size <= limits.log_size or count == 0)

    def _drop_oldest(self, size: int, left: int | None) -> tuple[Admission, list[tuple[int, DropReason]]]:
        """Drop as many of the oldest as make room, and none at all if all of them would not."""
        victims: list[tuple[int, DropReason]] = []
        freed = 0
        for number in self.log.messages_from(self.high_water):
            victims.append((number, DropReason.OLDEST))
            freed += self.log.body_size(number)
            if self._fits_without(len(victims), freed, size, left):
                break
        else:
            return Admission.REFUSE, []
        for number, reason in victims:
            self.discard(number, reason)
        return Admission.ACCEPT, victims

    def discard(self, number: int, reason: DropReason) -> None:
        """Drop a message that was never transmitted. It stays a numbered gap that the peer is told of."""
        if number < self.high_water:
            raise RuntimeError(f"entry {number} of lane {self.lane} has been transmitted and cannot be dropped")
        self.log.drop(number, reason)

    def finish(self) -> int:
        """Append the end of the lane. Returns its number."""
        number = self.log.finish()
        self.ack_wanted = number + 1
        return number

    # -- binding ------------------------------------------------------------------------------------

    def bind(self, wire: Hashable, epoch: int) -> None:
        """Send on `wire` from now on, starting at the highest ack (R5). `epoch` must be new."""
        if epoch <= self.epoch:
            raise RuntimeError(f"bind epoch {epoch} is not above {self.epoch}")
        self.wire = wire
        self.epoch = epoch
        self.cursor = self.acked

    def unbind(self) -> None:
        """The wire is gone. Nothing is sent until the next `bind`."""
        self.wire = None

    # -- what the peer says -------------------------------------------------------------------------

    def acknowledge(self, ack: Ack) -> bool:
        """Take an ack; absolute, so old ones change nothing. Returns whether something is new.

        Raises ProtocolError for positions that were never sent.
        """
        received = ack.received
        sent_end = self.high_water
        if received.number > sent_end or (received.number == sent_end and received.offset):
            raise ProtocolError(f"ack of {received} on lane {self.lane}, but only {sent_end} entries were sent")
        if received > self.acked and received.offset:
            size = self.log.body_size(received.number)
            if received.offset >= size:
                raise ProtocolError(f"ack of {received.offset} bytes of an entry of {size} on lane {self.lane}")
        news = False
        if received > self.acked:
            self.acked = received
            self.log.trim(received.number)
            self.cursor = max(self.cursor, received)
            news = True
        if ack.processed > self.processed:
            self.processed = ack.processed
            news = True
        if ack.durable > self.durable:
            self.durable = ack.durable
            news = True
        return news

    def allow(self, messages: int, size: int) -> bool:
        """Take a credit limit; absolute, never lower than before. Returns whether it grew."""
        grew = messages > self.credit_messages or size > self.credit_size
        self.credit_messages = max(self.credit_messages, messages)
        self.credit_size = max(self.credit_size, size)
        return grew

    @property
    def ack_now(self) -> bool:
        """Whether to ask for an ack at once: somebody waits, the log fills up, or credit ran out (R9)."""
        log, limits = self.log, self.limits
        return (
            self.blocked
            or self.acked.number < self.ack_wanted <= self.high_water
            or log.size * 2 >= limits.log_size
            or log.count * 2 >= limits.log_messages
        )

    # -- sending ------------------------------------------------------------------------------------

    @property
    def has_unsent(self) -> bool:
        """Whether entries wait behind the cursor (credit may still hold them back)."""
        return self.cursor[0] < self.log.next_number

    def fill(self, out: FrameParts, budget: int, *, cut_from: int = CHUNKED_FROM) -> int:
        """Append records to `out` for what comes next, within `budget` bytes. Returns the bytes used.

        The caller hands them to the bound wire at once: the cursor has moved.
        """
        used = 0
        self.blocked = False
        while self.has_unsent and budget - used >= ENTRY_RECORD + SMALLEST_CHUNK:
            segment = self.log.segments[self.log.locate(self.cursor.number)]
            if isinstance(segment, Run):
                size = self._fill_run(out, segment, budget - used, cut_from, alone=used == 0)
                if size == 0:
                    break
                used += size
                continue
            record = self._entry_record(segment)
            out.append(record)
            used += len(record)
            self.cursor = Position(segment.end, 0)
            self.high_water = max(self.high_water, segment.end)
        return used

    def _entry_record(self, segment: Gap | End) -> bytes:
        if isinstance(segment, End):
            return encode_fin(self.lane, self.epoch, segment.first)
        first = max(segment.first, self.cursor.number)
        return encode_skip(segment.reason.value, self.lane, self.epoch, first, segment.last)

    def _fill_run(self, out: FrameParts, run: Run, budget: int, cut_from: int, *, alone: bool) -> int:
        number, offset = self.cursor
        start = number - run.first
        (counted, sizes, total), self._counted = self._counted, NOT_COUNTED
        most = self.limits.batch_messages
        if counted == number and 0 < len(sizes) < most:
            most = len(sizes)  # what came since is counted when its turn comes
        bodies = run.bodies[start : start + most]
        if counted != number or len(sizes) != len(bodies):
            sizes = list(map(len, bodies))
            total = sum(sizes)
        allowed = self._allowed(number, sizes, total)
        if allowed == 0:
            self.blocked = True
            return 0
        if allowed < len(bodies):
            self.blocked = True
            del bodies[allowed:], sizes[allowed:]
            total = sum(sizes)
        extra = columns(self.log.details, number, len(bodies))
        whole_first = sizes[0]
        sizes[0] -= offset
        room = budget - BATCH_HEADER
        column = extra.size + 4
        remaining = 0
        total -= offset
        if total + column * len(sizes) > room:
            everything = total
            count, remaining, total = cut(sizes, column, room, cut_from, alone=alone)
            if count == 0:
                return 0
            if not remaining and allowed == len(sizes):
                self._counted = (number + count, sizes[count:], everything - total)
            del bodies[count:], sizes[count:]
            extra = extra.upto(count)
        last_whole = whole_first if len(bodies) == 1 else sizes[-1]
        self._advance(number, sizes, total, last_whole - remaining if remaining else None)
        if offset:
            bodies[0] = rest_of(bodies[0], offset)
        if remaining:
            sizes[-1] -= remaining
            bodies[-1] = head_of(bodies[-1], sizes[-1])
        return encode_batch(
            out,
            self.lane,
            self.epoch,
            number,
            offset,
            remaining,
            self._buffers(bodies),
            extra.correlations,
            extra.keys,
            extra.origins,
            None if self.log.has_parts else sizes,
        )

    def _buffers(self, bodies: list[Body]) -> list[bytes | memoryview | tuple[bytes | memoryview, ...]]:
        """The bodies as the encoder takes them."""
        if self.log.has_parts:
            return [body.buffers if isinstance(body, Parts) else body for body in bodies]
        return cast("list[bytes | memoryview | tuple[bytes | memoryview, ...]]", bodies)

    def _allowed(self, number: int, sizes: list[int], total: int) -> int:
        """How many of the messages from `number` on, of `sizes` with a `total`, credit lets start (R10); replay is
        free."""
        free = max(0, self.high_water - number)
        if free >= len(sizes):
            return len(sizes)
        left = self.credit_size - self.charged_size
        if self.session_credit is not None:
            left = min(left, self.session_credit.left)
        count = max(0, min(len(sizes) - free, self.credit_messages - self.charged_messages))
        if count == len(sizes) and total <= left:
            return count
        fresh = sizes[free : free + count]
        if sum(fresh) <= left:
            return free + count
        return free + sum(total <= left for total in accumulate(fresh))

    def _advance(self, number: int, sizes: list[int], total: int, offset: int | None) -> None:
        """Move the cursor over entries of `sizes` (`total` in all) from `number` on, into the last up to `offset`
        unless None.

        What is handed out for the first time is charged, each message whole at its first byte (R10).
        """
        end = number + len(sizes)
        replayed = max(0, min(self.high_water - number, len(sizes)))
        self.replayed += max(0, replayed - (self.cursor.offset > 0))
        if replayed < len(sizes):
            fresh = sum(sizes[replayed:]) if replayed else total
            self.charged_messages += len(sizes) - replayed
            self.charged_size += fresh
            if self.session_credit is not None:
                self.session_credit.used += fresh
            self.high_water = end
        self.cursor = Position(end, 0) if offset is None else Position(end - 1, offset)

    # -- the end ------------------------------------------------------------------------------------

    def unconfirmed(self, final: Position | None) -> list[tuple[int, Outcome]]:
        """What the session's end leaves open: every message not confirmed by an ack or by the peer's final
        position, with what is known of it (R4). `final` None: the peer's position is not known. A final position
        above what was transmitted confirms no more than that. What an earlier session left unknown stays so."""
        confirmed = max(self.acked.number, min(final.number, self.high_water) if final is not None else 0)
        lost = []
        for number in self.log.messages():
            if number < confirmed:
                continue
            unknown = (final is None and number < self.high_water) or self.log.was_sent_before(number)
            lost.append((number, Outcome.UNKNOWN if unknown else Outcome.NEVER_ACCEPTED))
        return lost
