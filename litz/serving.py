"""`serve`: one worker per sender that has work, and what happens around one call of a handler."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from litz.errors import LitzError, MessageTooLargeError, PayloadError
from litz.keyed_worker import KeyedWorker
from litz.limiter import Limiter
from litz.manager import Handler
from litz.message import Message
from litz.order import Order
from litz.seldom import OF_HANDLER, Seldom
from litz.turns import Batch, Sender, Turns

if TYPE_CHECKING:
    from litz.inbox import Inbox

log = logging.getLogger("litz.serve")


class Running:
    """A request whose handler runs in `task`."""

    __slots__ = ("cancelled", "task")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.cancelled = False

    def cancel(self) -> None:
        """The peer gave up. Takes effect in the handler's next step, never in that of another message."""
        # A task that cancels itself would be hit at its next await, perhaps past the handler.
        if not self.cancelled and self.task is not asyncio.current_task():
            self.cancelled = True
            self.task.cancel()


class Service:
    """One running `serve`. Every task it starts ends before `run` does."""

    def __init__(
        self,
        inbox: Inbox,
        turns: Turns,
        handler: Handler,
        *,
        concurrency: int,
        workers: int,
        order: Order | None = None,
        admission: Limiter | None = None,
    ) -> None:
        self._inbox = inbox
        self._turns = turns
        self._handler = handler
        self._concurrency = concurrency
        self._order = order
        self._admission = admission
        self._limit = workers
        self._workers: dict[asyncio.Task[None], Batch | None] = {}  # the batch until it has begun
        self._loop = asyncio.get_running_loop()
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        self._failures = Seldom(first=OF_HANDLER)
        self.ended = asyncio.Event()

    async def run(self) -> None:
        """Serve until `stop`, or until cancelled."""
        self._turns.on_work = self._spawn
        unwatch = None
        try:
            unwatch = self._admission.watch(self._inbox.squeeze) if self._admission is not None else None
            self._spawn()
            await self._stopped
        finally:
            self._turns.on_work = None
            workers = tuple(self._workers)
            for worker in workers:
                worker.cancel()
            try:
                await _ends(workers)
            finally:
                if unwatch is not None:
                    unwatch()
                if left_out := self._failures.left_out():
                    log.error("serve is over; %d more failures of its handler were not told", left_out)

    def stop(self) -> None:
        if not self._stopped.done():
            self._stopped.set_result(None)

    def fail(self, error: BaseException) -> None:
        """End with `error`. From here on nothing new begins."""
        if not self._stopped.done():
            self._stopped.set_exception(error)

    def _spawn(self) -> None:
        while len(self._workers) < self._limit and not self._stopped.done():
            batch = self._turns.take()
            if batch is None:
                return
            task = self._loop.create_task(self._work(batch), name="litz serve")
            self._workers[task] = batch
            task.add_done_callback(self._worker_ended)

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        batch = self._workers.pop(task, None)
        if batch is not None:
            self._inbox.put_back(batch, batch.progress)  # cancelled before its first step
        if not task.cancelled() and (error := task.exception()) is not None and not self._stopped.done():
            self.fail(error)
        elif self._turns.on_work is not None:
            self._spawn()

    async def _work(self, batch: Batch | None) -> None:
        self._workers[_own_task()] = None
        while batch is not None:
            if not batch.left:
                self._inbox.put_back(batch, batch.handed)  # everything in it was dropped meanwhile
            elif self._order is not None:
                await KeyedWorker(
                    self, self._inbox, batch, order=self._order, width=self._concurrency, admission=self._admission
                ).run()
            elif self._concurrency > 1:
                await WideWorker(self, self._inbox, batch, self._concurrency).run()
            else:
                await self._serially(batch)
            batch = None if self._stopped.done() else self._turns.take()
            if batch is not None:
                # Sync handlers never suspend; the loop must see the rest of the world between batches.
                try:
                    await asyncio.sleep(0)
                except BaseException:
                    self._inbox.put_back(batch, batch.progress)
                    raise

    async def _serially(self, batch: Batch) -> None:
        queue = batch.queue
        sender = queue.lane.sender
        signals = sender.signals.batches
        bulk = not queue.lane.signal
        try:
            for message in batch.iterator:
                await self.handle(sender, message)
                if queue.watched:
                    batch.settle()
                    queue.tell()
                if bulk and signals:
                    break
        except BaseException:
            self._inbox.put_back(batch, batch.progress)
            raise
        self._inbox.put_back(batch, batch.handed)

    async def handle(self, sender: Sender, message: Message) -> None:
        """One call of the handler, with all that follows from it. Only real cancellations get out, and what
        is no `Exception`."""
        detail = message.detail
        if detail is not None and detail.request_id is not None:
            await self._answer(sender, message, detail.request_id)
            return
        try:
            result = self._handler(message)
            if result is not None and hasattr(result, "__await__"):
                await result
        except asyncio.CancelledError as error:
            if _own_task().cancelling():
                raise
            self._tell("the handler cancelled itself at %r%s", message, error)
        except Exception as error:
            self._tell("the handler raised at %r%s", message, error)

    def _tell(self, text: str, message: Message, error: BaseException) -> None:
        """Not each of them: a peer sends as many messages as it likes."""
        more = self._failures.words(self._loop.time(), message.sender, error)
        if more is not None:
            log.error(text, message, more, exc_info=error)

    async def refuse(self, message: Message, error: Exception) -> None:
        """Answer a request that is not run."""
        await self._reply(message, None, error)

    async def _answer(self, sender: Sender, message: Message, request_id: int) -> None:
        if request_id in sender.cancelled:
            del sender.cancelled[request_id]
            return
        task = _own_task()
        running = sender.running[request_id] = Running(task)
        failure: BaseException | None = None
        result: Any = None
        try:
            try:
                result = self._handler(message)
                if result is not None and hasattr(result, "__await__"):
                    result = await result
            finally:
                del sender.running[request_id]
                if running.cancelled:
                    task.uncancel()
        except asyncio.CancelledError as error:
            if task.cancelling():
                raise
            failure = error
        except Exception as error:
            failure = error
        if not running.cancelled:
            await self._reply(message, result, failure)

    async def _reply(self, message: Message, result: Any, failure: BaseException | None) -> None:
        source = message.source
        try:
            if failure is None:
                try:
                    await source.reply(message, result)
                    return
                except (PayloadError, MessageTooLargeError) as error:
                    # The answer cannot be sent, and without any its sender would wait for ever.
                    failure = error
            await source.fail(message, failure)
        except LitzError as error:
            log.debug("no answer to %r: %s", message, error)
        except Exception as error:
            self._tell("could not answer %r%s", message, error)


class WideWorker:
    """Serves one sender with up to `width` handlers at once. Counts stay cumulative."""

    def __init__(self, service: Service, inbox: Inbox, batch: Batch, width: int) -> None:
        self._service = service
        self._inbox = inbox
        self._sender = batch.queue.lane.sender
        self._width = width
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._batches: deque[tuple[Batch, list[bool]]] = deque()
        self._changed = asyncio.Event()
        self._failure: BaseException | None = None
        self._adopt(batch)

    async def run(self) -> None:
        self._sender.on_work = self._changed.set
        try:
            while True:
                self._changed.clear()
                self._start()
                if self._failure is not None:
                    raise self._failure
                if not self._tasks:
                    break
                await self._changed.wait()
        finally:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            try:
                await _ends(tasks)
            finally:
                self._give_back()

    def _adopt(self, batch: Batch) -> None:
        batch.concurrent = True
        # A consumer that left may have come some way into it already.
        self._batches.append((batch, [True] * batch.handed))

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        while len(self._tasks) < self._width:
            batch, done = self._batches[-1] if self._batches else (None, [])
            if batch is None or not batch.left:
                more = self._sender.take()
                if more is None:
                    return
                if more.left:
                    self._adopt(more)
                else:  # everything in it was dropped
                    self._inbox.let_go(more)
                    self._inbox.finish(more)
                continue
            message = next(batch.iterator)
            done.append(False)
            task = loop.create_task(self._one(message, batch, done, len(done) - 1), name="litz serve one")
            self._tasks[task] = None
            task.add_done_callback(self._ended)

    async def _one(self, message: Message, batch: Batch, done: list[bool], index: int) -> None:
        await self._service.handle(self._sender, message)
        done[index] = True
        settled = batch.settled
        while settled < len(done) and done[settled]:
            settled += 1
        batch.settled = settled
        if settled == len(batch.items) and not batch.finished:
            self._batches.remove((batch, done))
            self._inbox.let_go(batch)
            self._inbox.finish(batch)
        else:
            batch.queue.tell()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
        self._changed.set()

    def _give_back(self) -> None:
        """What was not finished is for the next consumer; what was finished among it is not."""
        # Or the first that is put back would let go of the sender, and others begin with it.
        self._sender.currents.clear()
        for batch, done in reversed(self._batches):
            if batch.finished:
                continue
            first = batch.settled
            later = [position for position in range(first, len(done)) if done[position]]
            batch.concurrent = False
            batch.spell_out(0)
            for position in reversed(later):
                del batch.items[position]
            # The iterator stands behind the removed ones; what it handed out is told by the count.
            batch.spell_out(len(done) - len(later))
            batch.hidden += len(later)
            self._inbox.put_back(batch, first)
        self._batches.clear()
        self._inbox.retire(self._sender)


def _own_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("no task runs")
    return task


async def _ends(tasks: tuple[asyncio.Task[None], ...]) -> None:
    """Wait for the end of cancelled tasks, whatever it is. Cancelled, it ends no sooner."""
    cancelled: asyncio.CancelledError | None = None
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
