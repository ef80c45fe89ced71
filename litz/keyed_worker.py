"""`serve` with an order: one sender's messages per key, keys in parallel. Counts stay cumulative."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final, NamedTuple

from litz.errors import AdmissionRefusedError
from litz.limiter import Limiter
from litz.message import Message
from litz.order import Order
from litz.ordered_work import OrderedWork
from litz.ordering import Place
from litz.turns import Batch, again, payload_size

if TYPE_CHECKING:
    from litz.inbox import Inbox
    from litz.serving import Service

WAITS: Final = 0
BEGUN: Final = 1
DONE: Final = 2


class Walk:
    """A batch that is taken into line, and how far each message of it has come."""

    __slots__ = ("batch", "next", "steps")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        # A consumer that left may have come some way into it already.
        self.steps = bytearray((DONE,)) * batch.handed
        """For each message that was handed out: WAITS, BEGUN or DONE."""
        self.next: tuple[Hashable, Item, int] | None = None
        """Handed out, and there was no room in line: key, item and size."""


class Item(NamedTuple):
    """One message in line, and where it is in its batch."""

    message: Message
    walk: Walk
    place: int


class KeyedWorker:
    """Serves one sender in the order that was asked for. What waits in line is still in the inbox, for credit and acks:
    `processed` moves over what is done with all before it in its lane. Signals go before what has not begun."""

    def __init__(
        self,
        service: Service,
        inbox: Inbox,
        batch: Batch,
        *,
        order: Order,
        width: int,
        admission: Limiter | None,
    ) -> None:
        self._service = service
        self._inbox = inbox
        self._order = order
        self._sender = batch.queue.lane.sender
        self._changed = asyncio.Event()
        self._walks: dict[Walk, None] = {}  # every batch that is not finished, in the order taken
        self._current: dict[bool, Walk | None] = {True: None, False: None}  # of signals, of all others
        self._work: OrderedWork[Item] = OrderedWork(
            order,
            self._run,
            parallel=width,
            admission=admission,
            refused=self._refused,
            finished=self._finished,
            name="litz serve one",
        )
        self._begin(batch)

    async def run(self) -> None:
        """Until there is nothing left. Raises `OrderBrokenError`. What is not finished is the next consumer's."""
        work = self._work
        work.changed = self._changed.set
        self._sender.on_work = self._changed.set
        try:
            while True:
                self._changed.clear()
                self._pull(signal=True)
                self._pull(signal=False)
                if work.broken is not None:
                    raise work.broken
                if not work.book.messages:
                    break
                await self._changed.wait()
        except Exception as error:
            self._service.fail(error)  # now: before what is given back finds another worker
            raise
        finally:
            work.changed = None
            try:
                await work.close()
            finally:
                self._give_back()

    # -- into line ----------------------------------------------------------------------------------------

    def _begin(self, batch: Batch) -> Walk:
        batch.concurrent = True
        walk = self._current[batch.queue.lane.signal] = Walk(batch)
        self._walks[walk] = None
        return walk

    def _pull(self, *, signal: bool) -> None:
        """Take into line what there is, as far as there is room."""
        work = self._work
        while work.broken is None and (ahead := self._ahead(signal=signal)) is not None:
            key, item, size = ahead
            if not work.book.room(key, size, urgent=signal):
                return
            item.walk.next = None
            work.accept(key, item, size, urgent=signal)

    def _ahead(self, *, signal: bool) -> tuple[Hashable, Item, int] | None:
        """The next message, its key and its size."""
        walk = self._current[signal] or self._take(signal=signal)
        while walk is not None:
            if walk.next is None:
                message = next(walk.batch.iterator, None)
                if message is None:
                    self._current[signal] = None
                    walk = self._take(signal=signal)
                    continue
                item = Item(message, walk, len(walk.steps))
                walk.steps.append(WAITS)
                key = self._key_of(message)
                walk.next = (key, item, payload_size(message.data))
            return walk.next
        return None

    def _key_of(self, message: Message) -> Hashable:
        try:
            key = self._order.key_of(message)
            hash(key)
        except Exception as error:
            # Without a key nobody can say what it has to wait for.
            raise self._work.book.break_order(f"{message!r} has no key", cause=error) from error
        return key

    def _take(self, *, signal: bool) -> Walk | None:
        """The next batch. Signals are taken first, so while some wait there is nothing else to be had."""
        while bool(self._sender.signals.batches) is signal:
            batch = self._sender.take()
            if batch is None:
                return None
            if batch.left:
                return self._begin(batch)
            self._inbox.let_go(batch)  # everything in it was dropped
            self._inbox.finish(batch)
        return None

    # -- out of line --------------------------------------------------------------------------------------

    async def _run(self, place: Place[Item]) -> None:
        message, walk, index = place.item
        if not walk.batch.finished:  # otherwise the sender was dropped meanwhile
            walk.steps[index] = BEGUN
            await self._service.handle(self._sender, message)

    async def _refused(self, place: Place[Item], error: AdmissionRefusedError) -> bool:
        message = place.item.message
        if not message.is_request:
            return False
        await self._service.refuse(message, error)
        return True

    def _finished(self, place: Place[Item]) -> None:
        _, walk, index = place.item
        walk.steps[index] = DONE
        batch, steps = walk.batch, walk.steps
        settled = batch.settled
        while settled < len(steps) and steps[settled] == DONE:
            settled += 1
        batch.settled = settled
        if settled == len(batch.items) and not batch.finished:
            del self._walks[walk]
            self._inbox.let_go(batch)
            self._inbox.finish(batch)
        else:
            batch.queue.tell()

    def _give_back(self) -> None:
        """What was not finished is for the next consumer, marked if its handler had begun; what was finished among it
        is not."""
        # Or the first that is put back would let go of the sender, and others begin with it.
        self._sender.currents.clear()
        for walk in reversed(self._walks):
            batch, steps = walk.batch, walk.steps
            if batch.finished:
                continue
            first = batch.settled
            batch.concurrent = False
            batch.spell_out(0)
            done = 0
            for index in range(len(steps) - 1, first - 1, -1):
                if steps[index] == DONE:
                    done += 1
                    del batch.items[index]
                elif steps[index] == BEGUN:
                    batch.items[index] = again(batch.items[index])
            # The iterator stands behind what was handed out; no mark comes by that, for here it is known who began.
            batch.spell_out(len(steps) - done)
            batch.hidden += done
            self._inbox.put_back(batch, first, seen=False)
        self._walks.clear()
        self._inbox.retire(self._sender)
