"""What `open_stream` returns: to be awaited, or entered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any

from litz.stream import Stream


class OpeningStream(Awaitable[Stream]):
    """`stream = await manager.open_stream(...)`, or `async with manager.open_stream(...) as stream:`. Nothing happens
    before, and it serves once."""

    __slots__ = ("_open", "_stream")

    def __init__(self, open_: Callable[[], Coroutine[Any, Any, Stream]]) -> None:
        self._open: Callable[[], Coroutine[Any, Any, Stream]] | None = open_
        self._stream: Stream | None = None

    def _begin(self) -> Coroutine[Any, Any, Stream]:
        open_, self._open = self._open, None
        if open_ is None:
            raise RuntimeError("this stream was opened already; call open_stream again for another one")
        return open_()

    def __await__(self) -> Generator[Any, None, Stream]:
        return self._begin().__await__()

    async def __aenter__(self) -> Stream:
        self._stream = await self._begin()
        return self._stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.__aexit__(kind, error, traceback)
