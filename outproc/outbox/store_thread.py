"""The one thread in which a store lives: calls go in from the loop, in order, and their outcomes come back in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")

Done = Callable[[Any, BaseException | None], None]
"""Called in the loop with the result, or with None and what was raised."""


class StoreRunner(Protocol):
    """What runs the calls of a store: see `StoreThread`, which is the one there is outside of simulations."""

    def call(self, work: Callable[[], Result], done: Callable[[Result, BaseException | None], None]) -> None:
        """See `StoreThread.call`."""

    async def run(self, work: Callable[[], Result]) -> Result:
        """See `StoreThread.run`."""

    async def stop(self, last: Callable[[], None], timeout: float) -> bool:
        """See `StoreThread.stop`."""


RunnerType = Callable[[str, asyncio.AbstractEventLoop], StoreRunner]
"""Makes one, from a name and the loop."""


class StoreThread:
    """Runs calls one after the other. All methods belong to the loop's thread; the loop never waits for a disk."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: SimpleQueue[tuple[Callable[[], Any], Done] | None] = SimpleQueue()
        # A daemon: a process whose manager was never closed can end all the same, as after a kill.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._ended = asyncio.Event()
        self._stopped = False
        self._thread.start()

    def call(self, work: Callable[[], Result], done: Callable[[Result, BaseException | None], None]) -> None:
        """Run `work()` after all that was called before, and then `done(result, None)`, or `done(None, error)`, in the
        loop. `done` must not raise. After `stop` nothing is run any more."""
        if not self._stopped:
            self._calls.put((work, done))

    async def run(self, work: Callable[[], Result]) -> Result:
        """`call`, awaited. Cancelled, it is run all the same."""
        outcome: asyncio.Future[Result] = self._loop.create_future()

        def done(result: Result, error: BaseException | None) -> None:
            if outcome.done():
                return
            if error is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

        self.call(work, done)
        return await outcome

    async def stop(self, last: Callable[[], None], timeout: float) -> bool:
        """Run `last` after everything else and end the thread. False: it did not end within `timeout` seconds, because
        the disk does not answer; it ends with its last call."""
        if not self._stopped:
            self._calls.put((last, _nothing))
            self._calls.put(None)
            self._stopped = True
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        if not self._ended.is_set():
            self._loop.call_exception_handler(
                {"message": f"{self._thread.name}: the disk did not answer in time; its thread ends when it does"}
            )
        return self._ended.is_set()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            work, done = call
            try:
                result, error = work(), None
            except BaseException as raised:
                result, error = None, raised
            self._tell(done, result, error)
            del call, work, done, result, error
        self._tell(self._was_last, None, None)

    def _tell(self, done: Done, result: Any, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop was closed under us: nobody is there to be told
            self._loop.call_soon_threadsafe(done, result, error)

    def _was_last(self, result: object, error: BaseException | None) -> None:
        self._ended.set()


def _nothing(result: object, error: BaseException | None) -> None:
    """Nobody waits for the last call."""
