"""Turns for coroutines: who sends in several steps keeps the order of each key all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from types import TracebackType
from typing import Any

from litz.errors import OrderBrokenError
from litz.limiter import Limiter, Permit
from litz.order import Order, PerKey
from litz.ordering import OrderBook, Place, PlaceState


class OrderedSending:
    """Gives out turns: `async with sending.turn(key): ...`. Inside, any number of awaits; of one key one is inside.

    order      `PerKey()` (by the key given to `turn`) or `Fifo()`. At its bounds `turn` raises `BackpressureError`, or
               breaks the order under `full="break"`
    admission  outbound: a permit of one, and the bytes given to `turn`, is had once the turn has come. Who waits for
               its turn holds none
    strict     an exception or a cancel out of the block breaks the order: nothing that was asked for later may go out
               where this is missing. Otherwise only its own caller is told, and the next of the key goes on

    Order: that in which the `async with` begin. Cancellation: who waits leaves the line; nothing is left behind. One
    task holds one turn at a time: nested ones could wait in a circle, and raise RuntimeError.
    All belongs to one loop's thread; any number of its tasks may use it.
    """

    def __init__(self, order: Order | None = None, *, admission: Limiter | None = None, strict: bool = False) -> None:
        self._order = order or PerKey()
        self._book: OrderBook[asyncio.Future[None]] = OrderBook(self._order)
        self._admission = admission
        self._strict = strict
        self._holders: dict[asyncio.Task[Any] | None, None] = {}

    def turn(self, key: Hashable = None, *, bytes: int = 0) -> Turn:  # noqa: A002 - the word users look for
        """`async with` it: the block runs when the turn of `key` has come and `bytes` are admitted.

        Entering raises `BackpressureError` (the line is full), `AdmissionRefusedError`, `OrderBrokenError` (for good),
        RuntimeError (this task holds a turn already)."""
        return Turn(self, key if isinstance(self._order, PerKey) else None, bytes)

    @property
    def waiting(self) -> int:
        """How many wait for their turn, or for admission, or are inside."""
        return self._book.messages

    @property
    def broken(self) -> OrderBrokenError | None:
        """Why the order is broken, if it is."""
        return self._book.broken

    def __repr__(self) -> str:
        return f"<ordered sending: {self._book.messages} of {self._book.keys} keys>"

    # -- for turns ----------------------------------------------------------------------------------------

    async def enter(self, key: Hashable, size: int) -> tuple[Place[asyncio.Future[None]], Permit | None]:
        """For `Turn`: wait for the turn, then for the permit."""
        task = asyncio.current_task()
        if task in self._holders:
            raise RuntimeError("this task holds a turn already; leave that first, or two tasks may wait for each other")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            place = self._book.accept(key, future, size)
        except OrderBrokenError:
            self._go()
            raise
        permit: Permit | None = None
        try:
            self._go()
            await future
            if self._admission is not None:
                permit = await self._admission.acquire(bytes=size)
            if self._book.broken is not None:  # while it waited for the permit
                raise self._book.broken
        except BaseException:
            if permit is not None:
                permit.release()
            self._leave(place)
            raise
        self._holders[task] = None
        return place, permit

    def exit(self, place: Place[asyncio.Future[None]], permit: Permit | None, error: BaseException | None) -> None:
        """For `Turn`: the block is over."""
        self._holders.pop(asyncio.current_task(), None)
        if permit is not None:
            permit.release()
        if error is not None and self._strict:
            self._book.lost(place, f"its block raised {type(error).__name__}", cause=error)
        self._leave(place)

    def _leave(self, place: Place[asyncio.Future[None]]) -> None:
        if place.state is PlaceState.BEGUN:
            self._book.finish(place)
        else:
            self._book.withdraw(place)
        self._go()

    def _go(self) -> None:
        """Wake all whose turn has come, or everybody when the order is broken."""
        book = self._book
        if book.broken is not None:
            for place in book.unfinished():
                if not place.item.done():
                    place.item.set_exception(book.broken)
            return
        while (first := book.next()) is not None:
            if not first.item.done():
                first.item.set_result(None)


class Turn:
    """One turn that was asked for: `async with` it, once."""

    __slots__ = ("_held", "_key", "_sending", "_size")

    def __init__(self, sending: OrderedSending, key: Hashable, size: int) -> None:
        self._sending = sending
        self._key = key
        self._size = size
        self._held: tuple[Place[asyncio.Future[None]], Permit | None] | None = None

    async def __aenter__(self) -> None:
        if self._held is not None:
            raise RuntimeError("this turn is taken; ask for another")
        self._held = await self._sending.enter(self._key, self._size)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        held, self._held = self._held, None
        assert held is not None, "entered"
        self._sending.exit(*held, error)
