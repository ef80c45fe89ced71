"""The sending half of a stream: one message at a time goes into the window, and on by itself once it has begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

from litz.errors import BackpressureError, StreamStateError
from litz.stream_form import Begun, StreamForm
from litz.stream_inbound import EACH, YIELD_AFTER
from litz.stream_port import StreamSide

BEGUN: Final = object()
"""In place of a message's entries: it is accepted, and what is left of it goes out by itself."""


class Outbound:
    """What is written, what waits for room, and who waits for confirmation."""

    __slots__ = (
        "_asked",
        "_budget",
        "_check",
        "_finishing",
        "_form",
        "_held",
        "_later",
        "_loop",
        "_rest",
        "_sending",
        "_side",
        "_waiter",
        "bytes",
        "messages",
        "over",
    )

    def __init__(
        self, side: StreamSide, form: StreamForm, loop: asyncio.AbstractEventLoop, check: Callable[[], None]
    ) -> None:
        self._side = side
        self._form = form
        self._loop = loop
        self._check = check  # raises when nothing may be sent (any more)
        self._rest: Iterator[tuple[Any, int]] | None = None
        self._held: tuple[Any, int] | None = None  # the entry of `_rest` that found no room
        self._finishing = False
        self._sending = False
        self._waiter: asyncio.Future[None] | None = None
        self._budget = YIELD_AFTER
        self._asked: list[Callable[[bool], None]] = []
        self._later: list[Callable[[bool], None]] = []
        self.over = False
        """The stream is closed: the side is not to be touched any more."""
        self.messages = 0
        self.bytes = 0

    # -- sending --------------------------------------------------------------------------------------

    @property
    def holds(self) -> bool:
        """Whether a message has begun and found no room for all of it yet."""
        return self._rest is not None

    def offer(self, data: Any) -> Begun | object | None:
        """Take a message now: None if that was all there is to it. Otherwise what to give to `accept`."""
        if self._sending or self._finishing or self.over:
            self._refuse()
        begun = self._form.begin(data)
        entry, size, rest = begun
        self._budget -= size + EACH
        if self._budget < 0 or self._rest is not None or not self._write(entry, size):
            return begun
        if rest is not None:
            return self._take(size, rest)
        self.messages += 1
        self.bytes += size
        return None

    def offer_now(self, data: Any) -> None:
        """Take a message now, or raise `BackpressureError`."""
        if self._sending or self._finishing or self.over:
            self._refuse()
        entry, size, rest = self._form.begin(data)
        if self._rest is not None or not self._write(entry, size):
            raise BackpressureError("the window of this stream is full: await `send`, or try again later")
        self._take(size, rest)

    def _refuse(self) -> None:
        self._check()
        raise StreamStateError("another task sends on this stream now: one at a time")

    def _take(self, size: int, rest: Iterator[tuple[Any, int]] | None) -> object | None:
        self.messages += 1
        self.bytes += size
        if rest is None:
            return None
        self._rest = rest
        self._pump()
        return BEGUN if self.holds else None

    async def accept(self, begun: Any) -> None:
        """Wait until a message is accepted. Cancelled before its first entry is: nothing of it was; after that: it goes
        out all the same."""
        self._sending = True
        try:
            if self._budget < 0:
                self._budget = YIELD_AFTER
                self._loop.call_soon(self._wake)
                await self._room()
            if begun is not BEGUN:
                entry, size, rest = begun
                self._check()
                while self._rest is not None or not self._write(entry, size):
                    await self._room()
                    self._check()
                self._take(size, rest)
            while self._rest is not None:
                await self._room()
                self._check()
        finally:
            self._sending = False

    def _write(self, entry: Any, size: int) -> bool:
        try:
            return self._side.write(entry, size)
        except RuntimeError:
            return False  # it has ended, and says so in a moment: until then there is no room

    async def _room(self) -> None:
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def writable(self) -> None:
        """There is room again."""
        if self.over:
            return
        self._pump()
        self._wake()

    def _pump(self) -> None:
        """Write on what has begun, as far as there is room."""
        rest = self._rest
        if rest is None:
            return
        held = self._held or next(rest, None)
        while held is not None:
            entry, size = held
            if not self._write(entry, size):
                self._held = held
                return
            self.bytes += size
            held = next(rest, None)
        self._rest = self._held = None
        if self._finishing:
            self._side.finish()
        self._ask_again()

    # -- the end ----------------------------------------------------------------------------------------

    def finish(self) -> None:
        """The end of this half, behind what was accepted."""
        self._finishing = True
        if self._rest is None:
            self._side.finish()

    def close(self) -> None:
        """The stream is over: who waits looks again."""
        self.over = True
        self._rest = self._held = None
        self._wake()
        asked, self._asked, self._later = self._asked + self._later, [], []
        for tell in asked:
            tell(False)

    # -- confirmation -------------------------------------------------------------------------------------

    def when_confirmed(self, tell: Callable[[bool], None]) -> None:
        """Call `tell(True)` when everything accepted so far (an end too) is confirmed, `tell(False)` at the end of the
        stream if it was not."""
        if self.over:
            tell(False)
            return
        self._later.append(tell)
        self._ask_again()

    @property
    def all_confirmed(self) -> bool:
        """Whether nothing is on its way. An end is not looked at."""
        return self._rest is None and self._side.unconfirmed == 0

    def _ask_again(self) -> None:
        # One question at a time: its answer then means what was written before it was asked, and no less.
        if self._later and not self._asked and self._rest is None:
            self._asked, self._later = self._later, []
            self._side.want_confirmed()

    def confirmed(self) -> None:
        """The answer came."""
        asked, self._asked = self._asked, []
        for tell in asked:
            tell(True)
        if not self.over:
            self._ask_again()
