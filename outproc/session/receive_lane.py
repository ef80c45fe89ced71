"""The receiving end of one reliable lane: what is expected next, from which wire, and what was granted.

Keeps R5 (bind), R6 (receive), R9 (acks) and R10 (credit) for one direction of one lane.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto

from litz.errors import ProtocolError
from litz.events import DropReason
from outproc.frames.records import Ack, Batch, Fin, FirstSent, Position, Skip
from outproc.session.limits import SessionLimits
from outproc.session.reassembly import Reassembly


@dataclass(slots=True)
class Delivery:
    """Whole messages `number` and following of one lane, in order, for the handler queue, which owns them from
    now on. `correlations`, `keys` and `origins` are None or as long as `bodies`; `size` is in bytes."""

    lane: int
    number: int
    bodies: list[bytes]
    correlations: list[tuple[int, int]] | None
    keys: list[str | None] | None
    size: int
    origins: list[FirstSent] | None = None


@dataclass(slots=True)
class Skipped:
    """The typed gap: the peer dropped `first` to `last` before they were transmitted."""

    lane: int
    first: int
    last: int
    reason: DropReason


@dataclass(slots=True)
class Finished:
    """The lane is complete: entry `number` was its end."""

    lane: int
    number: int


class Verdict(Enum):
    """What became of a record."""

    TAKEN = auto()
    OLD = auto()
    """Already here, or of a binding that is over. Dropped and counted."""
    FAULT = auto()
    """Above what is expected: the wire lost or reordered something it must not (R6)."""


@dataclass(slots=True)
class ReceiveCredit:
    """What the session as a whole granted and has received: absolute, in bytes."""

    window: int
    granted: int = 0
    charged: int = 0
    consumed: int = 0
    squeezed: bool = False
    """The process holds as much as it may: each lane is granted one message at a time, and only when it is empty.
    Set by the driver before anything is granted."""

    def grant(self) -> int:
        """The absolute limit to announce now: what was consumed plus one window."""
        self.granted = max(self.granted, self.consumed + self.window)
        return self.granted


class ReceiveLane:
    """One lane from the peer. `credit` is the session's, None for lanes that are exempt."""

    def __init__(self, lane: int, limits: SessionLimits, credit: ReceiveCredit | None) -> None:
        self.lane = lane
        self.limits = limits
        self.session_credit = credit
        self.expected = Position(0, 0)
        self.epoch = 0
        self.wire: Hashable | None = None
        self.partial: Reassembly | None = None
        self.finished = False
        self.processed = 0
        self.durable = 0
        self.charged_messages = 0
        self.charged_size = 0
        self.consumed_messages = 0
        self.consumed_size = 0
        self.granted_messages = limits.window_messages
        self.granted_size = limits.window_size
        self._announced = False
        self.duplicates = 0
        self.ack_now_below = 0
        """The peer waits for news of every entry below this number."""
        self.unacked_messages = 0
        self.unacked_size = 0

    # -- receiving ----------------------------------------------------------------------------------

    def place(self, wire: Hashable, epoch: int, number: int, offset: int) -> Verdict:
        """Decide about a record that starts at a position, and follow the binding (R5, R6)."""
        if epoch < self.epoch or (epoch == self.epoch and wire is not self.wire):
            return Verdict.OLD
        if Position(number, offset) > self.expected:
            return Verdict.FAULT
        if epoch > self.epoch:
            self.epoch = epoch
            self.wire = wire
        return Verdict.TAKEN

    def unbind(self, wire: Hashable) -> None:
        """A wire is gone. Its epoch stays, so what was bound to it is bound to nothing until a higher one comes."""
        if self.wire is wire:
            self.wire = None

    def take(self, batch: Batch) -> Delivery | None:
        """Take a batch that `place` accepted. Returns what became whole by it, None if nothing did.

        Raises ProtocolError if the peer sent more than it was granted, or pieces that do not fit.
        """
        bodies = batch.bodies
        number, offset = batch.number, batch.offset
        size = batch.size if batch.size >= 0 else sum(map(len, bodies))
        self.unacked_size += size
        self.unacked_messages += len(bodies)
        if number == self.expected.number and not (self.expected.offset or batch.remaining):
            return self._whole(batch, size)
        behind = self.expected.number - number
        self.duplicates += min(behind, len(bodies))
        if behind >= len(bodies):
            return None
        if behind:
            bodies = bodies[behind:]
            offset = 0
        surplus = self.expected.offset - offset
        if surplus >= len(bodies[0]) > 0 and len(bodies) == 1 and batch.remaining:
            return None
        if surplus:
            bodies = [bodies[0][surplus:], *bodies[1:]]
        return self._pieces(batch, behind, bodies)

    def _whole(self, batch: Batch, size: int) -> Delivery:
        """All of the batch is new and whole; it has `size` bytes."""
        bodies = batch.bodies
        if size > self.limits.max_message:
            self._check_size(max(map(len, bodies)))
        self._charge(len(bodies), size)
        self.expected = Position(batch.number + len(bodies), 0)
        return Delivery(self.lane, batch.number, bodies, batch.correlations, batch.keys, size, batch.origins)

    def _pieces(self, batch: Batch, behind: int, bodies: list[bytes]) -> Delivery | None:
        """`bodies`: what is new of the batch, whose first `behind` messages are here already."""
        number, remaining = self.expected.number, batch.remaining
        continued = self.partial is not None
        sizes = list(map(len, bodies))
        sizes[-1] += remaining
        # Everything is checked before anything changes: a bad piece costs the wire, not what came before it.
        if self.partial is not None:
            self.partial.check(sizes[0])
        fresh = sizes[1:] if continued else sizes
        if fresh:
            self._check_size(max(fresh))
            self._charge(len(fresh), sum(fresh))
        whole: list[bytes] = []
        for body, size in zip(bodies, sizes, strict=True):
            if self.partial is None and size == len(body):
                whole.append(body)
                continue
            self.partial = self.partial or Reassembly(size)
            message = self.partial.add(body)
            if message is not None:
                whole.append(message)
                self.partial = None
        self.expected = Position(number + len(whole), self.partial.got if self.partial is not None else 0)
        if not whole:
            return None
        end = behind + len(whole)
        correlations, keys, origins = batch.correlations, batch.keys, batch.origins
        return Delivery(
            self.lane,
            number,
            whole,
            correlations[behind:end] if correlations is not None else None,
            keys[behind:end] if keys is not None else None,
            sum(map(len, whole)),
            origins[behind:end] if origins is not None else None,
        )

    def _check_size(self, size: int) -> None:
        if size > self.limits.max_message:
            raise ProtocolError(f"a message of {size} bytes on lane {self.lane} is over the limit")

    def _charge(self, messages: int, size: int) -> None:
        if self.finished:
            raise ProtocolError(f"a message on lane {self.lane} after its end")
        if self.charged_messages + messages > self.granted_messages or self.charged_size + size > self.granted_size:
            raise ProtocolError(f"the peer sent more on lane {self.lane} than it was granted")
        credit = self.session_credit
        if credit is not None:
            if credit.charged + size > credit.granted:
                raise ProtocolError("the peer sent more than the session was granted")
            credit.charged += size
        self.charged_messages += messages
        self.charged_size += size

    def take_skip(self, skip: Skip) -> Skipped | None:
        """Take a skip that `place` accepted. Returns the gap that is news, None if it is old."""
        if skip.last < self.expected.number:
            return None
        if self.finished:
            raise ProtocolError(f"a gap on lane {self.lane} after its end")
        if self.partial is not None:
            raise ProtocolError(f"a message on lane {self.lane} was dropped after it was partly transmitted")
        first = self.expected.number
        self.expected = Position(skip.last + 1, 0)
        self.unacked_messages += 1
        return Skipped(self.lane, first, skip.last, DropReason(skip.reason))

    def take_fin(self, fin: Fin) -> Finished | None:
        """Take the end that `place` accepted. Returns it if it is news."""
        if fin.number < self.expected.number:
            return None
        if self.partial is not None:
            raise ProtocolError(f"lane {self.lane} ended inside a message")
        self.expected = Position(fin.number + 1, 0)
        self.finished = True
        self.unacked_messages += 1
        return Finished(self.lane, fin.number)

    # -- consuming ----------------------------------------------------------------------------------

    def consumed(self, messages: int, size: int, processed: int) -> bool:
        """The consumer is done with `messages` of `size` bytes in all, and with every number below `processed`.

        Totals since the start of the lane. Returns whether half a window is now unannounced, so that the grant
        must go out at once (R10).
        """
        fresh = size - self.consumed_size
        self.consumed_messages = messages
        self.consumed_size = size
        self.processed = max(self.processed, min(processed, self.expected.number))
        credit = self.session_credit
        urgent = False
        if credit is not None:
            credit.consumed += fresh
            urgent = credit.consumed + credit.window - credit.granted >= credit.window // 2
        limits = self.limits
        unannounced_messages = messages + limits.window_messages - self.granted_messages
        unannounced_size = size + limits.window_size - self.granted_size
        return (
            urgent or unannounced_messages >= limits.window_messages // 2 or unannounced_size >= limits.window_size // 2
        )

    def grant(self) -> tuple[int, int]:
        """The absolute limits to announce now: what was consumed plus one window.

        While the process is full, room for one message of any allowed size if nothing waits here, and no more:
        every lane goes on, so nothing can wait in a circle, and a slow reader stops only its own senders.
        """
        limits = self.limits
        if self.session_credit is not None and self.session_credit.squeezed:
            window = limits.max_message if self.charged_size == self.consumed_size else 0
            messages = limits.window_messages if window else 0
            if not self._announced:
                self.granted_messages = self.granted_size = 0
        else:
            window, messages = limits.window_size, limits.window_messages
        self._announced = True
        self.granted_messages = max(self.granted_messages, self.consumed_messages + messages)
        self.granted_size = max(self.granted_size, self.consumed_size + window)
        return self.granted_messages, self.granted_size

    def ack(self) -> Ack:
        """The ack to announce now."""
        self.unacked_messages = 0
        self.unacked_size = 0
        return Ack(self.lane, self.expected, self.processed, self.durable)
