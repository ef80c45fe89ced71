"""Runs the coroutine of a command, on uvloop where there is one, and ends it in order on Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from outproc.cli.outcome import INTERRUPTED

KEPT_MEMORY: Final = 16 << 20

Result = TypeVar("Result")


class StoppedError(Exception):
    """Ctrl-C or SIGTERM came while something was waited for that did not end."""


class Stop:
    """Set once by the first Ctrl-C or SIGTERM: the end is under way, and bounded. A second one is for those who have
    something that they can cut short."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._again = asyncio.Event()

    def set(self) -> None:
        """As if a signal had come."""
        (self._again if self._event.is_set() else self._event).set()

    async def wait_again(self) -> None:
        """Until a further signal comes, after the first."""
        await self._again.wait()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    async def wait(self) -> None:
        await self._event.wait()

    async def unless(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`. Raises `StoppedError` once a signal has come, when `work` has been cancelled."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(work)
        stopped = loop.create_task(self._event.wait())
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise StoppedError
            return task.result()
        finally:
            task.cancel()
            stopped.cancel()
            await asyncio.wait([task, stopped])
            if not task.cancelled():
                task.exception()  # what it raised while it was cancelled concerns nobody any more


def run(work: Callable[[Stop], Awaitable[int]]) -> int:
    """Run `work(stop)` in a new event loop and return its exit code."""
    keep_freed_memory()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_with_signals(work))


async def _with_signals(work: Callable[[Stop], Awaitable[int]]) -> int:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        return await work(stop)
    except StoppedError:
        return INTERRUPTED
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def keep_freed_memory() -> None:
    """Have the C library keep up to `KEPT_MEMORY` bytes that were freed, instead of giving them back to the system at
    once and getting them anew, page by page, for the next read.

    glibc raises both thresholds by itself when a large block is freed that it had from the system (`mallopt(3)`,
    M_MMAP_THRESHOLD). The block is never written, so it costs no memory. Elsewhere this does nothing.
    """
    bytearray(KEPT_MEMORY // 2)
