"""A sender and a receiver of durable messages as two small processes that can die between any two steps.

The pure parts and the real stores, driven step by step; what was accepted and handled is recorded outside. Between the
two is a channel that is exactly once and in order until it is cut, which is what a session gives.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from outproc.outbox.incoming import Incoming
from outproc.outbox.options import InboxOptions, OutboxOptions
from outproc.outbox.outgoing import Outgoing, heard, is_ours
from outproc.outbox.records import (
    Accept,
    Ack,
    Data,
    Open,
    Refuse,
    decode_from_inbox,
    decode_from_outbox,
    encode_accept,
    encode_ack,
    encode_open,
    encode_refuse,
)
from outproc.outbox.sqlite_inbox import SqliteInboxStore
from outproc.outbox.sqlite_outbox import SqliteOutboxStore
from outproc.outbox.store import Group, InboxGroup, Key, NewRow, Peer, Row, Work

WINDOW = 5
DEST, SENDER = "bob", "alice"


@dataclass
class Handled:
    """One call of the handler."""

    payload: int
    redelivered: bool
    life: int
    """Which process of the receiver it was in."""


class SenderProcess:
    """What one process of the sender has in memory."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteOutboxStore(path, OutboxOptions(synchronous="off", max_attempts=1000))
        opened = self.store.open(os.urandom(16), 0.0)
        self.producer, self.runs = opened.producer, opened.runs
        self.next = opened.runs[-1].first
        self.peer = opened.peers.get(DEST, Peer())
        self.outgoing: Outgoing | None = None
        self.group = Group()
        self.renewed = False

    def commit(self, payloads: list[int]) -> None:
        rows = [
            NewRow(self.next + at, DEST, "", 0.0, payload.to_bytes(4, "big")) for at, payload in enumerate(payloads)
        ]
        self.next += len(rows)
        group, self.group = self.group, Group()
        group.rows = rows
        out = self.outgoing
        follows = out is not None and out.complete
        if rows and follows:
            self.peer.tried = rows[-1].sequence
            group.peers[DEST] = replace(self.peer)
        self.store.write(group, 0.0)
        if follows and out is not None:
            out.add_committed([Row(row.sequence, "", row.data, 0, False) for row in rows])

    def said(self, data: bytes) -> bytes | None:
        """Take one word of the inbox. Returns an answer."""
        said = decode_from_inbox(memoryview(data))
        if isinstance(said, Ack):
            if self.outgoing is not None and self.outgoing.acked(said):
                self.group.deleted[DEST] = said.committed
            return None
        if isinstance(said, Refuse) or not is_ours(said, self.runs, self.next - 1):
            self.producer, run = self.store.renew(os.urandom(16))
            self.runs, self.peer, self.renewed = [run], Peer(), True
            return self.open()
        self.peer, another = heard(self.peer, said)
        self.outgoing = Outgoing(said, self.peer, another=another, max_attempts=1000)
        if said.committed:
            self.group.deleted[DEST] = said.committed
        self.group.peers[DEST] = replace(self.peer)
        return None

    def open(self) -> bytes:
        self.outgoing = None
        return encode_open(Open(self.runs[-1].epoch, self.producer, self.runs[-1].token))

    def pump(self) -> bytes | None:
        out = self.outgoing
        if out is None:
            return None
        if out.wants_read:
            rows, complete = self.store.read(DEST, out.read_after, 3, 1 << 20)
            if rows:
                self.peer.tried = max(self.peer.tried, rows[-1].sequence)
            out.add_read(rows, complete=complete)
        self.group.attempts.update(out.take_findings().attempts)
        buffers = out.next()
        if buffers is None:
            return None
        out.posted()
        return b"".join(buffers)


class ReceiverProcess:
    """What one process of the receiver has in memory."""

    def __init__(self, path: Path, life: int) -> None:
        self.life = life
        self.boot = life.to_bytes(16, "big")
        self.store = SqliteInboxStore(
            path,
            InboxOptions(synchronous="off"),
            prepare=lambda db: db.execute("CREATE TABLE IF NOT EXISTS effect (payload INTEGER)"),
        )
        self.incomings: dict[Key, Incoming] = {}
        for key, (position, applied) in self.store.open().items():
            self.incomings[key] = Incoming(position, applied, messages=WINDOW, size=1 << 20, max_message=1 << 20)
        self.queue: deque[tuple[Key, int, bool, int]] = deque()
        self.current: Key | None = None

    def said(self, data: bytes) -> bytes | None:
        said = decode_from_outbox(memoryview(data))
        if isinstance(said, Open):
            self.current = key = (SENDER, said.producer)
            if key not in self.incomings:
                self.incomings[key] = Incoming(None, (), messages=WINDOW, size=1 << 20, max_message=1 << 20)
            answer = self.incomings[key].open(said, self.boot)
            return encode_accept(answer) if isinstance(answer, Accept) else encode_refuse(answer)
        assert isinstance(said, Data), "these messages are small"
        assert self.current is not None
        incoming = self.incomings[self.current]
        for row in incoming.take(said):
            self.queue.append((self.current, row.sequence, row.redelivered, int.from_bytes(row.body, "big")))
        if not any(key == self.current for key, *_ in self.queue):
            incoming.processed(None)
        return None

    def handle(self, *, with_effect: bool, ahead: bool) -> Handled | None:
        """Process one message, with its effect in the inbox's transaction; `ahead`: not the first one that waits."""
        if not self.queue:
            return None
        at = 1 if ahead and with_effect and len(self.queue) > 1 else 0
        key, sequence, redelivered, payload = self.queue[at]
        incoming = self.incomings[key]
        if with_effect:
            advance = incoming.is_next(sequence)
            work = Work(key, sequence, _effect(payload), incoming.position_at(sequence), advance)
            self.store.write(InboxGroup(works=[work]))
            if isinstance(work.outcome, BaseException):
                raise work.outcome
            if advance:
                incoming.committed_to(sequence)
        if at == 0:
            del self.queue[0]
            rest = [each for each in self.queue if each[0] == key]
            incoming.processed(sequence if rest else None)
        return Handled(payload, redelivered, self.life)

    def commit(self) -> bytes | None:
        """Commit positions; the ack of the current producer, if it is news."""
        group = InboxGroup()
        for key, incoming in self.incomings.items():
            position = incoming.position()
            if position is not None:
                group.positions[key] = position
        if group.positions:
            self.store.write(group)
        for key, position in group.positions.items():
            self.incomings[key].committed_to(position.committed)
        if self.current is None:
            return None
        return encode_ack(Ack(self.incomings[self.current].committed, WINDOW, 1 << 20))


def _effect(payload: int) -> Any:
    return lambda db: db.execute("INSERT INTO effect VALUES (?)", (payload,))


class DurableWorld:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        self._out, self._in = folder / "out", folder / "in"
        self._saved = folder / "saved"
        self._lives = 0
        self.accepted: list[int] = []
        self._accepted_when_saved: list[int] = []
        self.handled: list[Handled] = []
        self.effects_by_work: set[int] = set()
        self.plain: set[int] = set()
        """Handled without the inbox's transaction."""
        self.restored = False
        self._payload = 0
        self._to_inbox: deque[bytes] = deque()
        self._to_outbox: deque[bytes] = deque()
        self.sender = SenderProcess(self._out)
        self.receiver = self._start_receiver()

    def _start_receiver(self) -> ReceiverProcess:
        self._lives += 1
        return ReceiverProcess(self._in, self._lives)

    def close(self) -> None:
        self.sender.store.close()
        self.receiver.store.close()

    # -- steps ----------------------------------------------------------------------------------------

    def send(self, count: int = 1) -> None:
        payloads = list(range(self._payload, self._payload + count))
        self._payload += count
        self.sender.commit(payloads)
        self.accepted += payloads

    def begin(self) -> None:
        """A new session, whether or not there was one."""
        self.cut()
        self._to_inbox.append(self.sender.open())

    def cut(self) -> None:
        self._to_inbox.clear()
        self._to_outbox.clear()
        self.sender.outgoing = None
        for incoming in self.receiver.incomings.values():
            incoming.closed()
        self.receiver.current = None

    def to_inbox(self) -> None:
        if self._to_inbox and (answer := self.receiver.said(self._to_inbox.popleft())) is not None:
            self._to_outbox.append(answer)

    def to_outbox(self) -> None:
        if self._to_outbox and (answer := self.sender.said(self._to_outbox.popleft())) is not None:
            self._to_inbox.append(answer)

    def pump(self) -> None:
        if (data := self.sender.pump()) is not None:
            self._to_inbox.append(data)

    def exchange(self) -> None:
        """Several steps without a fault between them."""
        for step in (self.to_inbox, self.to_outbox, self.pump, self.to_inbox, self.to_outbox):
            step()

    def handle(self) -> None:
        self._handled(self.receiver.handle(with_effect=False, ahead=False), plain=True)

    def apply(self) -> None:
        self._handled(self.receiver.handle(with_effect=True, ahead=False), plain=False)

    def apply_ahead(self) -> None:
        """As a handler that overtakes another one. It may be tried twice; its effect may not."""
        self._handled(self.receiver.handle(with_effect=True, ahead=True), plain=False)

    def _handled(self, handled: Handled | None, *, plain: bool) -> None:
        if handled is not None:
            self.handled.append(handled)
            (self.plain if plain else self.effects_by_work).add(handled.payload)

    def commit(self) -> None:
        if (ack := self.receiver.commit()) is not None:
            self._to_outbox.append(ack)

    def delete(self) -> None:
        self.sender.commit([])

    def kill_sender(self) -> None:
        self.cut()
        self.sender.store.close()
        self.sender = SenderProcess(self._out)

    def kill_receiver(self) -> None:
        self.cut()
        self.receiver.store.close()
        self.receiver = self._start_receiver()

    def save(self) -> None:
        """Keep a backup of the sender's file, while it runs: what a power cut may leave of it looks the same."""
        self._saved.unlink(missing_ok=True)
        with closing(sqlite3.connect(self._out)) as live, closing(sqlite3.connect(self._saved)) as saved:
            live.backup(saved)
        self._accepted_when_saved = list(self.accepted)

    def restore(self) -> None:
        """The sender's file is the backup again."""
        if not self._saved.exists():
            return
        self.cut()
        self.sender.store.close()
        shutil.copy(self._saved, self._out)
        handled = {each.payload for each in self.handled}
        self.accepted = [each for each in self.accepted if each in handled or each in self._accepted_when_saved]
        self.restored = True
        self.sender = SenderProcess(self._out)

    def settle(self) -> None:
        """Everything works until nothing is left to do."""
        self.begin()
        for _ in range(10_000):
            for step in (self.pump, self.to_inbox, self.to_outbox, self.apply, self.commit, self.delete):
                step()
            left = self.sender.store.read(DEST, 0, 1, 1)[0]
            if not left and not self.receiver.queue and not self._to_inbox:
                return
        raise AssertionError("it never comes to an end")

    # -- judging --------------------------------------------------------------------------------------

    def effects(self) -> list[int]:
        """Every effect that was committed with the inbox, in order."""
        self.receiver.store.close()
        self.receiver = self._start_receiver()
        file = self.receiver.store._file
        assert file is not None
        return [payload for (payload,) in file.db.execute("SELECT payload FROM effect ORDER BY rowid")]
