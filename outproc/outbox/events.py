"""What outbox and inbox tell through the manager's `events()`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from litz.events import Event

DeadReason = Literal["attempts", "expired", "too large"]
"""Why a message became a dead letter.

attempts   the receiver's process died `max_attempts` times while this was the first message it had not committed
expired    it is older than `max_age`
too large  above the receiver's `max_message`
"""


@dataclass(frozen=True, slots=True)
class DeadLettered(Event):
    """These messages to `dest` are not sent any more. They stay in the outbox's table of dead letters: `litz outbox`
    lists, retries and purges them."""

    sequences: tuple[int, ...]
    reason: DeadReason


@dataclass(frozen=True, slots=True)
class DurableUnsupported(Event):
    """There are durable messages for `dest`, and it has no inbox, or its inbox refuses them. They are kept."""

    reason: str


@dataclass(frozen=True, slots=True)
class InboxWentBack(Event):
    """The inbox of `dest` had committed `acked` and now stands at `stated`: restored from a backup, or moved away. What
    is between is gone from the outbox and is not sent again."""

    stated: int
    acked: int


@dataclass(frozen=True, slots=True)
class OutboxRestored(Event):
    """`dest` knows later messages of this outbox than the outbox itself, which was restored from a backup, or lost its
    last commits in a power cut. It goes on as a new producer; what it holds is sent marked as redelivered."""


@dataclass(frozen=True, slots=True)
class StoreFailed(Event):
    """A commit for which nobody waits failed: deletions of an outbox, positions of an inbox. It is tried again. `dest`
    is this node's own id. Told once, until a commit succeeds."""

    error: Exception
