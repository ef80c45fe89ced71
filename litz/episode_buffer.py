"""Episodes in an event loop: a producer appends, late subscribers replay and then follow live. See `litz.episodes`."""

from __future__ import annotations

import asyncio
from math import inf
from types import TracebackType
from typing import Any, Self

from litz.episode_parts import EpisodeParts
from litz.episodes.core import EpisodeCore, EpisodeSnapshot
from litz.episodes.ends import End, Why
from litz.episodes.keys import EpisodeKey
from litz.episodes.options import Behind, EpisodeOptions


class EpisodeBuffer:
    """Keeps episodes, in bounded memory, for any number of subscribers.

    Everything belongs to the thread of one event loop, the one in which it is used first; any of its tasks may call any
    verb. The verbs of producers are no coroutines: a producer never waits for a reader. One timer of the loop serves
    all deadlines. `async with` closes it; so does `aclose`. Raises `ManagerStateError` after that.
    """

    def __init__(self, options: EpisodeOptions | None = None) -> None:
        self._core = EpisodeCore(options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf

    def __repr__(self) -> str:
        sight = self.sight()
        return (
            f"<EpisodeBuffer {'closed' if self._core.closed else 'open'}, {sight['episodes']} episodes "
            f"({sight['open']} open), {sight['parts']} parts of {sight['size']} bytes, {sight['readers']} readers>"
        )

    @property
    def options(self) -> EpisodeOptions:
        return self._core.options

    # -- producers ------------------------------------------------------------------------------------

    def create(self, key: EpisodeKey) -> None:
        """Begin an episode. A newer version or attempt of a stream supersedes the older ones: an open one is closed,
        and its subscribers are told the newer key when they have read what there was of it.

        Raises `EpisodeStateError` (it exists), `EpisodeOverError` (it is over, or a newer one began),
        `EpisodeLimitError`."""
        self._core.create(self._now(), key)
        self._arm()

    def append(
        self, key: EpisodeKey, data: Any, *, role: str = "", size: int | None = None, number: int | None = None
    ) -> int:
        """Add a part; returns its number, which is one more than the last one's, from 1.

        data    bytes-like (what can be changed is copied), or any object with a declared `size` in bytes
        role    whose it is; handed on
        number  if given, it must be the next one

        A part over a limit is refused whole, and smaller ones still fit. Raises `PartTooLargeError`,
        `EpisodeLimitError`, `EpisodeOverError`, `EpisodeStateError`, TypeError, ValueError."""
        number = self._core.append(self._now(), key, data, role=role, size=size, number=number)
        self._arm()
        return number

    def close(self, key: EpisodeKey, why: Why = Why.COMPLETE, reason: str = "") -> End:
        """End an episode: COMPLETE, FAILED or CANCELLED. One that is unknown is created closed, so that who comes later
        learns of its end. The first reason wins, and is returned. Raises `EpisodeLimitError`, ValueError."""
        end = self._core.close(self._now(), key, why, reason)
        self._arm()
        return end

    def commit(self, key: EpisodeKey, upto: int) -> int:
        """The parts up to `upto` are stored elsewhere. They are trimmed as soon as no reader of now needs them, and
        before that if room is needed. Returns the number of the first part that is still here. Raises
        `EpisodeStateError`."""
        first = self._core.commit(self._now(), key, upto)
        self._arm()
        return first

    def snapshot(self, key: EpisodeKey) -> EpisodeSnapshot:
        """What there is of it now. Raises `EpisodeStateError` (not created), `EpisodeOverError` (gone)."""
        return self._core.snapshot(key)

    def close_and_snapshot(self, key: EpisodeKey, why: Why = Why.COMPLETE, reason: str = "") -> EpisodeSnapshot:
        """`close`, and what was in it at that moment, in one step. Raises what these raise."""
        taken = self._core.close_and_snapshot(self._now(), key, why, reason)
        self._arm()
        return taken

    # -- subscribers ----------------------------------------------------------------------------------

    def subscribe(self, key: EpisodeKey, after: int = 0, *, behind: Behind | None = None) -> EpisodeParts:
        """The parts of `key` behind the part `after`: those that are there, then those that come.

        The episode may not be there yet (it is waited for, `early_wait` long), be open, closed, or gone. `behind`: what
        happens when what comes next cannot be had: `Behind`. The subscription begins with this call. Use it as
        `async with buffer.subscribe(key) as parts: async for part in parts`.

        Raises `EpisodeLimitError`, ValueError; what ends the iteration: `EpisodeParts`."""
        parts = EpisodeParts(self._core, self._now, self._arm)
        parts.begin(key, after, behind)
        self._arm()
        return parts

    def sight(self) -> dict[str, int]:
        """How much there is of everything that has a limit, and how often something was done: `slow`, `skipped`,
        `evicted`, `expired`, `trimmed`."""
        return self._core.sight()

    # -- the end --------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._now()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Forget everything. Every reader ends with `BufferClosedError`, whatever it has not read. Idempotent; does not
        wait for anything."""
        if not self._core.closed:
            self._core.shut(self._now())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- time -----------------------------------------------------------------------------------------

    def _now(self) -> float:
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        return loop.time()

    def _arm(self) -> None:
        """Have the timer go off at the first deadline. One that goes off too early looks again."""
        due = self._core.next_due()
        if due < self._timer_at and self._loop is not None and not self._core.closed:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = due
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._timer_at = inf
        self._core.tick(self._now())
        self._arm()
