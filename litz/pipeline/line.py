"""What a pipeline runs over: one conversation with one peer. A `Stream` is one; an RPC of another library can be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Protocol

from litz.errors import StreamAbortedError, StreamLostError
from litz.stream_lifecycle import StreamEnd
from litz.stream_port import Abort

if TYPE_CHECKING:
    from litz.stream import Stream
    from litz.stream_report import StreamReport


class Line(Protocol):
    """One conversation. Its end is told by `__anext__`, typed: StopAsyncIteration for the peer's complete half,
    `StreamLostError` when what carries it is over, any other `StreamAbortedError` for an abort."""

    @property
    def dest(self) -> str:
        """Who is at the other end."""

    @property
    def service(self) -> str:
        """What it is about."""

    def __aiter__(self) -> AsyncIterator[Any]: ...

    async def send(self, data: Any) -> None:
        """Returns when it is accepted, first come, first served."""

    async def send_eof(self) -> None:
        """The end of this half, behind all that was sent."""

    async def arrived(self) -> None:
        """Returns when all that was sent, an EOF too, is at the peer."""

    def abort(self, code: int, reason: str) -> None:
        """Both halves end now, and the peer is told. A no-op after an end."""

    def watch(self, told: Callable[[Exception], None]) -> None:
        """Call `told(error)` from the loop, once, when it has ended badly and not by `abort` here: also while nobody
        reads it."""

    @property
    def unread(self) -> int:
        """How much came and was not taken, if that is known; whatever it counts in."""

    def pause(self) -> None:
        """Let the peer send no more than it may already."""

    def resume(self) -> None:
        """Take back `pause`."""


class StreamLine:
    """A `Stream` as a line."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.dest = stream.dest
        self.service = stream.service

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._stream

    async def send(self, data: Any) -> None:
        await self._stream.send(data)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def arrived(self) -> None:
        await self._stream.drain()

    def abort(self, code: int, reason: str) -> None:
        self._stream.abort(reason, code=Abort(code))

    def watch(self, told: Callable[[Exception], None]) -> None:
        def closed(report: StreamReport) -> None:
            ending = report.ending
            if ending is None or ending.how in (StreamEnd.COMPLETE, StreamEnd.ABORTED_HERE):
                return
            text = f"the stream {report.service!r} with {report.dest} is {ending.how.value}: {ending.reason}"
            error: StreamAbortedError = StreamAbortedError(text, code=ending.code)
            if ending.how is StreamEnd.LOST:
                error = StreamLostError(text, unconfirmed=report.unconfirmed)
            error.__cause__ = ending.cause
            told(error)

        self._stream.on_closed(closed)

    @property
    def unread(self) -> int:
        return self._stream.stats.unread

    def pause(self) -> None:
        self._stream.pause()

    def resume(self) -> None:
        self._stream.resume()
