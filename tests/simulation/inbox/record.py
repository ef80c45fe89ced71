"""What the checker of the inbox knows: the messages, the lanes that they are put on, and who holds which.

Invariants
  exactly-once  what is processed, or in somebody's hands, is not handed out, and what was dropped never
  in-order      of one lane messages are handed out as they were put, but for those that were dropped
  marked        a message is marked as redelivered exactly if somebody has seen it before
  serial        of one sender no two are in hand at once, unless that was asked for
  claimed       a sender's messages go to the stream that has claimed it
  counted       counts of a queue never run ahead of what is processed; in the end they are exact, and no byte is left
  told          who watches a queue is told once of what is processed
  alive         what was put is handed out in the end
  closed        no task or timer is left, and no sender without sessions and messages
  typed-errors  no other error gets out
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from litz.inbox import Inbox
from litz.inbox_queue import InboxQueue
from litz.message import Message, Origin
from litz.payload import PayloadType
from tests.simulation import seeds
from tests.simulation.seeds import invariant_names

INVARIANTS = invariant_names(__doc__)


class InvariantError(seeds.InvariantError):
    """One of those above does not hold."""

    names = INVARIANTS


class LeaveError(Exception):
    """A consumer leaves its stream with an error."""


@dataclass(eq=False, slots=True)
class Put:
    """One message. `state`: waiting, in hand, done, or gone (dropped with its sender)."""

    uid: int
    lane: Lane
    queue: InboxQueue
    state: str = "waiting"
    seen: bool = False
    anywhere: bool = False
    """It was in the hands of a stream whose sender had moved away: it comes again, but others may come first."""


class Lane:
    """One lane of one sender, as it should be. Also the source of its messages."""

    verified = False

    def __init__(self, inbox: Inbox, sender: str, payload_type: PayloadType) -> None:
        self.inbox = inbox
        self.sender = sender
        self.payload_type = payload_type
        self.next = 0
        self.waiting: deque[Put] = deque()
        self.queues: list[InboxQueue] = []
        self.begin()

    def begin(self) -> None:
        """A new session."""
        self.queue = self.inbox.queue(self.sender, self.payload_type)
        self.queues.append(self.queue)

    def origin(self, number: int) -> Origin:
        raise AssertionError("nobody asks")

    async def reply(self, message: Message, data: Any) -> None:
        raise AssertionError("nobody asks")

    async def fail(self, message: Message, error: BaseException) -> None:
        raise AssertionError("nobody asks")


@dataclass(eq=False, slots=True)
class Hands:
    """What one consumer holds. `at_once`: how many it may of one sender; `keys`: of each of so many keys one."""

    at_once: int = 1
    claims: str = ""
    keys: int = 0
    held: dict[Put, None] = field(default_factory=dict)

    def same_key(self, one: Put, other: Put) -> bool:
        return one.uid % self.keys == other.uid % self.keys
