"""What the users of durable messages know, and the invariants by name.

Invariants
  none-lost      what `send` returned for is handled, or a dead letter, or was in a file that an older copy replaced
  committed      when `send` returns the message is in the file; with confirm it is done for good at its dest
  effect-once    an effect in the inbox's transaction is there once, and not missing
  marked         what is handed out again is marked, and nothing is handed out twice by one process of the receiver
  explained      a mark is there only where a restart of the receiver, a renewed producer or a retry explains it
  in-order       messages of one node to one dest are handed out first in the order in which they were accepted
  intact         what is handed out is what was sent
  deleted-late   nothing leaves the outbox before its dest has committed it, but as a dead letter
  fenced         nothing is written by a process whose file was opened by another one
  dead-letters   each has its reason: too large, too old, or as many deaths of the receiver as are allowed
  bounded        files, windows and groups stay within their limits
  settles        after the last fault everything is delivered soon
  typed-errors   every error that gets out is typed, and none reaches the loop
  closed         `aclose` returns in bounded time and leaves nothing
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation import seeds
from tests.simulation.seeds import invariant_names

if TYPE_CHECKING:
    from tests.simulation.durable.process import Process

INVARIANTS = invariant_names(__doc__)

HEAD = 5


class InvariantError(seeds.InvariantError):
    """One of those above does not hold."""

    names = INVARIANTS


@dataclass(slots=True, eq=False)
class Sent:
    """One message that a user handed to `send`.

    state    pending, accepted (`send` returned), refused (surely not sent), doubtful (sent or not)
    excused  an older copy of a file has replaced the one that it was in
    again    it may be sent as another message: its producer was renewed, or it was a dead letter that is retried
    handed   the processes that began to handle it, with the mark and when
    """

    uid: int
    process: Process
    dest: str
    data: bytes
    key: str
    sent_at: float
    state: str = "pending"
    excused: bool = False
    again: bool = False
    retried: bool = False
    plain: bool = False
    """Handled at least once without the inbox's transaction."""
    handed: list[tuple[Process, bool, float]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"message {self.uid} {self.process}>{self.dest} of {len(self.data)} bytes, {self.state}"


def payload(uid: int, size: int) -> bytes:
    """The bytes of a message: who it is, and bytes that fit nowhere else."""
    return (uid.to_bytes(HEAD, "big") * (2 + size // HEAD))[: max(size, HEAD)]


def uid_of(data: bytes) -> int:
    return int.from_bytes(data[:HEAD], "big")
