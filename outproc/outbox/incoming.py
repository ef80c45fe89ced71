"""The receiving side of one outbox: what is new, what was taken already, and how far it is committed. Pure.

The driver makes one for each producer it hears of and keeps it as long as its process lives. It hands over OPEN, DATA
and PART, puts what comes back into the handler queue, tells how far the consumer is (`processed`), and what a commit
has made durable (`committed_to`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import repeat
from typing import NamedTuple

from litz.errors import ProtocolError
from outproc.outbox.records import Accept, Data, Open, Part, Refuse, RefuseCode
from outproc.outbox.store import Position


class Taken(NamedTuple):
    """One new message."""

    sequence: int
    key: str
    redelivered: bool
    body: bytes


class Incoming:
    """See the module. `applied`: sequences above the position of which the effect is committed."""

    def __init__(
        self, position: Position | None, applied: Iterable[int], *, messages: int, size: int, max_message: int
    ) -> None:
        self._last = (position.epoch, position.run) if position is not None else None
        """Epoch and run of the last run that sent anything."""
        self._now: tuple[int, bytes] | None = None
        self.committed = position.committed if position is not None else 0
        self.received = self.committed
        self._done = self.committed
        self.applied = set(applied)
        self._messages = messages
        self._size = size
        self._max_message = max_message
        self._waiting: deque[tuple[int, int]] = deque()
        """Sequence and size of what was taken and is not committed."""
        self._waiting_size = 0
        self._part: tuple[Part, bytearray] | None = None
        self.duplicates = 0

    def open(self, said: Open, boot: bytes) -> Accept | Refuse:
        """The answer to OPEN. An accepted run is believed only when it sends something."""
        epoch, run = self._last or (0, bytes(16))
        if said.epoch < epoch:
            self._now = None
            return Refuse(RefuseCode.FENCED, epoch, run)
        self._now = (said.epoch, said.run)
        self._part = None
        return Accept(
            self._last is not None,
            epoch,
            run,
            self.committed,
            self.received,
            self._messages,
            self._size,
            self._max_message,
            boot,
        )

    def closed(self) -> None:
        """The session is over."""
        self._now = None
        self._part = None

    # -- taking ---------------------------------------------------------------------------------------

    def take(self, said: Data) -> list[Taken]:
        """What is new of it, for the handler queue. Raises ProtocolError; then nothing was taken, and nothing is before
        the next OPEN."""
        self._check()
        if self._part is not None:
            raise self._broken("a message began inside another one")
        rows = zip(said.sequences, said.keys or repeat(""), map(bool, said.marks), said.bodies, strict=False)
        return self._take(list(map(Taken._make, rows)))

    def take_part(self, said: Part) -> Taken | None:
        """The message that became whole and is new. Raises ProtocolError as `take` does."""
        self._check()
        if said.offset == 0 and self._part is None:
            if said.size > self._max_message:
                raise self._broken(f"a durable message of {said.size} bytes is over the limit")
            self._part = (said, bytearray())  # not a list: pieces may be of one byte each
        if self._part is None:
            raise self._broken("a piece of a message without its beginning")
        first, body = self._part
        if said.offset != len(body) or (first.sequence, first.size) != (said.sequence, said.size):
            raise self._broken("pieces of a message that do not fit")
        body += said.body
        if len(body) < said.size:
            return None
        self._part = None
        taken = self._take([Taken(first.sequence, first.key, bool(first.mark), bytes(body))])
        return taken[0] if taken else None

    def _check(self) -> None:
        if self._now is None:
            raise ProtocolError("durable messages before OPEN was accepted")
        self._last = self._now

    def _broken(self, why: str) -> ProtocolError:
        """What follows in this conversation would leave a hole."""
        self.closed()
        return ProtocolError(why)

    def _take(self, rows: list[Taken]) -> list[Taken]:
        new = [row for row in rows if row.sequence > self.received and row.sequence not in self.applied]
        sizes = [len(row.body) for row in new]
        if sizes and max(sizes) > self._max_message:
            raise self._broken(f"a durable message of {max(sizes)} bytes is over the limit")
        messages, size = len(self._waiting) + len(new), self._waiting_size + sum(sizes)
        # Twice the window: of what was taken in an earlier session its outbox may know nothing any more.
        if messages > 1 and (messages > 2 * self._messages or size > 2 * self._size + self._max_message):
            raise self._broken("more durable messages than the window takes")
        self.duplicates += len(rows) - len(new)
        self.received = max(self.received, rows[-1].sequence)
        self._waiting.extend((row.sequence, len(row.body)) for row in new)
        self._waiting_size = size
        return new

    # -- done -----------------------------------------------------------------------------------------

    def processed(self, sequence: int | None) -> None:
        """The consumer is done with everything up to `sequence`; None: with all that was taken."""
        self._done = max(self._done, self.received if sequence is None else sequence)

    def is_next(self, sequence: int) -> bool:
        """Whether everything below that was taken is done."""
        for waiting, _ in self._waiting:
            if waiting > self._done:
                return waiting == sequence
        return False

    def position(self) -> Position | None:
        """What is to be committed; None: nothing is new."""
        if self._done <= self.committed or self._last is None:
            return None
        return Position(*self._last, self._done)

    def position_at(self, sequence: int) -> Position:
        """What is to be committed with the effect of a message that was taken."""
        if self._last is None:
            raise RuntimeError("nothing was taken of this producer")
        return Position(*self._last, sequence)

    def committed_to(self, sequence: int) -> bool:
        """Everything up to `sequence` is committed. Returns whether that is more than before."""
        if sequence <= self.committed:
            return False
        self.committed = sequence
        self._done = max(self._done, sequence)
        while self._waiting and self._waiting[0][0] <= sequence:
            self._waiting_size -= self._waiting.popleft()[1]
        if self.applied:
            self.applied = {applied for applied in self.applied if applied > sequence}
        return True

    @property
    def unheard(self) -> bool:
        """Whether nothing ever came of this producer: there is nothing to remember."""
        return self._last is None

    @property
    def waiting(self) -> int:
        """Messages that were taken and are not committed."""
        return len(self._waiting)
