"""Users of the sides of streams, for tests of the driver of outproc: what they were told, in order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from litz.stream_port import Later, Offer, Refused, StreamCarrier, StreamSide
from outproc import OutprocTransportManager


def carrier(manager: OutprocTransportManager) -> StreamCarrier:
    """What the public verbs of a manager stand on."""
    return manager._running().streams


class User:
    """Takes what comes, as long as it `reads`; with `echo` it writes it back, and ends its half with the peer's."""

    def __init__(self, side: StreamSide, *, echo: bool = False, reads: bool = True) -> None:
        self.side = side
        self.echo = echo
        self.reads = reads
        self.entries: list[bytes] = []
        self.size = self.sent = 0
        """Bytes that were taken, and that were written by `write`."""
        self.told: Counter[str] = Counter()
        self.end: tuple[str, object] | None = None
        """How it ended otherwise than complete."""
        self.news = asyncio.Event()
        self._unwritten: list[bytes] = []
        self._unread: list[bytes] = []
        side.use(self)

    # -- a `StreamUser` -----------------------------------------------------------------------------

    def received(self, entries: Sequence[Any], size: int) -> None:
        assert sum(map(len, entries)) == size
        self._note("received")
        self._unread.extend(entries)
        if self.reads:
            self.read()

    def finished(self) -> None:
        self._note("finished")
        self._reply()

    def aborted(self, code: int, reason: str) -> None:
        self.end = ("aborted", code)
        self._note("aborted")

    def lost(self, error: BaseException) -> None:
        self.end = ("lost", error)
        self._note("lost")

    def writable(self) -> None:
        self._note("writable")
        self._reply()

    def confirmed(self) -> None:
        self._note("confirmed")

    def link(self, up: bool) -> None:
        self._note("up" if up else "down")

    def _note(self, what: str) -> None:
        self.told[what] += 1
        self.news.set()

    # -- what it does -------------------------------------------------------------------------------

    def read(self) -> None:
        """Take all that came."""
        entries, self._unread = self._unread, []
        size = sum(map(len, entries))
        self.size += size
        if self.echo:
            self._unwritten += entries
            self._reply()
        else:
            self.entries += entries
        if entries:
            self.side.consumed(len(entries), size)

    def _reply(self) -> None:
        if not self.echo or self.end is not None:
            return
        for place, entry in enumerate(self._unwritten):
            if not self.side.write(entry, len(entry)):
                del self._unwritten[:place]
                return
        self._unwritten.clear()
        if self.told["finished"]:
            self.side.finish()

    async def write(self, entry: Any, size: int | None = None) -> None:
        """Write one entry, waiting for room."""
        size = len(entry) if size is None else size
        while not self.side.write(entry, size):
            await self.heard("writable", self.told["writable"] + 1)
        self.sent += size

    async def heard(self, what: str, times: int = 1, *, seconds: float = 240.0) -> None:
        """Wait until it was told so often."""
        async with asyncio.timeout(seconds):
            while self.told[what] < times:
                assert self.end is None or self.end[0] == what, f"{self.side!r} ended: {self.end}, {self.told}"
                self.news.clear()
                await self.news.wait()


class Service:
    """Listens to one service of a manager: takes what `answer` does not refuse."""

    def __init__(self, manager: OutprocTransportManager, name: str, *, echo: bool = False, reads: bool = True) -> None:
        self.users: list[User] = []
        self.offers: list[Offer] = []
        self.answer: Refused | Later | None = None
        self._echo = echo
        self._reads = reads
        self.stop = carrier(manager).listen(name, self._accept)

    def _accept(self, offer: Offer, side: StreamSide) -> Refused | Later | None:
        self.offers.append(offer)
        if not isinstance(self.answer, Refused):
            self.users.append(User(side, echo=self._echo, reads=self._reads))
        return self.answer
