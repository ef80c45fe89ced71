"""The receiving half of a stream: what came and was not taken, and the one reader who may wait for more.

What is not taken stays as it came: a large message is put together only while somebody receives it, so that memory
grows with what a user reads, and never beyond the window by what nobody does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from litz.errors import StreamStateError
from litz.stream_codec import NOTHING
from litz.stream_form import StreamForm
from litz.stream_port import Kept, StreamSide

TELL_BYTES: Final = 16 * 1024
TELL_ENTRIES: Final = 64
"""So much may be taken before the peer hears of it, while more waits here: the windows are several times as large."""

YIELD_AFTER: Final = 256 * 1024
EACH: Final = 1024
"""A tight loop lets the others run after so many bytes, where each message counts for so many more."""


class Inbound:
    """Entries as they came, and messages as they are taken."""

    __slots__ = (
        "_form",
        "_kept",
        "_loop",
        "_owed",
        "_side",
        "_taken",
        "_taken_size",
        "budget",
        "bytes",
        "entries",
        "finished",
        "messages",
        "over",
        "waiter",
    )

    def __init__(self, side: StreamSide, form: StreamForm, loop: asyncio.AbstractEventLoop) -> None:
        self._side = side
        self._form = form
        self._loop = loop
        self.waiter: asyncio.Future[None] | None = None
        """Who waits in `wait` or `give_way` now."""
        self.budget = YIELD_AFTER
        """Below 0 the reader has taken so much in a row that others should run."""
        self._owed = 0  # bytes that came and that the side was not told of as consumed
        self._taken = 0
        self._taken_size = 0
        self.entries: deque[Any] = deque()
        self.finished = False
        """The peer has ended its half; all its entries came before."""
        self.over = False
        """The stream is closed: the side is not to be touched any more."""
        self._kept: Kept | None = None
        """What was not taken by then, as long as it is there."""
        self.messages = 0
        self.bytes = 0

    # -- from the carrier -----------------------------------------------------------------------------

    def came(self, entries: Sequence[Any], size: int) -> None:
        """Entries came."""
        self.entries += entries
        self._owed += size
        self.bytes += size
        self.wake()

    def end(self, *, keep: bool) -> None:
        """The stream is over, before the side is released. `keep`: what came is still for the reader."""
        self._owed -= self._taken_size
        self._taken = self._taken_size = 0
        if not keep:
            self.entries.clear()
        elif self.entries:
            self._kept = self._side.keep(self._owed)
        self.over = True

    def clear(self) -> None:
        """Nobody wants what came, or may have it. Once it is over: from any thread."""
        self.entries.clear()
        self._kept = None

    def wake(self) -> None:
        """There is something new to see, for the one who waits."""
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- for the reader -------------------------------------------------------------------------------

    def next_now(self) -> Any:
        """The next message if it is here whole, else `NOTHING`. Raises what the form raises: then the stream is to be
        ended."""
        entries = self.entries
        form = self._form
        while entries:
            entry = entries.popleft()
            self._taken += 1
            if form.sized:
                size = len(entry)
                self._taken_size += size
                self.budget -= size
            if not entries or self._taken_size >= TELL_BYTES or self._taken >= TELL_ENTRIES:
                self._tell()
            data = form.take(entry)
            if data is not NOTHING:
                self.messages += 1
                self.budget -= EACH
                return data
        return NOTHING

    def check_free(self) -> None:
        """Raises `StreamStateError` if somebody else waits for the next message."""
        if self.waiter is not None:
            raise StreamStateError("another task receives from this stream now: one at a time")

    async def give_way(self) -> None:
        """Let the others run once. Nothing was taken, so nothing is lost by a cancel."""
        self.budget = YIELD_AFTER
        waiter = self.waiter = self._loop.create_future()
        self._loop.call_soon(self.wake)
        try:
            await waiter
        finally:
            self.waiter = None

    async def wait(self) -> None:
        """Until something new is to be seen. Look first, and look again after it."""
        self.budget = YIELD_AFTER
        waiter = self.waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self.waiter = None

    def drop(self) -> None:
        """Nobody wants what came: the window is the peer's again."""
        self._taken += len(self.entries)
        self.entries.clear()
        self._tell()

    def _tell(self) -> None:
        if not self._taken:
            return
        # The carrier's sum counts in the end, whatever the entries look like by now.
        size = min(self._taken_size, self._owed) if self.entries else self._owed
        taken, self._taken, self._taken_size = self._taken, 0, 0
        self._owed -= size
        if not self.over:
            self._side.consumed(taken, size)
        elif self._kept is not None:
            self._kept.took(size)
            if not self.entries:
                self._kept = None
