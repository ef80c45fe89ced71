"""What can be set about an outbox and an inbox. Checked when they are made; docs/outbox.md has the table."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Synchronous = Literal["full", "normal", "off"]


class OutboxOptions(BaseModel):
    """Sizes in bytes, times in seconds.

    synchronous   SQLite's: what a power cut can cost (docs/outbox.md)
    lock_timeout  how long to wait for somebody else who holds the file
    max_bytes     of all rows, dead letters included; then `send` raises `OutboxFullError`
    max_age       after it a message becomes a dead letter
    max_attempts  processes of the receiver that may die at one message before it becomes a dead letter
    revisit       how often dests with messages and without a session are dialled
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    synchronous: Synchronous = "full"
    lock_timeout: Seconds = 5.0
    max_bytes: Count = 1 << 30
    max_age: Seconds = 7 * 86_400.0
    max_attempts: Count = 16
    revisit: Seconds = 5.0


class InboxOptions(BaseModel):
    """Sizes in bytes, times in seconds.

    synchronous      SQLite's: what a power cut can cost (docs/outbox.md)
    lock_timeout     how long to wait for somebody else who holds the file
    window_messages  of one sender, in the handler queue and not committed
    window_bytes     the same in bytes; one message of any allowed size always goes
    max_producers    files of senders whose positions are known
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    synchronous: Synchronous = "full"
    lock_timeout: Seconds = 5.0
    window_messages: Annotated[int, Field(ge=1, le=1 << 20)] = 4_096
    window_bytes: Annotated[int, Field(ge=1 << 10, le=1 << 30)] = 4 << 20
    max_producers: Count = 65_536
