"""Listens at the wires: every frame that is written, and every frame that arrives, is decoded and judged here."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from outproc.frames.decode import decode_frame
from outproc.frames.layout import ACK_NOW
from outproc.frames.records import Ack, Batch, Credit, Fin, Lossy, Position, SessionCredit, Skip
from outproc.session.fixed_lanes import STREAMS
from outproc.session.session import Session
from tests.simulation.core.checker import Checker, InvariantError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.simulation.core.ends import Link, Strand
    from tests.simulation.core.stream_checker import StreamChecker

Epochs = dict[int, int]


class LaneTap:
    """What was seen of one lane of one session, in one direction."""

    __slots__ = ("acked", "before", "end", "epoch", "link", "taken_epoch")

    def __init__(self) -> None:
        self.link: Link | Strand | None = None
        self.before: Link | Strand | None = None
        self.epoch = 0
        self.end = 0
        """The first number of which no byte was ever written."""
        self.acked = Position(0, 0)
        self.taken_epoch = 0


class Wiretap:
    def __init__(self, hits: Counter[str], checker: Checker, streams: StreamChecker | None = None) -> None:
        self.hits = hits
        self.checker = checker
        self.streams = streams
        self.overlaps = 0
        self._taps: dict[tuple[Session, int], LaneTap] = {}

    def tap(self, session: Session, lane: int) -> LaneTap:
        found = self._taps.get((session, lane))
        if found is None:
            found = self._taps[session, lane] = LaneTap()
        return found

    def written(self, session: Session, strand: Link | Strand, frame: bytes) -> Epochs:
        """One frame is about to be written. Returns the bind epochs of the lanes in it."""
        link = strand.link
        if len(frame) > link.wire.max_frame:
            raise InvariantError("honest-peers-never-fault", f"a frame of {len(frame)} bytes on {link}")
        flags, _, records = decode_frame(frame)
        epochs: Epochs = {}
        for record in records:
            if link.wire.lossy:
                self._check_lossy(link, record)
            if isinstance(record, Ack) and record.lane < STREAMS:
                self.checker.acks_written(session, record.lane)
            elif isinstance(record, Ack) and self.streams is not None:
                self.streams.ack_written(session, record.lane)
            if isinstance(record, Credit) and record.lane >= STREAMS and self.streams is not None:
                self.streams.granted(session, record)
            if not isinstance(record, Batch | Skip | Fin):
                continue
            tap = self.tap(session, record.lane)
            epochs[record.lane] = record.epoch
            self._moves(tap, strand, record.lane, record.epoch)
            if isinstance(record, Batch):
                if link.early is not None:
                    link.early += sum(map(len, record.bodies))
                start, end = Position(record.number, record.offset), record.number + len(record.bodies)
            elif isinstance(record, Skip):
                start, end = Position(record.first, 0), record.last + 1
                self.hits["skip replayed"] += tap.end >= end
            else:
                start, end = Position(record.number, 0), record.number + 1
                self.hits["fin replayed"] += tap.end >= end
            if start < tap.acked:
                raise InvariantError("resume-at-ack", f"{link}, lane {record.lane}: {start} after ack {tap.acked}")
            tap.end = max(tap.end, end)
        if link.early is not None and link.early > session.limits.early_size:
            raise InvariantError("early-bound", f"{link} carries {link.early} bytes before it has answered a ping")
        if epochs and link.dialled and not link.answered and link.named is None:
            raise InvariantError("complete-pair", f"{link} carries data before the answer to its JOIN")
        if not epochs:
            self.hits["control-only frame"] += 1
            if flags & ACK_NOW:
                raise InvariantError("control-only-is-silent", f"{link} asks for an ack without data")
        return epochs

    def _check_lossy(self, link: Link | Strand, record: object) -> None:
        self.hits["latency first on a lossy wire"] += isinstance(record, Lossy)
        if isinstance(record, Batch | Skip | Fin | Ack | Credit | SessionCredit):
            raise InvariantError("lossy-carries-little", f"{type(record).__name__} on {link}")

    def _moves(self, tap: LaneTap, link: Link | Strand, lane: int, epoch: int) -> None:
        if epoch < tap.epoch or (epoch == tap.epoch and link is not tap.link):
            raise InvariantError("lane-moves-forward", f"{link}, lane {lane}: bind epoch {epoch} after {tap.epoch}")
        tap.epoch = epoch
        last = tap.link
        if last is link:
            return
        tap.link, before, tap.before = link, tap.before, last
        if last is not None:
            self.hits["lane moved"] += 1
            self.hits["lane moved back"] += before is link
            self.hits["lane moved between strands"] += last.link is link.link
            if any(message[0] == "frame" and lane in message[2] for message in last.wire.ways[last.index].queue):
                self.overlaps += 1
                self.hits["lane on two wires"] += 1

    def acked(self, session: Session, lane: int, position: Position) -> None:
        """The sender heard an ack."""
        tap = self.tap(session, lane)
        tap.acked = max(tap.acked, position)

    def dropping(self, session: Session, lane: int, number: int) -> None:
        if number < self.tap(session, lane).end:
            raise InvariantError("drop-untransmitted", f"lane {lane}: {number} was on a wire already")

    def arrived(self, session: Session, epochs: Mapping[int, int], news: Mapping[int, int]) -> None:
        """A frame came on a joined wire; `news` has the lanes that it brought something whole for."""
        for lane, epoch in epochs.items():
            tap = self.tap(session, lane)
            if epoch < tap.taken_epoch and lane in news:
                raise InvariantError("lane-moves-forward", f"lane {lane}: took bind epoch {epoch}")
            tap.taken_epoch = max(tap.taken_epoch, epoch)
