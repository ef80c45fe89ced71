"""The sending side of one dest while its inbox has accepted us: what to post next, and what is done. Pure.

The driver makes one at each ACCEPT and forgets it when the session ends: nothing is ever sent twice in between, so
nothing has to be sent again. It asks `wants_read` and gives what the store had (`add_read`), or what was just committed
(`add_committed`); posts what `next` says, then calls `posted`; hands over each ACK (`acked`); and carries out what
`take_findings` tells, `buried` included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from litz.errors import ProtocolError
from outproc.outbox.events import DeadReason
from outproc.outbox.records import (
    MAX_COUNT,
    MAX_PAYLOAD,
    REDELIVERED,
    Accept,
    Ack,
    Data,
    Part,
    encode_data,
    encode_part,
)
from outproc.outbox.store import Peer, Row, Run

NONE_COUNTED: Final[Mapping[int, int]] = {}

CACHE_MESSAGES: Final = 16_384
CACHE_BYTES: Final = 4 << 20
"""Of one dest, committed and not yet posted: what is beyond is read from the store when its turn comes."""


def is_ours(accept: Accept, runs: Sequence[Run], highest: int) -> bool:
    """Whether what the inbox knows of this producer can come from this file. `highest` is the last sequence used.

    If not, the file was restored from a backup (or lost its last commits): sequences would be used twice.
    """
    if not accept.known:
        return True
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        if (run.epoch, run.token) == (accept.epoch, accept.run):
            end = following.first - 1 if following is not None else highest
            return accept.received <= end
    return False


def heard(peer: Peer, accept: Accept) -> tuple[Peer, bool]:
    """What is known of a dest after its ACCEPT, and whether another process of it answered than the last time."""
    if accept.boot == peer.boot:
        return Peer(accept.committed, peer.tried, peer.suspect, accept.boot), False
    # If none is known, one may have answered before and we died before that was written down: no death of its own.
    return Peer(accept.committed, peer.tried, peer.tried, accept.boot), peer.boot != b""


@dataclass(slots=True)
class Findings:
    """What the driver has to write down."""

    dead: list[tuple[int, DeadReason]] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)


class Outgoing:
    """See the module. `peer` is what is known after this ACCEPT, `another` whether the peer's process is a new one,
    `counted` the attempts by sequence that were found and may not be in the store yet."""

    def __init__(
        self,
        accept: Accept,
        peer: Peer,
        *,
        another: bool,
        max_attempts: int,
        counted: Mapping[int, int] = NONE_COUNTED,
    ) -> None:
        self.committed = accept.committed
        self._received = accept.received
        self._window = (accept.window_messages, accept.window_bytes)
        self._max_message = accept.max_message
        self._suspect = peer.suspect
        self._counts = another
        self._max_attempts = max_attempts
        self._counted = counted
        self._cache: deque[Row] = deque()
        self._cached_bytes = 0
        self._flight: deque[tuple[int, int]] = deque()
        """Sequence and size of what the inbox has, or will have in a moment, and has not committed."""
        self._flight_bytes = 0
        self._offset = 0
        """Bytes of the first cached row that were posted as parts."""
        self._taken = (0, 0)
        self._findings = Findings()
        self._burying: set[int] = set()
        """Dead letters that may not be in the file as such yet. Nothing behind them goes before they are: once that is
        confirmed, all that is not a dead letter is deleted with it."""
        self.posted_up_to = max(accept.received, accept.committed)
        self.read_after = accept.committed
        """The highest sequence that came from the store; what is above has to be read, unless `complete`."""
        self.complete = False
        """All that is committed for this dest is here or was: what is committed from now on follows without a gap."""

    # -- what there is to send ------------------------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """Whether the store should be asked for what is above `read_after`."""
        return not self.complete and self._cached_bytes < CACHE_BYTES // 2 and len(self._cache) < CACHE_MESSAGES // 2

    def add_read(self, rows: Sequence[Row], *, complete: bool) -> None:
        """What the store has above `read_after`; `complete`: nothing is above these."""
        self.complete = complete
        self._add(rows)

    def add_committed(self, rows: Sequence[Row]) -> None:
        """These were just committed, after everything that the store has told."""
        if not self.complete:
            return  # they are read when their turn comes
        size = sum([len(row.data) for row in rows])
        if self._cached_bytes + size > CACHE_BYTES or len(self._cache) + len(rows) > CACHE_MESSAGES:
            self.complete = False
            return
        self._add(rows)

    def _add(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        if rows[0].sequence <= self.read_after:
            raise RuntimeError(f"row {rows[0].sequence} comes after {self.read_after}")
        self.read_after = rows[-1].sequence
        self._cache.extend(rows)
        self._cached_bytes += sum([len(row.data) for row in rows])
        if self._counts:
            self._counts = False
            self._count_attempt()

    def _count_attempt(self) -> None:
        """A process of the peer has gone while the first row was the next to be committed: that row may be why."""
        head = self._cache[0]
        if head.sequence > self._suspect:
            return
        attempts = max(head.attempts, self._counted.get(head.sequence, 0)) + 1
        if attempts >= self._max_attempts:
            self._bury("attempts")
        else:
            self._findings.attempts[head.sequence] = attempts

    def _bury(self, reason: DeadReason) -> None:
        row = self._cache.popleft()
        self._cached_bytes -= row.size
        self._burying.add(row.sequence)
        self._findings.dead.append((row.sequence, reason))

    def take_findings(self) -> Findings:
        """What is to be written down, once."""
        found, self._findings = self._findings, Findings()
        return found

    def buried(self, sequences: Iterable[int]) -> None:
        """The commit that made these dead letters is there: `next` may have something again."""
        self._burying.difference_update(sequences)

    # -- posting --------------------------------------------------------------------------------------

    def next(self) -> list[bytes] | None:
        """What to post next; None: nothing is here, or the window is full. Then call `posted`, or ask again later."""
        while self._cache and not self._offset:
            head = self._cache[0]
            if head.sequence <= self._received:
                self._fly(1)
            elif head.size > self._max_message:
                self._bury("too large")
            else:
                break
        if not self._cache or self._burying:
            return None
        head = self._cache[0]
        if self._offset or head.size + len(head.key.encode()) > MAX_PAYLOAD:
            return self._next_part(head)
        return self._next_rows()

    def _next_part(self, row: Row) -> list[bytes] | None:
        if not self._offset and not self._fits(0, 0, row.size):
            return None
        piece = row.data[self._offset : self._offset + MAX_PAYLOAD]
        key = row.key if not self._offset else ""
        part = Part(row.sequence, self._mark(row), key, row.size, self._offset, piece)
        end = self._offset + len(piece)
        self._taken = (1, 0) if end == row.size else (0, end)
        return encode_part(part)

    def _next_rows(self) -> list[bytes] | None:
        rows: list[Row] = []
        size = keys = 0
        for row in self._cache:
            key = len(row.key.encode()) if row.key else 0
            length = len(row.data)
            over = size + keys + length + key > MAX_PAYLOAD or len(rows) == MAX_COUNT
            if over or length > self._max_message or not self._fits(len(rows), size, length):
                break
            rows.append(row)
            size += length
            keys += key
        if not rows:
            return None
        self._taken = (len(rows), 0)
        return encode_data(
            Data(
                [row.sequence for row in rows],
                [self._mark(row) for row in rows],
                [row.key for row in rows] if keys else None,
                [row.data for row in rows],
            )
        )

    def _fits(self, messages: int, size: int, more: int) -> bool:
        """Whether one more message of `more` bytes fits into the window with `messages` of `size`."""
        flying = len(self._flight) + messages
        if not flying:
            return True
        return flying < self._window[0] and self._flight_bytes + size + more <= self._window[1]

    def _mark(self, row: Row) -> int:
        return REDELIVERED if row.again or row.sequence <= self._suspect else 0

    def posted(self) -> None:
        """What `next` gave is on its way."""
        count, self._offset = self._taken
        self._taken = (0, 0)
        if count:
            self.posted_up_to = max(self.posted_up_to, self._cache[count - 1].sequence)
            self._fly(count)

    def _fly(self, count: int) -> None:
        for _ in range(count):
            row = self._cache.popleft()
            size = len(row.data)
            self._cached_bytes -= size
            if row.sequence > self.committed:  # else its ack was here before it was read, and no other comes
                self._flight.append((row.sequence, size))
                self._flight_bytes += size

    # -- what the inbox says --------------------------------------------------------------------------

    def acked(self, ack: Ack) -> bool:
        """Take an ack; absolute, so an old one changes nothing. Returns whether more is done than before. Raises
        ProtocolError for what was never sent."""
        if ack.committed > self.posted_up_to:
            raise ProtocolError(f"an ack of message {ack.committed}, but {self.posted_up_to} was the last one sent")
        self._window = (ack.window_messages, ack.window_bytes)
        if ack.committed <= self.committed:
            return False
        self.committed = ack.committed
        while self._flight and self._flight[0][0] <= ack.committed:
            self._flight_bytes -= self._flight.popleft()[1]
        return True

    @property
    def in_flight(self) -> int:
        """Messages that the inbox has not committed."""
        return len(self._flight)
