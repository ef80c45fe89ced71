"""What can go wrong with a file of durable messages: one class per different cure."""

from __future__ import annotations

from litz.errors import BackpressureError, LitzError


class StoreError(LitzError):
    """The store of an outbox or inbox could not do what was asked; nothing of it was written. The others are of it."""


class StoreFullError(StoreError):
    """The disk is full. Free some space; the next commit tries again."""


class StoreReadOnlyError(StoreError):
    """The file or its directory cannot be written. Check its owner, its mode, and how the disk is mounted."""


class StoreCorruptError(StoreError):
    """The file is damaged, or no such store. Restore it from a backup, or move it away and begin a new one."""


class StoreLockedError(StoreError):
    """Somebody else has held the file for longer than `lock_timeout`. Stop that one, or wait longer."""


class StoreFencedError(StoreError):
    """A newer process has opened this outbox: it belongs to that one. Stop this process."""


class OutboxFullError(BackpressureError):
    """The outbox holds `max_bytes`. Try again later, purge dead letters (`litz outbox`), or allow it more."""
