"""Runs what is in line: tasks around an `OrderBook`, and the permits of a limiter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from litz.errors import AdmissionRefusedError, OrderBrokenError
from litz.limiter import Limiter
from litz.order import Order
from litz.ordering import OrderBook, Place, PlaceState

T = TypeVar("T")

YIELD_AFTER: Final = 16
"""So many pieces of work that never suspended run in a row; then the loop sees the rest of the world."""


async def _always_broken(place: Place[T], error: AdmissionRefusedError) -> bool:
    return False


class OrderedWork(Generic[T]):
    """Runs `run(place)` for each item that was accepted, in its turn, at most `parallel` at once.

    order      `Fifo` or `PerKey`: its bounds, and which of them run one after the other
    run        what to do with one item (`place.item`). When it returns, the item is finished, unless it called
               `book.hold(place)` or `book.put_back(place)`. An exception out of it breaks the order
    parallel   how many run at once: so many tasks at most, and none while nothing is in line
    admission  asked for a permit of `place.size` bytes when the turn of the item has come, before `run`
    refused    awaited with (place, error) when `admission` refuses: True when it is dealt with, and the item is then
               finished; otherwise the order is broken, because nothing that was accepted may be dropped

    `finished` is called with each place that is finished and `changed` after every change: both cheap, without raising,
    from within. `book` is for its other verbs (`park`, `discard` ...): call `go` afterwards.

    Cancellation: `close` cancels what runs. A `run` that somebody else cancelled has lost its place: the order is
    broken.
    Everything belongs to one loop's thread.
    """

    def __init__(
        self,
        order: Order,
        run: Callable[[Place[T]], Awaitable[None]],
        *,
        parallel: int = 16,
        admission: Limiter | None = None,
        refused: Callable[[Place[T], AdmissionRefusedError], Awaitable[bool]] = _always_broken,
        finished: Callable[[Place[T]], None] | None = None,
        name: str = "litz ordered work",
    ) -> None:
        if parallel < 1:
            raise ValueError(f"at least 1 runs at once, not {parallel}")
        self.book: OrderBook[T] = OrderBook(order)
        self.changed: Callable[[], None] | None = None
        self._run = run
        self._parallel = parallel
        self._admission = admission
        self._refused = refused
        self._on_finished = finished
        self._name = name
        self._runners: dict[asyncio.Task[None], Place[T] | None] = {}  # the first place until it has begun
        self._closing = False
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def broken(self) -> OrderBrokenError | None:
        """Why the order is broken, if it is."""
        return self.book.broken

    def accept(self, key: Hashable, item: T, size: int = 0, *, urgent: bool = False) -> Place[T]:
        """`OrderBook.accept`, and run it when its turn has come. Ask `book.room` first."""
        place = self.book.accept(key, item, size, urgent=urgent)
        self.go()
        return place

    def go(self) -> None:
        """Start what may run. To be called after each verb of `book`."""
        while (
            self.book.ready
            and len(self._runners) < self._parallel
            and not self._closing
            and self.book.broken is None
            and (place := self.book.next()) is not None
        ):
            task = asyncio.get_running_loop().create_task(self._runner(place), name=self._name)
            self._runners[task] = place
            task.add_done_callback(self._ended)
        self._tell()

    async def done(self) -> None:
        """Return when nothing is in line any more. Raises `OrderBrokenError` when it is broken. Parked and held ones
        are in line."""
        while self.book.messages:
            if self.book.broken is not None:
                raise self.book.broken
            if self._closing:
                return
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)

    async def close(self) -> list[Place[T]]:
        """Cancel what runs and wait for its end; nothing begins any more. Returns what is not finished, in the order
        of acceptance: those that had begun say so by their state. Idempotent. Cancelled, it ends no sooner."""
        self._closing = True
        runners = tuple(self._runners)
        for runner in runners:
            runner.cancel()
        cancelled: asyncio.CancelledError | None = None
        while not all(runner.done() for runner in runners):
            try:
                await asyncio.wait(runners)
            except asyncio.CancelledError as error:
                cancelled = error
        self._tell()
        if cancelled is not None:
            raise cancelled
        return self.book.unfinished()

    # -- inside -------------------------------------------------------------------------------------------

    async def _runner(self, first: Place[T]) -> None:
        task = asyncio.current_task()
        assert task is not None
        if task not in self._runners:
            await asyncio.sleep(0)  # it steps at once (asyncio.eager_task_factory): `go` is not done yet
        self._runners[task] = None
        place: Place[T] | None = first
        in_a_row = 0
        while place is not None:
            await self._one(place)
            in_a_row += 1
            if in_a_row % YIELD_AFTER == 0:
                await asyncio.sleep(0)
            place = None if self._closing or self.book.broken is not None else self.book.next()
            self.go()

    async def _one(self, place: Place[T]) -> None:
        permit = None
        try:
            if self._admission is not None:
                try:
                    permit = await self._admission.acquire(bytes=place.size)
                except asyncio.CancelledError:
                    self.book.put_back(place)  # nothing of it ran
                    raise
                except AdmissionRefusedError as error:
                    await self._refuse(place, error)
                    return
            await self._run(place)
        except asyncio.CancelledError as error:
            if place.state is PlaceState.BEGUN and not self._closing:
                self.book.lost(place, "what ran it was cancelled from outside", cause=error)
            raise
        except BaseException as error:
            self.book.break_order(f"what ran {place!r} raised {type(error).__name__}", key=place.key, cause=error)
            if not isinstance(error, Exception):
                raise
        else:
            if place.state is PlaceState.BEGUN:
                self._finish(place)
        finally:
            if permit is not None:
                permit.release()

    async def _refuse(self, place: Place[T], error: AdmissionRefusedError) -> None:
        if await self._refused(place, error):
            self._finish(place)
        else:
            self.book.lost(place, "it was refused, and it may not be dropped", cause=error)

    def _finish(self, place: Place[T]) -> None:
        self.book.finish(place)
        if self._on_finished is not None:
            self._on_finished(place)

    def _ended(self, runner: asyncio.Task[None]) -> None:
        place = self._runners.pop(runner)
        if place is not None:
            self.book.put_back(place)  # cancelled before its first step
        error = None if runner.cancelled() else runner.exception()
        if error is not None:
            self.book.break_order("a runner failed", cause=error)
        self.go()

    def _tell(self) -> None:
        if self.changed is not None:
            self.changed()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
