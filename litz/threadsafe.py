"""The loop a manager lives in, and how other threads and loops reach it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from litz.blocking_stream import BlockingStream, opener
from litz.errors import ManagerStateError
from litz.manager import ThreadsafeManager, TransportManager
from litz.message import Receipt

POLL = 0.5
"""A thread that waits looks this often (seconds) whether the manager's loop was closed under it."""

RESTS = 5.0
"""Seconds after which a loop that does not run is given up by those who wait for it."""


class HomeLoop:
    """Binds a manager to the loop that entered it.

    `what` names the manager in errors. `bind` when entering; `check` at every verb; `close` from anywhere.
    """

    __slots__ = ("_closing", "_what", "loop", "open")

    def __init__(self, what: str) -> None:
        self._what = what
        self._closing: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.open = False

    def bind(self) -> asyncio.AbstractEventLoop:
        """Enter in the running loop. Raises `ManagerStateError` the second time."""
        if self.loop is not None:
            raise ManagerStateError(f"{self._what} was entered before; make a new one instead")
        self.loop = asyncio.get_running_loop()
        self.open = True
        return self.loop

    def check(self) -> asyncio.AbstractEventLoop:
        """The loop, if the manager may be used here and now. Raises `ManagerStateError`."""
        loop = self.loop
        if self.open and loop is not None and loop is asyncio._get_running_loop():
            return loop
        if loop is None:
            raise ManagerStateError(f"{self._what} is not entered yet; use it inside `async with`")
        if not self.open:
            raise ManagerStateError(f"{self._what} is closed; make a new one")
        raise ManagerStateError(f"{self._what} lives in another event loop; use its `threadsafe` verbs there")

    async def close(self, work: Callable[[], Coroutine[Any, Any, None]], orphan: Callable[[], None]) -> None:
        """Run `work()` once, in the home loop, and wait for its end: from any loop and thread, and whether
        or not the caller is cancelled. `orphan()` is called instead when the home loop is closed already; it
        may then be called from any thread."""
        loop = self.loop
        if loop is None:
            return
        if asyncio.get_running_loop() is loop:
            await asyncio.shield(self._close_task(work))
            return
        if loop.is_closed():
            orphan()
            return

        async def close_at_home() -> None:
            await asyncio.shield(self._close_task(work))

        try:
            distant = submit(loop, close_at_home)
        except RuntimeError:  # closed in between
            orphan()
            return
        here, pulse = asyncio.wrap_future(distant), Pulse(loop)
        while not here.done():
            await asyncio.wait([here], timeout=POLL)
            if not here.done() and pulse.gone:
                distant.cancel()
                orphan()
                return
        if not here.cancelled():
            here.result()

    def _close_task(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        if self._closing is None:
            loop = asyncio.get_running_loop()
            self._closing = loop.create_task(work(), name=f"close {self._what}")
        return self._closing


class LoopThreadsafe(ThreadsafeManager):
    """The blocking verbs of one manager, for threads other than its own."""

    def __init__(self, manager: TransportManager, home: HomeLoop) -> None:
        self._manager = manager
        self._home = home

    def send(self, dest: str, data: Any, *, timeout: float | None = None, **options: Any) -> Receipt:
        receipt: Receipt = self.call(lambda: self._manager.send(dest, data, **options), timeout=timeout)
        return receipt

    def request(self, dest: str, data: Any, *, timeout: float | None = None, reopen: bool = False) -> Any:
        return self.call(lambda: self._manager.request(dest, data, timeout=timeout, reopen=reopen))

    def open_stream(self, dest: str, service: str, *, timeout: float | None = None, **options: Any) -> BlockingStream:
        return opener(lambda: self._manager.open_stream(dest, service, **options), self.call, timeout)

    def call(self, awaitable: Callable[[], Awaitable[Any]], *, timeout: float | None = None) -> Any:
        """Run `awaitable()` in the manager's loop and return its result.

        On `timeout` (seconds) it is cancelled and `TimeoutError` raised. Raises `ManagerStateError` in the
        loop's own thread (it would wait for itself), and when the manager closes meanwhile.
        """
        loop = self._home.loop
        if loop is None or not self._home.open:
            raise ManagerStateError(f"{self._manager!r} is not open; threadsafe verbs need an entered manager")
        if asyncio._get_running_loop() is loop:
            raise ManagerStateError("this would block the manager's own loop; await its verbs instead")

        async def run() -> Any:
            return await awaitable()

        try:
            future = submit(loop, run)
        except RuntimeError as error:
            raise ManagerStateError("the manager's event loop is closed") from error
        try:
            return self._wait(future, loop, timeout)
        finally:
            future.cancel()

    def _wait(
        self, future: concurrent.futures.Future[Any], loop: asyncio.AbstractEventLoop, timeout: float | None
    ) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        pulse = Pulse(loop)
        while True:
            left = POLL if deadline is None else min(POLL, deadline - time.monotonic())
            concurrent.futures.wait([future], timeout=max(left, 0))
            if future.done():
                try:
                    return future.result()
                except concurrent.futures.CancelledError as error:
                    raise ManagerStateError("the manager was closed during the call") from error
            if pulse.gone:
                raise ManagerStateError("the manager's event loop was closed during the call, or does not run any more")
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"no result within {timeout} seconds; it was cancelled")


class Pulse:
    """Whether a loop will still do what it was given. One that only rests between two runs is waited for a while."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ran_at = time.monotonic()

    @property
    def gone(self) -> bool:
        """Ask at least each `POLL` seconds."""
        if self._loop.is_closed():
            return True
        now = time.monotonic()
        if self._loop.is_running():
            self._ran_at = now
        return now - self._ran_at > RESTS


def submit(
    loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, Any]]
) -> concurrent.futures.Future[Any]:
    """Run `make()` in `loop`, from another thread; cancelling the future cancels it. Raises RuntimeError if the loop is
    closed. Unlike `asyncio.run_coroutine_threadsafe` nothing is made that a loop which never runs again would leave."""
    outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def start() -> None:
        if not outcome.cancelled():
            task = loop.create_task(make())
            task.add_done_callback(ended)
            outcome.add_done_callback(lambda over: _cancel(loop, task) if over.cancelled() else None)

    def ended(task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            outcome.cancel()
        if not outcome.set_running_or_notify_cancel():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(task.result())

    loop.call_soon_threadsafe(start)
    return outcome


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    with contextlib.suppress(RuntimeError):  # closed, and the task with it
        loop.call_soon_threadsafe(task.cancel)
