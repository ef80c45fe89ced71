"""What an outbox changes in its store: gathered, and committed one group after the other.

While a commit is under way the next group gathers, so many senders share one write to the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from litz.errors import LitzError, ManagerStateError
from outproc.outbox.errors import StoreError, StoreFencedError
from outproc.outbox.store import RETRIES, Group, NewRow, OutboxStore, Written
from outproc.outbox.store_thread import StoreRunner

GROUP_MESSAGES: Final = 1_024
"""Messages of one commit. Those who wait for it go on while the next one is written."""
LATE: Final = 0.05
"""Seconds that changes for which nobody waits wait for a commit that is made anyway."""
RETRY_DELAY: Final = 1.0
"""Seconds until such changes are tried again when their commit failed."""


class CommitOwner(Protocol):
    """Who decides what a commit means."""

    def handing_over(self, group: Group) -> None:
        """The group is complete and goes to the store: its last changes."""

    def committed(self, group: Group, written: Written) -> None:
        """It is there, and those who waited have been told."""

    def not_committed(self, group: Group, error: LitzError) -> None:
        """Nothing of it is there, and those who waited have been told. Its rows are gone, the rest is tried again."""

    def fenced(self, error: StoreFencedError) -> None:
        """Nothing is committed any more: a newer process owns the file."""


class Commits:
    """See the module. `group` is what gathers: change it, then `arm`. All methods belong to the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: OutboxStore,
        thread: StoreRunner,
        *,
        now: Callable[[], float],
        owner: CommitOwner,
        first: int,
    ) -> None:
        self._loop = loop
        self._store = store
        self._thread = thread
        self._now = now
        self._owner = owner
        self.next = first
        """The next sequence."""
        self.group = Group()
        self._created = 0.0
        """When the first row of the group was added, which is near enough for all of them."""
        self.failed: StoreFencedError | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._armed: asyncio.Handle | None = None
        self._armed_late = False
        self._retrying = False
        """With the next group that is the last of what was accepted so far, dead letters become messages again."""
        self._writing = False
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, dest: str, key: str, data: bytes) -> tuple[int, asyncio.Future[None]]:
        """Add one message. Returns its sequence, and the future of its commit."""
        sequence = self.next
        self.next += 1
        waiter: asyncio.Future[None] = self._loop.create_future()
        rows = self.group.rows
        if not rows:
            self._created = self._now()
        rows.append(NewRow(sequence, dest, key, self._created, data))
        self._waiters.append(waiter)
        self.arm()
        return sequence, waiter

    def retry(self) -> None:
        """Have dead letters that somebody wants sent again become messages, behind all that was accepted so far."""
        self._retrying = True
        self.arm()

    def arm(self, *, late: bool = False, delay: float = LATE) -> None:
        """Commit at the end of this turn of the loop; `late`: in a while, if nothing else is committed before."""
        if self._writing or self._closing or self.failed is not None:
            return
        if self._armed is not None:
            if late or not self._armed_late:
                return
            self._armed.cancel()
        self._armed_late = late
        self._armed = self._loop.call_later(delay, self._commit) if late else self._loop.call_soon(self._commit)

    def _disarm(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _commit(self) -> None:
        self._disarm()
        if self._writing or not (self.group or self._retrying) or self.failed is not None:
            return
        group, self.group = self.group, Group()
        waiters, self._waiters = self._waiters[:GROUP_MESSAGES], self._waiters[GROUP_MESSAGES:]
        if len(group.rows) > GROUP_MESSAGES:
            group.rows, self.group.rows = group.rows[:GROUP_MESSAGES], group.rows[GROUP_MESSAGES:]
        elif self._retrying:
            # Only now: sequences must ascend within a commit and from one to the next, also those of retries.
            self._retrying = False
            group.retry_from = self.next
            self.next += RETRIES
        self._owner.handing_over(group)
        group.peers = {name: replace(peer) for name, peer in group.peers.items()}
        self._writing = True
        self._idle.clear()
        self._thread.call(partial(self._store.write, group, self._now()), partial(self._written, group, waiters))

    def _written(
        self, group: Group, waiters: list[asyncio.Future[None]], written: Written | None, raised: BaseException | None
    ) -> None:
        self._writing = False
        if written is not None:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._owner.committed(group, written)
        else:
            self._not_written(group, waiters, raised)
        if self.group.rows or (self._closing and written is not None):
            self._commit()
        elif self.group or self._retrying:
            self.arm(late=True, delay=LATE if written is not None else RETRY_DELAY)
        if not self._writing:
            self._idle.set()

    def _not_written(self, group: Group, waiters: list[asyncio.Future[None]], raised: BaseException | None) -> None:
        error = raised if isinstance(raised, LitzError) else LitzError(f"the outbox failed: {raised!r}")
        tell(waiters, error)
        if isinstance(error, StoreFencedError):
            self.fence(error)
            return
        self._owner.not_committed(group, error)
        newer, self.group = self.group, group
        self._retrying |= group.retry_from is not None
        group.rows, group.retry_from = newer.rows, None
        group.expire = newer.expire
        group.dead += newer.dead
        group.deleted.update(newer.deleted)
        group.attempts.update(newer.attempts)
        group.peers.update(newer.peers)

    def fence(self, error: StoreFencedError) -> None:
        """A newer process owns the file."""
        if self.failed is None:
            self.failed = error
            self.group = Group()
            waiters, self._waiters = self._waiters, []
            tell(waiters, error)
            self._owner.fenced(error)

    async def finish(self, deadline: float, error: LitzError) -> None:
        """Commit what was added, until the loop's time `deadline`. Who still waits then gets `error`."""
        self._closing = True
        self._commit()
        try:
            async with asyncio.timeout_at(deadline):
                await self._idle.wait()
        except TimeoutError:
            pass
        self._disarm()
        tell(self._waiters, error)


def tell(waiters: list[asyncio.Future[None]], error: LitzError) -> None:
    """Each gets an error of its own: one that is raised by many tasks collects the traces of all."""
    for waiter in waiters:
        if not waiter.done():
            own = (
                type(error)(*error.args) if isinstance(error, StoreError | ManagerStateError) else LitzError(str(error))
            )
            own.__cause__ = error
            waiter.set_exception(own)
