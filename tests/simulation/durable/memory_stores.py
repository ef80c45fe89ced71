"""Stores of durable messages in memory: the protocols of `outproc.outbox.store` without a disk, for simulations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

from outproc.outbox.errors import StoreFencedError
from outproc.outbox.store import (
    RETRIES,
    ROW_COST,
    Group,
    InboxGroup,
    Key,
    Look,
    NewRow,
    Opened,
    Peer,
    Position,
    Row,
    Run,
    Work,
    Written,
)


@dataclass
class OutboxContent:
    """What an outbox's file holds. `messages`: row, attempts, again; `dead`: row, reason, retry."""

    producer: bytes = b""
    last_run: float = 0.0
    runs: list[Run] = field(default_factory=list)
    messages: dict[int, tuple[NewRow, int, bool]] = field(default_factory=dict)
    dead: dict[int, tuple[NewRow, str, bool]] = field(default_factory=dict)
    peers: dict[str, Peer] = field(default_factory=dict)
    top: int = 0
    """The highest sequence that was ever used."""
    epochs: int = 0

    def copy(self) -> OutboxContent:
        return OutboxContent(
            self.producer,
            self.last_run,
            list(self.runs),
            dict(self.messages),
            dict(self.dead),
            {dest: copy(peer) for dest, peer in self.peers.items()},
            self.top,
            self.epochs,
        )


def _cost(row: NewRow) -> int:
    return len(row.data) + ROW_COST


class MemoryOutboxStore:
    """Implements `OutboxStore`."""

    def __init__(self, content: OutboxContent) -> None:
        self._content = content
        self._epoch = 0

    def open(self, token: bytes, now: float) -> Opened:
        content = self._content
        last_run, content.last_run = content.last_run, now
        content.producer = content.producer or token
        self._begin(token)
        backlog: dict[str, int] = {}
        for row, _, _ in content.messages.values():
            backlog[row.dest] = backlog.get(row.dest, 0) + 1
        peers = {dest: copy(peer) for dest, peer in content.peers.items()}
        used = sum(_cost(row) for row, _, _ in content.messages.values())
        return Opened(content.producer, list(content.runs), peers, backlog, used, last_run)

    def _begin(self, token: bytes) -> Run:
        content = self._content
        content.epochs += 1
        self._epoch = content.epochs
        run = Run(self._epoch, token, content.top + 1)
        content.runs.append(run)
        return run

    def _check(self) -> None:
        if self._epoch != self._content.epochs:
            raise StoreFencedError("a newer process has opened it")

    def write(self, group: Group, now: float) -> Written:
        self._check()
        content, written = self._content, Written()
        for row in group.rows:
            self._insert(row, again=False)
        for sequence, reason in group.dead:
            self._bury(sequence, reason, written)
        for dest, upto in group.deleted.items():
            for sequence in [each for each, (row, _, _) in content.messages.items() if row.dest == dest]:
                if sequence <= upto:
                    self._remove(sequence, written)
        if group.expire is not None:
            before, dests = group.expire
            for sequence, (row, _, _) in list(content.messages.items()):
                if row.created < before and row.dest in dests:
                    self._bury(sequence, "expired", written)
                    written.expired.setdefault(row.dest, []).append(sequence)
        for sequence, attempts in group.attempts.items():
            if sequence in content.messages:
                row, _, again = content.messages[sequence]
                content.messages[sequence] = (row, attempts, again)
        for dest, peer in group.peers.items():
            known = content.peers.get(dest)
            content.peers[dest] = replace(peer, tried=max(peer.tried, known.tried if known else 0))
        if group.retry_from is not None:
            self._retry(group.retry_from, now, written)
        content.last_run = now
        return written

    def _insert(self, row: NewRow, *, again: bool) -> None:
        assert row.sequence not in self._content.messages
        self._content.messages[row.sequence] = (row, 0, again)
        self._content.top = max(self._content.top, row.sequence)

    def _remove(self, sequence: int, written: Written) -> NewRow:
        row, _, _ = self._content.messages.pop(sequence)
        written.freed += _cost(row)
        written.removed[row.dest] = written.removed.get(row.dest, 0) + 1
        return row

    def _bury(self, sequence: int, reason: str, written: Written) -> None:
        if sequence in self._content.messages:
            self._content.dead[sequence] = (self._remove(sequence, written), reason, False)

    def _retry(self, first: int, now: float, written: Written) -> None:
        wanted = [sequence for sequence, (_, _, retry) in self._content.dead.items() if retry][:RETRIES]
        for position, sequence in enumerate(sorted(wanted)):
            row, _, _ = self._content.dead.pop(sequence)
            self._insert(row._replace(sequence=first + position, created=now), again=True)
            written.retried[row.dest] = written.retried.get(row.dest, 0) + 1
            written.freed -= _cost(row)

    def read(self, dest: str, after: int, messages: int, size: int) -> tuple[list[Row], bool]:
        self._check()
        rows: list[Row] = []
        complete = True
        for sequence, (row, attempts, again) in sorted(self._content.messages.items()):
            if row.dest != dest or sequence <= after:
                continue
            size -= len(row.data)
            if rows and (size < 0 or len(rows) == messages):
                complete = False
                break
            rows.append(Row(sequence, row.key, row.data, attempts, again))
        if rows:
            peer = self._content.peers.setdefault(dest, Peer())
            peer.tried = max(peer.tried, rows[-1].sequence)
        return rows, complete

    def look(self) -> Look:
        dead = self._content.dead.values()
        oldest = min(self._content.messages, default=None)
        return Look(
            len(dead),
            sum(_cost(row) for row, _, _ in dead),
            any(retry for _, _, retry in dead),
            self._content.messages[oldest][0].created if oldest is not None else 0.0,
        )

    def renew(self, token: bytes) -> tuple[bytes, Run]:
        self._check()
        content = self._content
        content.producer = token
        content.runs.clear()
        content.peers.clear()
        content.messages = {each: (row, tries, True) for each, (row, tries, _) in content.messages.items()}
        return token, self._begin(token)

    def close(self) -> None:
        """Nothing is to be freed."""


@dataclass
class InboxContent:
    """What an inbox's file holds, with the effects of its user."""

    positions: dict[Key, Position] = field(default_factory=dict)
    applied: dict[tuple[Key, int], None] = field(default_factory=dict)
    effects: list[int] = field(default_factory=list)

    def copy(self) -> InboxContent:
        return InboxContent(dict(self.positions), dict(self.applied), list(self.effects))


class MemoryInboxStore:
    """Implements `InboxStore`. A work gets the list of effects."""

    def __init__(self, content: InboxContent) -> None:
        self._content = content

    def open(self) -> Mapping[Key, tuple[Position, Sequence[int]]]:
        applied: dict[Key, list[int]] = {}
        for key, sequence in self._content.applied:
            applied.setdefault(key, []).append(sequence)
        return {key: (found, applied.get(key, [])) for key, found in self._content.positions.items()}

    def write(self, group: InboxGroup) -> None:
        for work in group.works:
            work.outcome = self._apply(work)
        for key, position in group.positions.items():
            self._move(key, position)

    def _apply(self, work: Work) -> BaseException | bool:
        content = self._content
        known = content.positions.get(work.key)
        if (known is not None and known.committed >= work.sequence) or (work.key, work.sequence) in content.applied:
            return False
        effects = list(content.effects)
        try:
            work.work(effects)
        except Exception as error:
            return error
        content.effects = effects
        if work.advance:
            self._move(work.key, work.position)
        else:
            self._move(work.key, work.position._replace(committed=0))
            content.applied[work.key, work.sequence] = None
        return True

    def _move(self, key: Key, position: Position) -> None:
        known = self._content.positions.get(key)
        committed = max(position.committed, known.committed if known is not None else 0)
        self._content.positions[key] = position._replace(committed=committed)
        for which, sequence in list(self._content.applied):
            if which == key and sequence <= position.committed:
                del self._content.applied[which, sequence]

    def close(self) -> None:
        """Nothing is to be freed."""
