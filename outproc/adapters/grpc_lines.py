"""A bidirectional-streaming call of gRPC as a line that a pipeline runs over: the server's end, and the client's."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from litz.errors import StreamAbortedError
from outproc.adapters.grpc_status import error_of, grpc


class CallLine(ABC):
    """What both ends share. A read or a write that is under way is never cancelled, for that would cancel the call:
    whoever reads next takes up where the last one left, and whoever writes next waits for it. `close` ends them."""

    def __init__(self, dest: str, service: str) -> None:
        self.dest = dest
        self.service = service
        self.said = ""
        """What the abort said, if this side aborted."""
        self._reading: asyncio.Future[Any] | None = None
        self._writing: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._told: Callable[[Exception], None] | None = None
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._going = asyncio.Event()
        self._going.set()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        await self._going.wait()
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read())
        await asyncio.wait([self._reading, self._over], return_when=asyncio.FIRST_COMPLETED)
        if self._error is not None:
            raise self._error
        if not self._reading.done():
            raise StopAsyncIteration  # this side has ended the call
        reading, self._reading = self._reading, None
        try:
            data = reading.result()
        except asyncio.CancelledError:
            raise await self._why(None) from None
        except Exception as error:
            raise await self._why(error) from error
        if data is grpc.aio.EOF:
            await self._check_end()
            raise StopAsyncIteration
        return data

    @abstractmethod
    async def _read(self) -> Any:
        """The next message, or `grpc.aio.EOF`."""

    @abstractmethod
    async def _check_end(self) -> None:
        """There is nothing more to read. Raises if that is not a complete end."""

    @abstractmethod
    async def _why(self, error: Exception | None) -> StreamAbortedError:
        """Why the call cannot be used any more."""

    @abstractmethod
    async def _write(self, data: Any) -> None: ...

    async def send(self, data: Any) -> None:
        while self._writing is not None and not self._writing.done():
            await asyncio.wait([self._writing])  # of one who was cancelled
        if self._writing is not None:
            _seen(self._writing)  # as nobody waits for it
        if self._error is not None:
            raise self._error
        self._writing = asyncio.ensure_future(self._through(self._write(data)))
        await asyncio.shield(self._writing)

    async def _through(self, doing: Awaitable[None]) -> None:
        try:
            await doing
        except asyncio.CancelledError:
            if self._error is not None:
                raise self._error from None
            raise
        except (grpc.RpcError, grpc.aio.UsageError, grpc.aio.BaseError, asyncio.InvalidStateError) as error:
            raise await self._why(error) from error

    async def arrived(self) -> None:
        """gRPC confirms nothing by itself: what counts is the end of the call."""
        return

    @property
    def unread(self) -> int:
        return 0

    def watch(self, told: Callable[[Exception], None]) -> None:
        self._told = told
        if self._error is not None:
            asyncio.get_running_loop().call_soon(told, self._error)

    def fail(self, error: Exception) -> None:
        """The call has ended badly, and not by this side."""
        if self._error is None:
            self._error = error
            self.end()
            self._going.set()
            if self._told is not None:
                self._told(error)

    def end(self) -> None:
        """Nothing more is read."""
        if not self._over.done():
            self._over.set_result(None)

    def pause(self) -> None:
        self._going.clear()

    def resume(self) -> None:
        self._going.set()

    async def close(self) -> None:
        """End what is under way."""
        doing = [each for each in (self._reading, self._writing) if each is not None]
        self._reading = self._writing = None
        for each in doing:
            each.cancel()
            each.add_done_callback(_seen)
        if doing:
            await asyncio.wait(doing)


def _seen(done: asyncio.Future[Any]) -> None:
    """What it raised concerns nobody any more."""
    if not done.cancelled():
        done.exception()


class ServerLine(CallLine):
    """The server's end. In gRPC the end of the server's sending is the end of the call: nothing is read after it."""

    def __init__(self, context: grpc.aio.ServicerContext[Any, Any], dest: str, method: str) -> None:
        super().__init__(dest, method)
        self._context = context

    async def _read(self) -> Any:
        return await self._context.read()

    async def _check_end(self) -> None:
        return

    async def _why(self, error: Exception | None) -> StreamAbortedError:
        return StreamAbortedError("the call is over")

    async def _write(self, data: Any) -> None:
        await self._context.write(data)

    async def send_eof(self) -> None:
        self.end()

    def abort(self, code: int, reason: str) -> None:
        self.said = reason
        self.end()


class ClientLine(CallLine):
    """The client's end."""

    def __init__(self, call: grpc.aio.StreamStreamCall[Any, Any], dest: str, method: str) -> None:
        super().__init__(dest, method)
        self._call = call
        self._telling: asyncio.Future[None] | None = None
        call.add_done_callback(self._done)

    def _done(self, call: Any) -> None:
        self._telling = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        if await self._call.code() is not grpc.StatusCode.OK:
            self.fail(await self._why(None))

    async def _read(self) -> Any:
        return await self._call.read()

    async def _check_end(self) -> None:
        if await self._call.code() is not grpc.StatusCode.OK:
            raise await self._why(None)

    async def _why(self, error: Exception | None) -> StreamAbortedError:
        return error_of(await self._call.code(), await self._call.details())

    async def _write(self, data: Any) -> None:
        await self._call.write(data)

    async def send_eof(self) -> None:
        await self._through(self._call.done_writing())

    def abort(self, code: int, reason: str) -> None:
        self.said = reason
        self._call.cancel()

    async def close(self) -> None:
        await super().close()
        if self._telling is not None:
            await asyncio.wait([self._telling])
