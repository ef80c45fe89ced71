"""Who waits for a dial of one dest: rounds, one for each kind of wire that was asked for, and one for any kind.

All who ask for the same share a round; its outcome is set once. Nobody's cancel disturbs it: wait behind `shield`.
"""

from __future__ import annotations

import asyncio

from litz.wire import Endpoint


class Rounds:
    """For the loop's thread. `kind` is that of the wires that were asked for, None for any."""

    __slots__ = ("_loop", "_open", "calm")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: dict[str | None, asyncio.Future[None]] = {}
        self.calm: dict[Endpoint, int] | None = None
        """In the round for any kind nobody is in a hurry: how often each endpoint had failed when it began."""

    @property
    def open(self) -> tuple[str | None, ...]:
        """The kinds for which somebody asked and got no answer yet."""
        return tuple(self._open)

    def join(self, kind: str | None) -> tuple[asyncio.Future[None], bool]:
        """The round for `kind`, and whether it begins now."""
        found = self._open.get(kind)
        if found is not None:
            return found, False
        begun = self._open[kind] = self._loop.create_future()
        begun.add_done_callback(_retrieve)
        return begun, True

    def join_calmly(self, tally: dict[Endpoint, int]) -> asyncio.Future[None]:
        """The round for any kind, for one who is not in a hurry. `tally`: how often each endpoint has failed."""
        outcome, begins = self.join(None)
        if begins:
            self.calm = tally
        return outcome

    def hurry(self, kind: str | None) -> bool:
        """Somebody in a hurry has joined the round for `kind`. Returns whether nobody was before."""
        was_calm = kind is None and self.calm is not None
        if was_calm:
            self.calm = None
        return was_calm

    @property
    def asked(self) -> bool:
        """Whether there is a round in which somebody is in a hurry."""
        return len(self._open) > (self.calm is not None)

    def up(self, kind: str) -> None:
        """A wire of `kind` is up: that is what some waited for."""
        for waited_for in (kind, None):
            self.end(waited_for, None)

    def end(self, kind: str | None, error: Exception | None) -> None:
        """The round for `kind` is over, if there is one; None: well."""
        if kind is None:
            self.calm = None
        ended = self._open.pop(kind, None)
        if ended is None:
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def fail(self, error: Exception) -> None:
        """All are over."""
        for kind in self.open:
            self.end(kind, error)

    def refused(self, error: Exception) -> asyncio.Future[None]:
        """A round that never begins."""
        over: asyncio.Future[None] = self._loop.create_future()
        over.add_done_callback(_retrieve)
        over.set_exception(error)
        return over


def _retrieve(outcome: asyncio.Future[None]) -> None:
    """Nobody may be waiting any more when a round fails; the event tells."""
    if not outcome.cancelled():
        outcome.exception()
