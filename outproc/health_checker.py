"""The health-check task of one node: pings silent wires, gives up dead ones, redials what is due, and notices that
the machine slept.

Everything that wants a look has a due time in one heap; a healthy idle dest without wires has none and costs
nothing. While there is something in the heap, the clocks are looked at for all of it together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from litz.manager import HealthCheckHandle
from outproc.health import DueHeap, LagMeter
from outproc.wake_watch import WakeWatch


class Checked(Protocol):
    """What the health check looks at. Compared by identity."""

    def check(self, now: float, lag: float) -> float | None:
        """Do what is due. Returns when to look again, None: not until scheduled anew. Must not raise.

        lag  seconds our own loop is late: the silence of a peer may be our own
        """

    def __hash__(self) -> int: ...


class HealthChecker(HealthCheckHandle):
    """Owns the task. All methods belong to the manager's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spawn: Callable[..., asyncio.Task[None]]) -> None:
        self.wake_watch: WakeWatch | None = None
        """Set before `start`. None: nobody notices that the machine slept."""
        self._loop = loop
        self._spawn = spawn
        self._due: DueHeap[Checked] = DueHeap()
        self._meter = LagMeter()
        self._sooner = asyncio.Event()
        self._waiting_until: float | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None

    def start(self) -> None:
        """Start the task if it does not run."""
        if self._task is None:
            self._task = self._spawn(self._run(), "litz health check")

    def schedule(self, item: Checked, at: float | None) -> None:
        """Look at `item` at the time `at` instead of any earlier or later one; None: not at all."""
        if at is None:
            self._due.cancel(item)
            return
        self._due.schedule(item, at)
        if self._waiting_until is None or at < self._waiting_until:
            self._sooner.set()

    async def _run(self) -> None:
        while True:
            self._sooner.clear()
            due = self._waiting_until = self._due.next_due()
            if due is None:
                await self._sooner.wait()
                continue
            if self.wake_watch is not None:
                due = self._waiting_until = min(due, self.wake_watch.look(self._loop.time()))
            if due > self._loop.time():
                self._meter.expect(due)
                try:
                    async with asyncio.timeout_at(due):
                        await self._sooner.wait()
                except TimeoutError:
                    pass
                else:
                    # Woken before: this timer is not late, however long the next is in coming.
                    self._meter.fired(self._loop.time())
                    continue
            else:
                # Whatever is due again and again, others run in between.
                await asyncio.sleep(0)
            now = self._loop.time()
            self._meter.fired(now)
            lag = self._meter.lag(now)
            for item in self._due.pop_due(now):
                try:
                    again = item.check(now, lag)
                except Exception as error:
                    # A wire of the user, say: the others must be looked at all the same.
                    self._loop.call_exception_handler(
                        {"message": "litz: an error in a health check", "exception": error}
                    )
                    again = None
                if again is not None and item not in self._due:
                    self._due.schedule(item, again)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
