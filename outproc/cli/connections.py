"""The connections of one forward or of one exposed service: counted, limited, and brought to an end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from litz.pump import Pump
from outproc.cli.complaints import Complaints


class BusyError(Exception):
    """As many connections as there may be are open."""


class Connections:
    """Those of one passage. For the loop's thread.

    what      names it for people
    limit     how many may be open at once
    per_peer  how many of them by one peer; None: the limit alone
    """

    def __init__(self, what: str, limit: int, say: Callable[[str], None], per_peer: int | None = None) -> None:
        self.what = what
        self._limit = limit
        self._per_peer = limit if per_peer is None else per_peer
        self._complaints = Complaints(say)
        self._open: dict[Pump, str] = {}
        self._by_peer: Counter[str] = Counter()
        self._total = 0
        self._refused = 0
        self._sent = 0
        self._received = 0
        self._last_error = ""
        self._empty = asyncio.Event()
        self._empty.set()

    def begin(self, peer: str, begun: Callable[[Pump], None] | None = None) -> Pump:
        """A new pump for a connection of `peer`; `begun` is called when the first of its two connections is there.
        Raises `BusyError`."""
        if len(self._open) >= self._limit:
            raise BusyError(f"{self._limit} connections are open, and no more are taken")
        if self._by_peer[peer] >= self._per_peer:
            raise BusyError(f"{peer} has {self._per_peer} connections open, and gets no more")
        pump = Pump(lambda error: self._ended(pump, error), begun)
        self._open[pump] = peer
        self._by_peer[peer] += 1
        self._empty.clear()
        return pump

    def opened(self) -> None:
        """One more is joined at both ends."""
        self._total += 1

    def refused(self, peer: str, why: str) -> None:
        """One of `peer` could not be had: count it, and say why, unless that would be many lines."""
        self._refused += 1
        self._last_error = why
        self._complaints.add(peer, f"{self.what}: {why}", asyncio.get_running_loop().time())

    def broken(self, why: str) -> None:
        """One that was open was cut off: remember why."""
        self._last_error = why

    def row(self) -> dict[str, Any]:
        """The counters, as JSON can hold them. `sent` and `received`: bytes to and from the peer."""
        return {
            "open": sum(pump.joined for pump in self._open),
            "total": self._total,
            "sent": self._sent + sum(pump.here.passed for pump in self._open),
            "received": self._received + sum(pump.there.passed for pump in self._open),
            "refused": self._refused,
            "last_error": self._last_error,
        }

    def __len__(self) -> int:
        return len(self._open)

    async def ended(self) -> None:
        """Until none is open."""
        await self._empty.wait()

    def reset(self, error: BaseException) -> None:
        """End all that are open, at once."""
        for pump in list(self._open):
            pump.abort(error)

    def _ended(self, pump: Pump, error: BaseException | None) -> None:
        peer = self._open.pop(pump)
        self._by_peer[peer] -= 1
        if not self._by_peer[peer]:
            del self._by_peer[peer]
        self._sent += pump.here.passed
        self._received += pump.there.passed
        if error is not None and pump.joined:
            self.broken(str(error))
        if not self._open:
            self._empty.set()
