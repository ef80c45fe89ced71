"""What the users of a simulation know: lives of nodes, messages they sent, and the invariants by name.

Invariants
  exactly-once   no message is handed to a consumer twice, unless marked as redelivered
  intact         what is handed out is what was sent, on the lane and under the number of its receipt
  in-order       of one session and lane numbers are handed out without a hole, but for typed gaps
  loud           what was accepted is delivered, or listed as lost, or in a typed gap; what is listed as
                 never accepted was not delivered; what was confirmed is not listed
  one-dial       no endpoint is dialled twice at once, nor while its wire (or the peer's of that kind) is up,
                 nor over and over again without backoff
  bounded        logs, inboxes, links, tasks and timers stay within their limits
  heals          after the last fault everything is acknowledged within ten times the backoff cap
  no-starving    nobody waits for ever, and waiting senders are served in turn
  answers        a reply answers its own request
  closed         `aclose` returns in bounded time and leaves no task, timer or wire
  typed-errors   every error that gets out is typed, and none reaches the loop
  violations     a peer that breaks the rules loses the wire; only the last violation of `max_faults`, without a
                 good while between them, ends the session
  wakes          after a sleep of the machine waits of backoffs are over and silent wires are given up soon, and
                 nothing else is taken for a sleep
  events         events are numbered, and tell a possible story
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from litz.events import LostReceipt
from litz.message import Receipt

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life

INVARIANTS = tuple(
    line.split()[0]
    for line in (__doc__ or "").split("Invariants\n")[1].splitlines()
    if line.startswith("  ") and not line.startswith("   ")
)

BLOCK = bytes((i * 197 + i // 251 * 31 + i // 7) & 0xFF for i in range(1 << 17))
HEAD = 5
PLAIN, ECHO, RAISE, SLOW = range(4)
"""What a consumer does with a message."""


class InvariantError(AssertionError):
    """An invariant does not hold."""

    def __init__(self, name: str, detail: str) -> None:
        assert name in INVARIANTS, name
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail


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
