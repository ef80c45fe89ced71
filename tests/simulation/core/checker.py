"""The checker: it stands outside the session, records what both ends saw, and says by name what is broken.

Invariants
  complete-pair             data is taken only in a pair that the sender completed as well
  half-unique               no two sessions of a node share a half
  halves-rise               no node pairs with a half of its peer below one it has paired with
  finals-kept               final positions of a session that ended here are known to whoever asks
  exactly-once              nothing is delivered twice
  no-silent-gap             nothing is passed over without a typed gap
  intact                    what is delivered equals what was accepted, with its columns
  gap-is-true               a typed gap names only what the sender dropped, with its reason
  drop-untransmitted        what was dropped never reaches the peer, whole or in part
  final-means-final         nothing is delivered after final positions were stated or stored
  lost-list-exact           every accepted message is delivered, or listed, or covered by a gap; and never two
  ends-only-when-ended      a session both sides hold ends only for a cause
  ack-not-above-delivered   received and processed acks are never ahead of the receiver
  credit-bound              what a receiver must hold stays within what it granted
  log-bound                 a log stays within its limits
  early-bound               a wire carries little before the peer has surely checked who joined it
  honest-peers-never-fault  honest ends over ordered wires see neither faults nor violations
  control-only-is-silent    a frame of control alone asks for no ack
  ack-within-deadline       news reaches a writable wire within the ack delay
  lossy-at-most-once        a latency-first message comes at most once, and in order
  lossy-carries-little      no reliable lane, ack or credit is told on a wire that loses frames
  reconnects                two live nodes come together again, whatever their clocks say
  said-all                  nothing waits for a frame when the session says that nothing does
  delivered-in-the-end      everything accepted is delivered once faults have stopped
  control-survives          and acknowledged, whichever wires carried the acks and died
  signals-overtake          signals and replies arrive although nobody reads bulk
  ack-now                   who asks for an ack at once gets it in the same turn
  lane-moves-forward        a lane is bound with rising epochs, and no lower one is taken
  resume-at-ack             what was acknowledged is not sent again
  duplicates-agree          two ends never close each other's winner, and a winner has carried a frame
  mismatch-once             whoever was told MISMATCH does not ask for that pair again
  replaced-by-the-living    nobody is told that a newer life took over unless one is alive
  stream-exactly-once       what is written to a stream comes once, in order, with its end behind all
  stream-confirmed          what a session's end does not count of a stream has come
  stream-credit             a stream is sent no more than was granted, and nothing granted is taken back
  stream-budget             no window of a stream grows beyond what all may be granted
  stream-bound              what of a stream waits or is not acknowledged stays within its limits
  stream-unblocked          a stream whose reader waits stops no other one
  stream-complete           every stream is complete once all read and close
  stream-nothing-left       streams that are over leave nothing behind
  impossible-state          no state that the code itself calls impossible
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from litz.events import DropReason, Outcome
from outproc.frames.records import Position
from outproc.session.fixed_lanes import FIXED_LANES, INTERNAL_LANES
from outproc.session.identity import Half, Incarnation, Pair
from outproc.session.log import EntryDetail
from outproc.session.receive_lane import Delivery, Finished, Skipped
from outproc.session.session import Session
from outproc.session.tombstones import Finals
from tests.simulation import seeds
from tests.simulation.seeds import invariant_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.simulation.core.ends import Link

INVARIANTS = invariant_names(__doc__)


class InvariantError(seeds.InvariantError):
    """One of those above does not hold."""

    names = INVARIANTS


@dataclass(slots=True)
class Accepted:
    """One entry of a lane, as the sender's user knows it."""

    body: bytes
    detail: EntryDetail | None
    dropped: DropReason | None = None
    disowned: bool = False
    """The sender was told that the peer never accepted it."""


@dataclass(slots=True)
class LaneRecord:
    """Both directions of one lane at one end."""

    sent: list[Accepted | None] = field(default_factory=list)
    """None stands for the end of the lane."""
    next: int = 0
    delivered_messages: int = 0
    delivered_size: int = 0
    consumed_messages: int = 0
    consumed_size: int = 0
    processed: int = 0
    news_since: float | None = None
    told: bool = False
    """An ack was written since the deadline was last looked at."""


class Side:
    """What one end of one session saw and was told."""

    def __init__(self, owner: str, session: Session) -> None:
        self.owner = owner
        self.session = session
        self.pair: Pair | None = None
        self.lanes = {lane: LaneRecord() for lane in (*FIXED_LANES, *INTERNAL_LANES)}
        self.final = False
        self.ended = False
        self.dead = False
        self.lossy_next = 0
        self.lossy_sent: list[bytes] = []


class Checker:
    """Told of everything at both ends; raises InvariantError."""

    def __init__(self, hits: Counter[str]) -> None:
        self.hits = hits
        self.sides: dict[Session, Side] = {}
        self.by_pair: dict[Pair, Side] = {}
        self.halves: dict[Half, Session] = {}
        self.highest: dict[tuple[Incarnation, Incarnation], Half] = {}
        self.delivered = 0
        self.duplicates: dict[int, set[int]] = {}
        self.refusals: set[tuple[Link, Pair]] = set()

    # -- sessions -----------------------------------------------------------------------------------

    def made(self, owner: str, session: Session) -> None:
        if session.mine in self.halves:
            raise InvariantError("half-unique", f"{owner} used {session.mine} twice")
        self.halves[session.mine] = session
        self.sides[session] = Side(owner, session)

    def paired(self, session: Session) -> None:
        pair = session.pair
        assert pair is not None
        side = self.sides[session]
        side.pair = pair
        self.by_pair[pair] = side
        key = (pair.mine.incarnation, pair.yours.incarnation)
        if pair.yours < self.highest.get(key, pair.yours):
            raise InvariantError("halves-rise", f"{side.owner} pairs with {pair.yours} after {self.highest[key]}")
        self.highest[key] = pair.yours

    def refused(self, link: Link, pair: Pair) -> None:
        """`link` is told that `pair` is no session here."""
        if (link, pair) in self.refusals:
            raise InvariantError("mismatch-once", f"{link} asks for {pair} again")
        self.refusals.add((link, pair))

    def not_known(self, pair: Pair) -> None:
        """A node says that it knows nothing of `pair`."""
        if pair in self.by_pair:
            raise InvariantError("finals-kept", f"{pair} ended here, and its final positions are gone")

    def other(self, side: Side) -> Side | None:
        return self.by_pair.get(side.pair.flipped()) if side.pair is not None else None

    def died(self, session: Session) -> None:
        """The node of this session restarted: it tells nothing any more."""
        self.sides[session].dead = True

    # -- sending ------------------------------------------------------------------------------------

    def accepted(self, session: Session, lane: int, number: int, body: bytes, detail: EntryDetail | None) -> None:
        record = self.sides[session].lanes[lane]
        if number != len(record.sent):
            raise InvariantError("intact", f"lane {lane}: number {number} after {len(record.sent) - 1}")
        record.sent.append(Accepted(body, detail))

    def check_log(self, session: Session, lane: int) -> None:
        log, limits = session.send_lanes[lane].log, session.limits
        if log.count > limits.log_messages or (log.size > limits.log_size and log.count > 1):
            raise InvariantError("log-bound", f"lane {lane} holds {log.count} messages, {log.size} bytes")

    def finished(self, session: Session, lane: int, number: int) -> None:
        record = self.sides[session].lanes[lane]
        if number != len(record.sent):
            raise InvariantError("intact", f"lane {lane}: its end is {number}, not {len(record.sent)}")
        record.sent.append(None)

    def dropped(self, session: Session, lane: int, number: int, reason: DropReason) -> None:
        side = self.sides[session]
        entry = side.lanes[lane].sent[number]
        assert entry is not None
        if entry.dropped is not None:
            raise InvariantError("gap-is-true", f"lane {lane}: {number} dropped twice")
        entry.dropped = reason
        other = self.other(side)
        if other is not None:
            expected = other.session.receive_lanes[lane].expected
            if expected > (number, 0):
                raise InvariantError("drop-untransmitted", f"lane {lane}: {number} dropped, the peer is at {expected}")

    # -- receiving ----------------------------------------------------------------------------------

    def delivery(self, session: Session, delivery: Delivery) -> None:
        side = self.sides[session]
        sender = self._sender(side)
        lane = side.lanes[delivery.lane]
        sent = sender.lanes[delivery.lane].sent
        for index, body in enumerate(delivery.bodies):
            number = delivery.number + index
            where = f"lane {delivery.lane} number {number}, expected {lane.next}"
            if number < lane.next:
                raise InvariantError("exactly-once", where)
            if number > lane.next:
                raise InvariantError("no-silent-gap", where)
            entry = sent[number] if number < len(sent) else None
            if entry is None:
                raise InvariantError("intact", f"{where}: never sent")
            if entry.dropped is not None:
                raise InvariantError("drop-untransmitted", f"{where}: dropped by the sender")
            if entry.disowned:
                raise InvariantError("lost-list-exact", f"{where}: the sender was told it was never accepted")
            self._check_content(where, entry, body, delivery, index)
            lane.next = number + 1
            lane.delivered_messages += 1
            lane.delivered_size += len(body)
            self.delivered += 1
        self._check_credit(side, delivery.lane)

    def _sender(self, side: Side) -> Side:
        if side.final or side.ended:
            raise InvariantError("final-means-final", f"{side.owner} took data after the end of {side.pair}")
        sender = self.other(side)
        if sender is None:
            raise InvariantError("complete-pair", f"{side.owner} took data of {side.pair}, which its sender never had")
        return sender

    def _check_content(self, where: str, entry: Accepted, body: bytes, delivery: Delivery, index: int) -> None:
        if body != entry.body:
            raise InvariantError("intact", f"{where}: {len(body)} bytes instead of {len(entry.body)}, or others")
        wanted = entry.detail or EntryDetail()
        correlation = delivery.correlations[index] if delivery.correlations is not None else (0, 0)
        key = delivery.keys[index] if delivery.keys is not None else None
        if correlation != (wanted.correlation or (0, 0)) or key != wanted.key:
            raise InvariantError("intact", f"{where}: columns {correlation} {key!r} instead of {wanted}")

    def _check_credit(self, side: Side, number: int) -> None:
        limits = side.session.limits
        lane = side.lanes[number]
        if (
            lane.delivered_messages - lane.consumed_messages > limits.window_messages
            or lane.delivered_size - lane.consumed_size > limits.window_size
        ):
            raise InvariantError("credit-bound", f"lane {number} of {side.owner}")
        charged = [n for n in FIXED_LANES if side.session.receive_lanes[n].session_credit is not None]
        held = sum(side.lanes[n].delivered_size - side.lanes[n].consumed_size for n in charged)
        partials = [side.session.receive_lanes[n].partial for n in charged]
        held += sum(partial.got for partial in partials if partial is not None)
        if held > limits.session_window_size:
            raise InvariantError("credit-bound", f"the session of {side.owner} holds {held} bytes")

    def note(self, session: Session, note: Skipped | Finished) -> None:
        side = self.sides[session]
        sender = self._sender(side)
        lane = side.lanes[note.lane]
        sent = sender.lanes[note.lane].sent
        if isinstance(note, Finished):
            self.hits["fin delivered"] += 1
            if note.number != lane.next or note.number >= len(sent) or sent[note.number] is not None:
                raise InvariantError("no-silent-gap", f"lane {note.lane} ended at {note.number}, {lane.next} was next")
            lane.next += 1
            return
        self.hits["gap delivered"] += 1
        if note.first != lane.next:
            raise InvariantError("no-silent-gap", f"lane {note.lane}: gap at {note.first}, {lane.next} was next")
        for entry in sent[note.first : note.last + 1]:
            if entry is None or entry.dropped is not note.reason:
                raise InvariantError("gap-is-true", f"lane {note.lane}: {note} names what was not dropped so")
        if note.last >= len(sent):
            raise InvariantError("gap-is-true", f"lane {note.lane}: {note} is beyond what was sent")
        lane.next = note.last + 1

    def lossy(self, session: Session, delivery: Delivery) -> None:
        side = self.sides[session]
        sent = self._sender(side).lossy_sent
        for index, body in enumerate(delivery.bodies):
            number = delivery.number + index
            if number < side.lossy_next or sent[number] != body:
                raise InvariantError("lossy-at-most-once", f"{number}, {side.lossy_next} was next")
            if number > side.lossy_next:
                self.hits["lossy lost"] += 1
            side.lossy_next = number + 1
        self.hits["lossy delivered"] += 1

    def consumed(self, session: Session, lane: int, messages: int, size: int, processed: int) -> None:
        record = self.sides[session].lanes[lane]
        record.consumed_messages, record.consumed_size, record.processed = messages, size, processed

    # -- acks ---------------------------------------------------------------------------------------

    def check_acks(self, session: Session, lanes: Sequence[int]) -> None:
        """The sender heard acks on `lanes`."""
        receiver = self.other(self.sides[session])
        for number in lanes:
            lane = session.send_lanes[number]
            if receiver is None:
                raise InvariantError("ack-not-above-delivered", f"lane {number}: an ack of nobody")
            record = receiver.lanes[number]
            if lane.acked.number > record.next or lane.processed > max(record.processed, 0):
                raise InvariantError(
                    "ack-not-above-delivered",
                    f"lane {number}: acked {lane.acked}, processed {lane.processed}; the receiver delivered "
                    f"{record.next} and processed {record.processed}",
                )

    def acks_written(self, session: Session, lane: int) -> None:
        self.sides[session].lanes[lane].told = True

    def check_ack_now(self, session: Session, lanes: Mapping[int, int], *, asked: bool) -> None:
        """A frame asked for an ack at once, and the turn is over. `asked`: the wire is there and takes an answer."""
        for number, epoch in lanes.items():
            lane = session.receive_lanes.get(number) or session.streams.receiving.get(number)
            if asked and lane is not None and number in session.unsent.acks and epoch == lane.epoch:
                raise InvariantError("ack-now", f"{self.sides[session].owner}, lane {number}")

    def dismissed(self, wire: int, winners: Sequence[Link]) -> None:
        """One end closes `wire` in favour of one of `winners`."""
        if not any(link.carried for link in winners):
            raise InvariantError("duplicates-agree", f"wire {wire} is closed before its winner carried a frame")
        self.duplicates.setdefault(wire, set()).update(link.wire.number for link in winners)
        seen = [wire]
        for number in seen:
            if number not in self.duplicates:
                return
            seen += sorted(self.duplicates[number].difference(seen))
        raise InvariantError("duplicates-agree", f"wires {seen} are closed for each other")

    def check_deadlines(self, session: Session, now: float, tolerance: float, *, writable: bool) -> None:
        """Called after every chance to send: received news must have gone out in time."""
        side = self.sides[session]
        for number, receive_lane in session.receive_lanes.items():
            record = side.lanes[number]
            if not receive_lane.unacked_messages or not writable or record.told:
                record.news_since = None
                record.told = False
            elif record.news_since is None:
                record.news_since = now
            elif now - record.news_since > session.limits.ack_delay + tolerance:
                raise InvariantError(
                    "ack-within-deadline", f"{side.owner}, lane {number}: news since {record.news_since:.3f}"
                )

    # -- the end ------------------------------------------------------------------------------------

    def stated_final(self, session: Session) -> None:
        self.sides[session].final = True

    def ended(
        self, session: Session, lost: Sequence[tuple[int, int, Outcome]], *, cause: bool, finals: Finals | None
    ) -> None:
        """`cause`: this side had a reason of its own."""
        side = self.sides[session]
        other = self.other(side)
        if side.pair is not None and not cause and other is not None and not (other.ended or other.dead or other.final):
            raise InvariantError("ends-only-when-ended", f"{side.owner} ended {side.pair}, which its peer still holds")
        side.ended = True
        listed: dict[tuple[int, int], Outcome] = {}
        for lane, number, outcome in lost:
            if (lane, number) in listed:
                raise InvariantError("lost-list-exact", f"lane {lane} number {number} is listed twice")
            listed[lane, number] = outcome
            self.hits[f"lost {outcome.name}"] += 1
        for lane, record in side.lanes.items():
            if lane in INTERNAL_LANES:
                continue  # it has no user who could be told
            reached = other.lanes[lane].next if other is not None else 0
            known = finals is not None and finals.received(lane, Position(0, 0)) is not None
            for number, entry in enumerate(record.sent):
                found = listed.pop((lane, number), None)
                if entry is not None and entry.dropped is None:
                    self._check_outcome(f"lane {lane} number {number}", entry, found, number < reached, known)
                elif found is not None:
                    raise InvariantError("lost-list-exact", f"lane {lane} number {number} is listed, but was dropped")
        if listed:
            raise InvariantError("lost-list-exact", f"listed, but never sent: {list(listed)}")

    def _check_outcome(
        self, where: str, entry: Accepted, found: Outcome | None, delivered: bool, finals_known: bool
    ) -> None:
        if found is None:
            if not delivered:
                raise InvariantError("lost-list-exact", f"{where}: neither delivered nor listed")
        elif found is Outcome.NEVER_ACCEPTED:
            if delivered:
                raise InvariantError("lost-list-exact", f"{where}: delivered, and listed as never accepted")
            entry.disowned = True
        elif finals_known:
            raise InvariantError("lost-list-exact", f"{where}: unknown although the final positions are known")
