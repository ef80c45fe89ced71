"""Keeps hubs: dials them again also where the manager does not by itself, after a goodbye for example. Hubs restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final
from zlib import crc32

from litz.errors import LitzError
from litz.node_port import NodePort

FIRST_DELAY: Final = 0.25
"""Seconds until a hub that is gone is asked for the first time."""

LONGEST_DELAY: Final = 5.0
"""Seconds between two looks at the most."""


class HubKeeper:
    """Asks the manager for each hub that is not `usable`, now and then. While the manager dials by itself that does
    nothing."""

    def __init__(self, port: NodePort, loop: asyncio.AbstractEventLoop, usable: Callable[[str], bool]) -> None:
        self._port = port
        self._loop = loop
        self._usable = usable
        self._timers: dict[str, asyncio.TimerHandle] = {}
        # Not all nodes of a hub at once, and no chance, so that a simulation is the same every time.
        self._spread = 0.5 + crc32(port.local_id.encode()) / (1 << 33)

    def keep(self, hub: str) -> None:
        """The hub is wanted, and not there."""
        if hub not in self._timers:
            self._look_in(hub, FIRST_DELAY)

    def _look_in(self, hub: str, delay: float) -> None:
        self._timers[hub] = self._loop.call_later(delay * self._spread, self._look, hub, delay)

    def _look(self, hub: str, delay: float) -> None:
        del self._timers[hub]
        if self._usable(hub):
            return
        with contextlib.suppress(LitzError):  # too many dests, perhaps not for ever
            self._port.want(hub)
        self._look_in(hub, min(LONGEST_DELAY, 2 * delay))

    def close(self) -> None:
        """Ask no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
