"""How long a subscriber of episodes puts up with a publisher that is not there, and when it asks again."""

from __future__ import annotations

import asyncio
from enum import Enum
from random import Random
from typing import Final

from litz.backoff import Backoff, backoff_delay
from litz.errors import BusyError, MessageTooLargeError, ProtocolError, StreamRefusedError, UnknownDestError
from litz.stream_options import StreamOptions
from litz.stream_port import Refusal

STABLE: Final = 10.0
"""Seconds after which a subscription that brought nothing has proved itself all the same: an episode may be idle."""


class Verdict(Enum):
    """About another attempt to subscribe."""

    AGAIN = "again"
    POINTLESS = "pointless"
    IMPATIENT = "impatient"


class Retrying:
    """How long one subscription puts up with a publisher that is not there."""

    def __init__(self, backoff: Backoff, patience: float, rng: Random, options: StreamOptions | None) -> None:
        self._backoff = backoff
        self._patience = patience
        self._rng = rng
        self.options = options
        self._ever = False
        self._nap: asyncio.Future[None] | None = None
        self.begin()

    def begin(self) -> None:
        """Anew, from nothing."""
        self._attempt = 0
        self._since: float | None = None
        self._not_before = 0.0
        self._opened_at: float | None = None

    async def turn(self) -> None:
        """Wait until the next attempt may be made, or until `interrupt`."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._not_before:
            return
        self._nap = loop.create_future()
        timer = loop.call_at(self._not_before, self.interrupt)
        try:
            await self._nap
        finally:
            self._nap = None
            timer.cancel()

    def interrupt(self) -> None:
        """Whoever waits for its turn need not wait any more."""
        if self._nap is not None and not self._nap.done():
            self._nap.set_result(None)

    def opened(self) -> None:
        """A stream was opened."""
        self._ever = True
        self._opened_at = asyncio.get_running_loop().time()

    def proved(self) -> None:
        """A part came."""
        self._attempt = 0
        self._since = None

    def failed(self, error: Exception, *, had: bool) -> Verdict:
        """An attempt failed with `error`, or a stream was lost by it. Sets when the next one may be made."""
        now = asyncio.get_running_loop().time()
        if had and self._opened_at is not None and now - self._opened_at >= STABLE:
            self.proved()
        if self._since is None:
            self._since = now
        if isinstance(error, ProtocolError | MessageTooLargeError | UnknownDestError):
            return Verdict.POINTLESS
        least = 0.0
        if isinstance(error, StreamRefusedError):
            # Nobody publishes there (yet, or any more): of a publisher that was there before it is not the last word.
            gone = error.why == Refusal.REFUSED and not self._ever
            if gone or error.why in (Refusal.REJECTED, Refusal.UNSUPPORTED):
                return Verdict.POINTLESS
            least = error.retry_after or 0.0
        elif isinstance(error, BusyError):
            least = error.retry_after
        wait = max(least, backoff_delay(self._attempt, self._rng, self._backoff))
        self._attempt += 1
        if now + wait > self._since + self._patience:
            return Verdict.IMPATIENT
        self._not_before = now + wait
        return Verdict.AGAIN
