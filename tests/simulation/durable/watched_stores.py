"""Stores that fail when their disk is full, and that tell the checker of everything that was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from outproc.outbox.commits import GROUP_MESSAGES
from outproc.outbox.errors import StoreFullError
from outproc.outbox.store import (
    Group,
    InboxGroup,
    InboxStore,
    Key,
    Look,
    NewRow,
    Opened,
    OutboxStore,
    Position,
    Row,
    Run,
    Written,
)
from tests.simulation.durable.disks import Disk
from tests.simulation.durable.record import InvariantError, uid_of

if TYPE_CHECKING:
    from tests.simulation.durable.process import Process


class Ledger:
    """What the checker knows of one outbox file: its rows, all that ever were there, who opened it last, and of each
    dest the processes that it noted one after the other, with the time."""

    def __init__(self) -> None:
        self.rows: dict[int, NewRow] = {}
        self.ever: dict[int, None] = {}
        self.owner: Process | None = None
        self.heard: dict[str, list[tuple[float, bytes]]] = {}

    def copy(self) -> Ledger:
        copied = Ledger()
        copied.rows, copied.ever = dict(self.rows), dict(self.ever)
        copied.heard = {dest: list(heard) for dest, heard in self.heard.items()}
        return copied

    def note(self, dest: str, boot: bytes, now: float) -> None:
        """It is written down that this process of `dest` was heard."""
        heard = self.heard.setdefault(dest, [])
        if boot and (not heard or heard[-1][1] != boot):
            heard.append((now, boot))

    def deaths(self, dest: str, since: float) -> int:
        """How often another process of `dest` than before was noted."""
        return sum(at > since for at, _ in self.heard.get(dest, ())[1:])


class WatchedOutbox:
    """Implements `OutboxStore` around another."""

    def __init__(self, process: Process, store: OutboxStore, disk: Disk) -> None:
        self._process = process
        self._checker = process.world.checker
        self._store = store
        self._disk = disk
        self._ledger = process.ledger
        self._rest = 0.0

    def open(self, token: bytes, now: float) -> Opened:
        self._check_disk()
        opened = self._store.open(token, now)
        self._ledger.owner = self._process
        self._rest = now - opened.last_run if opened.last_run else 0.0
        return opened

    def _check_disk(self) -> None:
        if self._disk.full:
            self._process.world.hits["disk full"] += 1
            raise StoreFullError("the disk is full")

    def _wrote(self) -> None:
        if self._ledger.owner is not self._process:
            raise InvariantError("fenced", f"{self._process} wrote into the file of {self._ledger.owner}")

    def write(self, group: Group, now: float) -> Written:
        self._check_disk()
        rows = self._ledger.rows
        written = self._store.write(group, now)
        self._wrote()
        if len(group.rows) > GROUP_MESSAGES:
            raise InvariantError("bounded", f"{self._process} writes {len(group.rows)} messages at once")
        self._process.world.hits["group commit"] += len(group.rows) > 1
        for row in group.rows:
            rows[row.sequence] = row
            self._ledger.ever[uid_of(row.data)] = None
        for dest, peer in group.peers.items():
            self._ledger.note(dest, peer.boot, self._process.world.loop.time())
        self._died(group, written, now)
        for dest, upto in group.deleted.items():
            for sequence in [each for each, row in rows.items() if row.dest == dest and each <= upto]:
                self._checker.deleted(self._process, uid_of(rows.pop(sequence).data), dest)
        if written.retried:
            assert group.retry_from is not None
            self._process.world.hits["retried"] += sum(written.retried.values())
            self._process.retried(group.retry_from, now)
        return written

    def _died(self, group: Group, written: Written, now: float) -> None:
        for sequence, reason in group.dead:
            row = self._ledger.rows.pop(sequence, None)
            if row is None:
                continue
            self._checker.buried[uid_of(row.data)] = None
            if reason == "attempts":
                self._checker.attempts(self._process, uid_of(row.data))
            else:
                self._checker.too_large(self._process, uid_of(row.data))
        for sequences in written.expired.values():
            for sequence in sequences:
                row = self._ledger.rows.pop(sequence, None)
                if row is not None:
                    self._checker.buried[uid_of(row.data)] = None
                    self._checker.expired(self._process, now - row.created, self._rest)

    def read(self, dest: str, after: int, messages: int, size: int) -> tuple[list[Row], bool]:
        self._check_disk()
        found = self._store.read(dest, after, messages, size)
        if found[0]:
            self._wrote()
        return found

    def look(self) -> Look:
        return self._store.look()

    def renew(self, token: bytes) -> tuple[bytes, Run]:
        self._check_disk()
        renewed = self._store.renew(token)
        self._wrote()
        self._process.world.hits["renewed"] += 1
        for row in self._ledger.rows.values():
            self._checker.sent[uid_of(row.data)].again = True
        return renewed

    def close(self) -> None:
        self._store.close()


class WatchedInbox:
    """Implements `InboxStore` around another."""

    def __init__(self, process: Process, store: InboxStore, disk: Disk) -> None:
        self._process = process
        self._store = store
        self._disk = disk

    def open(self) -> Mapping[Key, tuple[Position, Sequence[int]]]:
        self._check_disk()
        return self._store.open()

    def _check_disk(self) -> None:
        if self._disk.full:
            self._process.world.hits["inbox disk full"] += 1
            raise StoreFullError("the disk is full")

    def write(self, group: InboxGroup) -> None:
        self._check_disk()
        self._store.write(group)
        world, name = self._process.world, self._process.name
        world.hits["effects together"] += len(group.works) > 1
        for work in group.works:
            world.hits["effect ahead"] += work.outcome is True and not work.advance
            world.hits["effect was there"] += work.outcome is False
            if work.outcome is True and work.advance:
                world.checker.position(name, work.key, work.sequence)
        for key, position in group.positions.items():
            world.checker.position(name, key, position.committed)

    def close(self) -> None:
        self._store.close()
