"""A loop whose tasks step at once, as with `asyncio.eager_task_factory` of Python 3.12, on 3.11 too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def eager_tasks() -> Iterator[None]:
    """Every task that is made in the running loop has taken its first step when `create_task` returns."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory", _eager))
    try:
        yield
    finally:
        loop.set_task_factory(None)


class _Begun(Coroutine[Any, Any, Any]):
    """A coroutine that has taken its first step, for a task that has not."""

    def __init__(self, coro: Coroutine[Any, Any, Any]) -> None:
        self._coro = coro
        self._first: Callable[[], Any] | None = None
        self._over = False

    def begin(self) -> None:
        try:
            waits_for = self._coro.send(None)
        except Exception as error:
            self._over, ending = True, error

            def end() -> Any:
                raise ending

            self._first = end
        else:
            self._first = lambda: waits_for

    def send(self, value: Any) -> Any:
        first, self._first = self._first, None
        return self._coro.send(value) if first is None else first()

    def throw(self, *error: Any) -> Any:
        first, self._first = self._first, None
        return first() if first is not None and self._over else self._coro.throw(*error)

    def close(self) -> None:
        self._coro.close()

    def __await__(self) -> Generator[Any, None, Any]:
        raise NotImplementedError


def _eager(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    begun = _Begun(coro)
    task = asyncio.Task(begun, loop=loop, **options)
    current = asyncio.current_task(loop)
    if current is not None:
        asyncio.tasks._leave_task(loop, current)
    asyncio.tasks._enter_task(loop, task)
    try:
        begun.begin()
    finally:
        asyncio.tasks._leave_task(loop, task)
        if current is not None:
            asyncio.tasks._enter_task(loop, current)
    return task
