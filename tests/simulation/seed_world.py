"""What the worlds of simulations with whole managers share: a trace, tasks of their own, and the first error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from litz.testing import SimLoop
from tests.simulation.seeds import InvariantError


class SeedWorld:
    """One run. `trace` is called with one line per event, or is None. `broken`: the invariants of the simulation, one
    of which is `typed-errors`."""

    broken: ClassVar[type[InvariantError]]

    def __init__(self, loop: SimLoop, seed: int, trace: Callable[[str], None] | None) -> None:
        self.loop = loop
        self.seed = seed
        self.trace = trace
        self._failure: asyncio.Future[None] = loop.create_future()
        self._tasks: dict[asyncio.Task[Any], None] = {}
        loop.set_exception_handler(self._unseen)

    def log(self, *what: object) -> None:
        if self.trace is not None:
            self.trace(f"{self.loop.time() - 1000:9.4f} {' '.join(map(str, what))}")

    def failed(self, error: BaseException) -> None:
        """The run is over: the first error counts."""
        if not self._failure.done():
            self._failure.set_exception(error)

    def _unseen(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, InvariantError):
            self.failed(error)
            return
        failure = self.broken("typed-errors", f"reported to the loop: {context.get('message')}: {error!r}")
        failure.__cause__ = error
        self.failed(failure)

    def later(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something of the world's own."""
        task = self.loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error)
