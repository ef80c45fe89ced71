"""What the users of a simulation know: lives of nodes, messages they sent, and the invariants by name.

Invariants
  exactly-once   no message is handed to a consumer twice, unless marked as redelivered; and marked only where a
                 restart explains it, always with the same origin, and never twice in one session
  intact         what is handed out is what was sent, on the lane and under the number of its receipt
  in-order       of one session and lane numbers are handed out without a hole, but for typed gaps
  loud           what was accepted is delivered, or listed as lost, or in a typed gap; what is listed as
                 never accepted was not delivered; what was confirmed is not listed
  one-dial       no endpoint is dialled twice at once, nor while its wire (or the peer's of that kind) is up,
                 nor over and over again without backoff
  bounded        logs, inboxes, links, tasks and timers stay within their limits
  silent         a wire on which nothing comes is given up after `ping_after` and `dead_after`, and a busy loop's
                 lateness
  heals          after the last fault everything is acknowledged within ten times the backoff cap
  no-starving    nobody waits for ever, and waiting senders are served in turn
  answers        a reply answers its own request
  requests-end   every request ends with a reply, a typed error or its timeout, and a handler whose requester
                 gave up is cancelled, and no other
  proved         nobody gets in without the proof; on a sealed wire nothing is readable, and a frame that was
                 changed or comes twice costs the wire
  closed         `aclose` returns in bounded time and leaves no task, timer or wire
  typed-errors   every error that gets out is typed, and none reaches the loop
  violations     a peer that breaks the rules loses the wire; only the last violation of `max_faults`, without a
                 good while between them, ends the session
  wakes          after a sleep of the machine waits of backoffs are over and silent wires are given up soon, and
                 nothing else is taken for a sleep
  on-best        a while after the last fault every lane is on a wire than which none is clearly better, by the truth
                 about the wires: well, preferred, more direct, much quicker; and no lane ever moves to a wire than
                 which another one is clearly better by what was measured, nor rests on such a one while all is calm
  calm           then no lane moves more than a few times, unless wires come or go; and at any time a lane leaves a
                 wire that is well only for a steady one, and by measure only for a clear difference, and not at once
  urgent-apart   then, on a wire with an urgent channel, signals and replies ride on that, and bulk does not
  filtered       nothing is dialled, from whatever source, that `allow_endpoint` refuses
  ends           only who meant to leave is taken for one that left; it is not dialled until it is back or wanted
                 again; who leaves, or is told of a peer that does, accepts nothing more; and the list of a final
                 drain is exact, and there in time
  streams-exact  of each half of a stream the entries come once, in order and unchanged, and its end only behind all
  streams-end    both users of a stream are told one end, the same: complete, aborted as somebody said, or lost; an open
                 is answered by whoever took or refused it; and nothing is told after the end, or to who has gone
  streams-free   once all has healed every stream comes to its end, beside others that nobody reads
  streams-left   nothing of streams that are over is left in tables, lanes and budgets
  events         events are numbered, and tell a possible story
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from litz.events import LostReceipt
from litz.message import Receipt
from tests.simulation import seeds
from tests.simulation.seeds import invariant_names

if TYPE_CHECKING:
    from outproc.session.session import Session
    from tests.simulation.managers.life import Life

INVARIANTS = invariant_names(__doc__)

BLOCK = bytes((i * 197 + i // 251 * 31 + i // 7) & 0xFF for i in range(1 << 17))
HEAD = 5
PLAIN, ECHO, RAISE, SLOW, HOLD, BIG = range(6)
"""What a consumer does with a message."""


class InvariantError(seeds.InvariantError):
    """One of those above does not hold."""

    names = INVARIANTS


@dataclass(slots=True, eq=False)
class Sent:
    """One message that a user handed to `send` and its like."""

    uid: int
    life: Life
    dest: str
    lane: int
    data: bytes
    receipt: Receipt | None = None
    state: str = "pending"
    """pending, accepted, refused (surely not sent), doubtful (cancelled: sent or not)"""
    confirmed: bool = False
    given_up: bool = False
    """A request that was cancelled or timed out: a handler that had not begun does not get it."""
    handed: list[tuple[Life, int, int]] = field(default_factory=list)
    """(receiver, number of its session, message number)"""
    sessions: list[Session] = field(default_factory=list)
    """Of the receivers, those in which it was handed out."""
    unmarked: bool = False
    """Whether it was handed out as if for the first time."""
    lost: LostReceipt | None = None

    def __repr__(self) -> str:
        return f"message {self.uid} {self.life}>{self.dest} lane {self.lane} {self.receipt and self.receipt[1]}"


def payload(uid: int, what: int, size: int) -> bytes:
    """The bytes of a message: who it is, what to do with it, and bytes that fit nowhere else."""
    start = uid * 7919 % (len(BLOCK) - (1 << 16))
    return uid.to_bytes(4, "big") + bytes((what,)) + BLOCK[start : start + max(0, size - HEAD)]


def uid_of(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")


def answer_to(data: bytes) -> bytes:
    """What a request is answered with: only the right answer has the right bytes."""
    return b"re" + data[:500]


def big_answer(data: bytes, largest: int) -> bytes:
    """An answer as large as the node that gives it may send, or one byte more."""
    return (answer_to(data) + BLOCK)[: largest + uid_of(data) % 2]
