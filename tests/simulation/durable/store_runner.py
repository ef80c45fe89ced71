"""The thread of a store on virtual time: calls take their time, and of a killed process one is kept or lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from tests.simulation.durable.disks import Disk
from tests.simulation.durable.record import InvariantError

Result = TypeVar("Result")
Call = tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]


class SimRunner:
    """Implements `StoreRunner` on a disk.

    failed  is told of a broken invariant, which the store's caller would take for an error of the disk
    hit     called before or after the next call is carried out, which is then the last one of its process
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, disk: Disk, failed: Callable[[BaseException], None]) -> None:
        self._loop = loop
        self._disk = disk
        self._failed = failed
        self._calls: deque[Call] = deque()
        self._current: Call | None = None
        self._carried_out = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped = False
        self.killed = False
        self.doom: tuple[bool, Callable[[], object]] | None = None
        """Whether the next call is kept, and what kills the process."""

    def call(self, work: Callable[[], Result], done: Callable[[Result, BaseException | None], None]) -> None:
        if self._stopped or self.killed:
            return
        self._calls.append((work, done))
        self._idle.clear()
        self._next()

    async def run(self, work: Callable[[], Result]) -> Result:
        outcome: asyncio.Future[Result] = self._loop.create_future()

        def done(result: Result, error: BaseException | None) -> None:
            if not outcome.done() and error is not None:
                outcome.set_exception(error)
            elif not outcome.done():
                outcome.set_result(result)

        self.call(work, done)
        return await outcome

    async def stop(self, last: Callable[[], None], timeout: float) -> bool:
        self.call(last, lambda result, error: None)
        self._stopped = True
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            self.kill(keep=True)
        return not self.killed

    # -- time ---------------------------------------------------------------------------------------

    def _next(self) -> None:
        if self._current is None and self._calls:
            self._current, self._carried_out = self._calls.popleft(), False
            self._timer = self._loop.call_later(self._disk.takes(), self._work)
        elif self._current is None:
            self._idle.set()

    def _work(self) -> None:
        assert self._current is not None
        if self.doom is not None:
            (keep, kill), self.doom = self.doom, None
            if keep:
                self._carry_out()
            kill()
            return
        result, error = self._carry_out()
        self._timer = self._loop.call_later(self._disk.takes(), self._done, result, error)

    def _carry_out(self) -> tuple[Any, BaseException | None]:
        assert self._current is not None
        self._carried_out = True
        try:
            return self._current[0](), None
        except InvariantError as error:
            self._failed(error)
            return None, error
        except Exception as error:
            return None, error

    def _done(self, result: Any, error: BaseException | None) -> None:
        assert self._current is not None
        _, done = self._current
        self._current = self._timer = None
        done(result, error)
        self._next()

    def kill(self, *, keep: bool) -> None:
        """The process is gone. What it had handed over and was not carried out is lost; `keep`: but for the first."""
        if self.killed:
            return
        self.killed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._current is not None and not self._carried_out and keep:
            self._carry_out()
        self._calls.clear()
        self._current = None
        self._idle.set()
