"""A stream for threads other than its manager's: the same verbs, blocking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from litz.errors import EndOfStreamError

if TYPE_CHECKING:
    from litz.stream import Stream
    from litz.stream_report import StreamReport

Call = Callable[..., Any]
"""`litz.manager.ThreadsafeManager.call`."""


class BlockingStream:
    """See `litz.stream.Stream` for the law. Made by `manager.threadsafe.open_stream`. One thread sends and one receives
    at a time. `timeout` in seconds: `TimeoutError` then, as if the call had been cancelled."""

    def __init__(self, stream: Stream, call: Call) -> None:
        self._stream = stream
        self._call = call

    @property
    def stream(self) -> Stream:
        """The stream itself, for code that runs in the manager's loop."""
        return self._stream

    def send(self, data: Any, *, timeout: float | None = None) -> None:
        self._call(lambda: self._stream.send(data), timeout=timeout)

    def send_eof(self, *, timeout: float | None = None) -> None:
        self._call(self._stream.send_eof, timeout=timeout)

    def drain(self, *, timeout: float | None = None) -> None:
        self._call(self._stream.drain, timeout=timeout)

    def receive(self, *, timeout: float | None = None) -> Any:
        return self._call(self._stream.receive, timeout=timeout)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return self.receive()
        except EndOfStreamError:
            raise StopIteration from None

    def abort(self, reason: str = "") -> None:
        async def abort() -> None:
            self._stream.abort(reason)

        self._call(abort)

    def close(self, *, timeout: float | None = None) -> None:
        """`Stream.aclose`."""
        self._call(self._stream.aclose, timeout=timeout)

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._stream.closed

    @property
    def stats(self) -> StreamReport:
        """How it stands."""
        return self._stream.stats

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort(kind.__name__)

    def __repr__(self) -> str:
        return f"<blocking {self._stream!r}>"


def opener(make: Callable[[], Awaitable[Stream]], call: Call, timeout: float | None) -> BlockingStream:
    """Open a stream by `make` in the manager's loop, and wait for it."""
    return BlockingStream(call(make, timeout=timeout), call)
