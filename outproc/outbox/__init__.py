"""Durable messages: the files of a sender (outbox) and of a receiver (inbox), and what passes between them.

Given to a manager: `OutprocTransportManager(..., outbox=Outbox(path), inbox=Inbox(path))`; docs/outbox.md tells more.
"""

from outproc.outbox.errors import (
    OutboxFullError,
    StoreCorruptError,
    StoreError,
    StoreFencedError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
)
from outproc.outbox.events import DeadLettered, DurableUnsupported, InboxWentBack, OutboxRestored, StoreFailed
from outproc.outbox.inbox import Inbox
from outproc.outbox.options import InboxOptions, OutboxOptions
from outproc.outbox.outbox import Outbox
from outproc.outbox.store import InboxStore, OutboxStore

__all__ = [
    "DeadLettered",
    "DurableUnsupported",
    "Inbox",
    "InboxOptions",
    "InboxStore",
    "InboxWentBack",
    "Outbox",
    "OutboxFullError",
    "OutboxOptions",
    "OutboxRestored",
    "OutboxStore",
    "StoreCorruptError",
    "StoreError",
    "StoreFailed",
    "StoreFencedError",
    "StoreFullError",
    "StoreLockedError",
    "StoreReadOnlyError",
]
