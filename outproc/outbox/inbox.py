"""The inbox of one manager: takes durable messages once, and acks them when their position is committed.

The decisions about one producer are in `outproc.outbox.incoming`. Here are the handler queue, the groups that are
committed one after the other in the store's thread, and the effects of handlers that are committed with them.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from litz.errors import LitzError, ManagerStateError
from litz.message import Message
from litz.snapshot import InboxSnapshot
from outproc.durable_port import DurablePort
from outproc.local_node import Environment
from outproc.outbox.errors import StoreError
from outproc.outbox.events import StoreFailed
from outproc.outbox.incoming import Taken
from outproc.outbox.options import InboxOptions
from outproc.outbox.producer import Producer, Producers
from outproc.outbox.records import (
    FEATURE,
    TO_INBOX,
    TO_OUTBOX,
    Accept,
    Ack,
    Open,
    Part,
    Refuse,
    RefuseCode,
    decode_from_outbox,
    encode_accept,
    encode_ack,
    encode_refuse,
)
from outproc.outbox.sight import inbox_snapshot
from outproc.outbox.sqlite_inbox import SqliteInboxStore
from outproc.outbox.store import InboxGroup, InboxStore, Work
from outproc.outbox.store_thread import RunnerType, StoreRunner, StoreThread

COMMIT_DELAY: Final = 0.005
"""Seconds that progress for which nobody waits is gathered before it is committed."""
RETRY_DELAY: Final = 1.0
"""Seconds until a commit that failed is tried again."""


class Inbox:
    """What `inbox=` of a manager takes: the file of the positions of those who send to it. Belongs to one manager.

    store    a path, or any `InboxStore`. The file may be your own database: two tables are added
    options  limits and times; with a store of your own, those that are the store's have no effect
    prepare  called with the `sqlite3.Connection` when the file is opened, to make tables of yours
    runner   what the store's methods are called in, for tests
    """

    def __init__(
        self,
        store: InboxStore | str | Path,
        options: InboxOptions | None = None,
        *,
        prepare: Callable[[sqlite3.Connection], object] | None = None,
        runner: RunnerType = StoreThread,
    ) -> None:
        self._options = options or InboxOptions()
        if isinstance(store, str | Path):
            self._store: InboxStore = SqliteInboxStore(store, self._options, prepare=prepare)
        elif prepare is not None:
            raise ValueError("prepare is for a path; a store of your own prepares itself")
        else:
            self._store = store
        self._boot = bytes(16)
        self._runner = runner
        self._thread: StoreRunner | None = None
        self._port: DurablePort | None = None
        self._producers = Producers(self._options, {})
        self._current: dict[str, Producer] = {}
        """Of each sender the one that was accepted in its session."""
        self._dirty: dict[Producer, None] = {}
        self._works: list[tuple[Work, Producer, asyncio.Future[bool]]] = []
        self._singly = 0
        """So many of the works that come next go alone: one of them broke a whole group."""
        self._unsaid: dict[str, bytes] = {}
        """Answers to OPEN that found no room. Acks wait behind them."""
        self._armed: asyncio.Handle | None = None
        self._armed_late = False
        self._writing = False
        self._idle = asyncio.Event()
        self._failure = ""
        self._taking = True
        self._closed = False

    # -- life -----------------------------------------------------------------------------------------

    async def open(self, environment: Environment) -> None:
        """See `DurableInbox`."""
        if self._thread is not None or self._closed:
            raise ManagerStateError("an Inbox belongs to one manager; make a new one for the same path")
        self._boot = environment.entropy(16)
        self._thread = self._runner("litz inbox", asyncio.get_running_loop())
        found = await self._thread.run(self._store.open)
        self._producers = Producers(self._options, found)

    def attach(self, port: DurablePort) -> None:
        """See `DurableInbox`."""
        self._port = port
        port.announce(FEATURE)
        port.subscribe(TO_INBOX, self)

    def stop_taking(self) -> None:
        """See `DurableInbox`."""
        self._taking = False

    def snapshot(self) -> InboxSnapshot:
        """See `DurableInbox`."""
        return inbox_snapshot(self._producers, self._failure)

    async def aclose(self, timeout: float) -> None:
        """See `DurableInbox`."""
        self._taking = False
        if self._thread is None or self._closed:
            self._closed = True
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        self._closed = True
        for producer in self._producers:
            self._dirty[producer] = None
        self._commit()
        if self._writing:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._idle.wait()
            except TimeoutError:
                pass
        await self._thread.stop(self._store.close, max(0.0, deadline - loop.time()))
        for _, _, outcome in self._works:
            if not outcome.done():
                outcome.set_exception(ManagerStateError("the manager was closed before the effect was committed"))

    # -- effects --------------------------------------------------------------------------------------

    async def apply(self, message: Message, work: Callable[[Any], object]) -> bool:
        """Run `work(connection)` in the inbox's transaction, in its thread, once for this message: its effect and the
        note that the message is done are committed together, in a group with others.

        Returns True after the commit; False if the effect was committed before (the message came again). What `work`
        raises is raised here, and it left nothing. It must neither begin nor end a transaction, and must not block: it
        is in the way of all others. While the disk fails this waits, and `work` is run again: the event `StoreFailed`
        tells. Cancelled, it may be committed all the same. Any number of handlers may call this at once; handlers that
        run side by side share commits. Raises ValueError for a message that is not a durable one of this inbox.
        """
        source = message.source
        if not isinstance(source, Producer) or self._producers.get(source.key) is not source:
            raise ValueError("apply takes durable messages of the manager that this inbox belongs to")
        if self._closed or self._port is None:
            raise ManagerStateError("the manager is closed; the message comes again with the next run")
        source.progress()
        incoming = source.incoming
        done = Work(
            source.key,
            message.number,
            work,
            incoming.position_at(message.number),
            advance=incoming.is_next(message.number),
        )
        outcome: asyncio.Future[bool] = self._port.loop.create_future()
        self._works.append((done, source, outcome))
        self._arm()
        return await outcome

    # -- committing -----------------------------------------------------------------------------------

    def _arm(self, *, late: bool = False) -> None:
        if self._writing or self._closed or self._port is None:
            return
        if self._armed is not None:
            if late or not self._armed_late:
                return
            self._armed.cancel()
        loop = self._port.loop
        self._armed_late = late
        self._armed = loop.call_later(COMMIT_DELAY, self._commit) if late else loop.call_soon(self._commit)

    def _progressed(self, producer: Producer) -> None:
        producer.watched = False
        self._dirty[producer] = None
        self._arm(late=True)

    def _commit(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None
        if self._writing:
            return
        most = 1 if self._singly else len(self._works)
        works, self._works = self._works[:most], self._works[most:]
        self._singly = max(0, self._singly - 1)
        dirty, self._dirty = self._dirty, {}
        group = InboxGroup([work for work, _, _ in works])
        for producer in dirty:
            producer.progress()
            position = producer.incoming.position()
            if position is not None:
                group.positions[producer.key] = position
            else:
                self._watch(producer)
        if not (group.works or group.positions):
            self._idle.set()
            return
        assert self._thread is not None
        self._idle.clear()
        self._writing = True
        self._thread.call(partial(self._store.write, group), partial(self._written, group, works, dirty))

    def _written(
        self,
        group: InboxGroup,
        works: list[tuple[Work, Producer, asyncio.Future[bool]]],
        dirty: dict[Producer, None],
        result: None,
        error: BaseException | None,
    ) -> None:
        self._writing = False
        if error is None:
            self._failure = ""
            for key, position in group.positions.items():
                producer = self._producers.get(key)
                if producer is not None:
                    self._committed(producer, position.committed)
            for work, producer, outcome in works:
                self._worked(work, producer, outcome)
            for producer in dirty:
                self._watch(producer)
        else:
            self._not_written(works, dirty, error)
        if error is None and (self._works or self._dirty):
            self._commit()
        if not self._writing:
            self._idle.set()

    def _worked(self, work: Work, producer: Producer, outcome: asyncio.Future[bool]) -> None:
        told = work.outcome
        if told is True and work.advance:
            self._committed(producer, work.sequence)
        if outcome.done():
            return
        if isinstance(told, bool):
            outcome.set_result(told)
        else:
            outcome.set_exception(told)

    def _not_written(
        self,
        works: list[tuple[Work, Producer, asyncio.Future[bool]]],
        dirty: dict[Producer, None],
        error: BaseException,
    ) -> None:
        told = error if isinstance(error, LitzError) else LitzError(f"the inbox failed: {error!r}")
        self._dirty = dict.fromkeys([*dirty, *self._dirty])
        if not isinstance(error, StoreError) and len(works) == 1:
            # No fault of the disk: it is this work that the store cannot bear.
            _, _, outcome = works[0]
            if not outcome.done():
                outcome.set_exception(error)
            works = []
        elif not isinstance(error, StoreError):
            self._singly = len(works)
        # A handler that got the error of a disk would be done with its message, and the effect would be missing.
        self._works[:0] = works
        if self._port is None or self._closed:
            return
        if not isinstance(error, StoreError):
            self._arm()
            return
        told_before, self._failure = self._failure, str(told)
        if not told_before:
            self._port.emit(StoreFailed(self._port.local_id, told))
        if self._armed is None:
            self._armed_late = True
            self._armed = self._port.loop.call_later(RETRY_DELAY, self._commit)

    def _committed(self, producer: Producer, sequence: int) -> None:
        if producer.incoming.committed_to(sequence):
            producer.owes_ack = True
            self._ack(producer)

    def _watch(self, producer: Producer) -> None:
        """Hear of the next progress of the consumer, the one that was made meanwhile included."""
        if producer.watched or self._closed:
            return
        producer.progress()
        if producer.incoming.position() is not None:
            self._dirty[producer] = None
            self._arm(late=True)
        elif producer.queues and producer.queues[0].pending:
            producer.watched = True
            producer.queues[0].watch(partial(self._progressed, producer))

    # -- what is said ---------------------------------------------------------------------------------

    def _ack(self, producer: Producer) -> None:
        port = self._port
        if port is None or self._closed or self._current.get(producer.sender) is not producer:
            return
        if producer.sender in self._unsaid:
            producer.owes_ack = True
            return
        messages, size = self._options.window_messages, self._options.window_bytes
        if port.inbox_full:
            messages = size = 1  # one message may always go
        said = encode_ack(Ack(producer.incoming.committed, messages, size))
        producer.owes_ack = not port.post(producer.sender, TO_OUTBOX, said)

    def _open(self, sender: str, said: Open) -> None:
        assert self._port is not None
        self._leave(sender)
        producer = self._producers.find((sender, said.producer), self._port.max_message)
        if producer is None:
            self._answer(sender, encode_refuse(Refuse(RefuseCode.NO_ROOM, 0, bytes(16))))
            return
        answer = producer.incoming.open(said, self._boot)
        if isinstance(answer, Refuse):
            self._answer(sender, encode_refuse(answer))
            return
        self._current[sender] = producer
        producer.verified = self._port.verified(sender)
        producer.progress()
        producer.queues.append(self._port.queue(sender))
        self._answer(sender, encode_accept(self._with_window(answer)))

    def _answer(self, sender: str, answer: bytes) -> None:
        assert self._port is not None
        if not self._port.post(sender, TO_OUTBOX, answer):
            self._unsaid[sender] = answer

    def _with_window(self, answer: Accept) -> Accept:
        assert self._port is not None
        return replace(answer, window_messages=1, window_bytes=1) if self._port.inbox_full else answer

    def _leave(self, sender: str) -> None:
        """What the current producer of `sender` sent stays; nothing is put behind it in the same queue."""
        self._unsaid.pop(sender, None)
        producer = self._current.pop(sender, None)
        if producer is None:
            return
        producer.incoming.closed()
        producer.queues[-1].close()
        if not producer.queues[-1].received:
            producer.queues.pop()  # or each OPEN and each session would leave one behind what nobody consumes
        self._producers.silent(producer)

    def _take(self, producer: Producer, rows: list[Taken]) -> None:
        if rows:
            producer.put(rows)
        # Also if nothing is new: effects that were committed ahead may be all that the position waited for.
        self._watch(producer)

    # -- what is heard (`PortSubscriber`) -------------------------------------------------------------

    def received(self, sender: str, data: memoryview) -> None:
        """The outbox of `sender` says something. Raises ProtocolError."""
        said = decode_from_outbox(data)
        if not self._taking:
            return
        if isinstance(said, Open):
            self._open(sender, said)
            return
        producer = self._current.get(sender)
        if producer is None:
            return  # it was refused, and did not know it yet
        if isinstance(said, Part):
            row = producer.incoming.take_part(said)
            self._take(producer, [row] if row is not None else [])
        else:
            self._take(producer, producer.incoming.take(said))

    def session_began(self, dest: str) -> None:
        """Nothing yet: the outbox speaks first."""

    def session_ended(self, dest: str) -> None:
        """It is over. What was taken is handled all the same."""
        self._leave(dest)

    def wires_changed(self, dest: str) -> None:
        """Sessions are all that counts here."""

    def writable(self, dest: str) -> None:
        """An ack that found no room may go now."""
        answer = self._unsaid.pop(dest, None)
        if answer is not None:
            self._answer(dest, answer)
        producer = self._current.get(dest)
        if producer is not None and producer.owes_ack:
            self._ack(producer)
