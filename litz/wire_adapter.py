"""Turns a plain pair of `async send` and `async receive` into a `Wire`, so that a custom wire stays small.

    wire = AdaptedWire(kind="pigeon", send=loft.send, receive=loft.receive, close=loft.close)

`send(frame)` writes one frame (bytes), waiting as long as the other side cannot take it; `receive()` returns the
next frame, or raises `EOFError` once the peer has closed properly. Any other exception of `send` or `receive` is
the end of the wire too. `close()` sends what `send` may have left in buffers, and frees the connection; when
it is cancelled, because that took too long, it frees it at once. Frames must arrive whole and in order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from litz.message import Buffer
from litz.wire import LOW_WATER, LossReason, Wire, WireLoss, WirePath, WireSink

CLOSE_TIMEOUT = 2.0
"""Seconds that a close gives `send` to flush, and then `close` to finish."""

ABORT_TIMEOUT = 0.2
"""Seconds that an abort gives `close` to finish, before that is cancelled."""


class AdaptedWire(Wire):
    """A wire over coroutines. Made in a running event loop, around a connection that is open.

    It owns two tasks from the moment it is made: one that sends what was written, and, once started, one that
    receives. `send` is never called twice at once, nor is `receive`; they run beside each other. Both are
    cancelled at the end; only then is `close` called, once.

    max_frame   the largest frame in bytes
    close_timeout  seconds for flushing, and the same for `close`; after it the wire is dead anyway
    secure, path, channel_binding  as in `Wire`
    """

    def __init__(
        self,
        *,
        kind: str,
        send: Callable[[bytes], Awaitable[object]],
        receive: Callable[[], Awaitable[bytes]],
        close: Callable[[], Awaitable[object]] | None = None,
        max_frame: int = 1 << 20,
        secure: bool = False,
        path: WirePath | None = None,
        channel_binding: bytes | None = None,
        close_timeout: float = CLOSE_TIMEOUT,
    ) -> None:
        self.kind = kind
        self.max_frame = max_frame
        self.secure = secure
        self.path = path if path is not None else WirePath()
        self.channel_binding = channel_binding
        self._send = send
        self._receive = receive
        self._close = close
        self._patience = close_timeout
        self._loop = asyncio.get_running_loop()
        self._sink: WireSink | None = None
        self._queue: deque[bytes] = deque()
        self._buffered = 0
        self._full = False
        self._ending: WireLoss | None = None
        """Why it will end, once that is decided; the first cause wins."""
        self._flush = False
        self._dead: WireLoss | None = None
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._stop_flushing = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._writer = self._loop.create_task(self._write_frames(), name=f"{kind} wire writer")
        self._owner = self._loop.create_task(self._live(), name=f"{kind} wire")

    # -- the contract --------------------------------------------------------------------------------

    def start(self, sink: WireSink) -> None:
        if self._sink is not None:
            raise RuntimeError("a wire is started exactly once")
        self._sink = sink
        if self._dead is not None:
            self._loop.call_soon(sink.wire_closed, self._dead)
        elif self._ending is None:
            self._reader = self._loop.create_task(self._read_frames(sink), name=f"{self.kind} wire reader")

    def write(self, buffers: Sequence[Buffer]) -> None:
        frame = b"".join(buffers)
        if len(frame) > self.max_frame:
            raise ValueError(f"a frame on this wire has at most {self.max_frame} bytes; this one has {len(frame)}")
        if self._ending is not None:
            return
        self._queue.append(frame)
        self._buffered += len(frame)
        if not self.writable:
            self._full = True
        self._news.set()

    @property
    def buffered_bytes(self) -> int:
        return self._buffered

    def close(self) -> None:
        if self._ending is None:
            self._flush = True
            self._end(WireLoss(LossReason.LOCAL))

    def abort(self) -> None:
        self._end(WireLoss(LossReason.LOCAL, "aborted"))
        self._flush = False
        self._patience = min(self._patience, ABORT_TIMEOUT)
        self._drop_queue()
        self._stop_flushing.set()

    # -- its tasks -----------------------------------------------------------------------------------

    async def _write_frames(self) -> None:
        """Send what is queued, for as long as the wire lives; after `close` until all is sent."""
        try:
            while True:
                while self._queue:
                    frame = self._queue[0]
                    await self._send(frame)
                    if not self._queue or self._queue[0] is not frame:
                        return  # aborted meanwhile
                    self._queue.popleft()
                    self._buffered -= len(frame)
                    self._tell_if_writable()
                if self._flush:
                    return
                self._news.clear()
                await self._news.wait()
        except Exception as error:
            self._flush = False
            self._end(WireLoss(LossReason.RESET, str(error) or type(error).__name__, error))
        finally:
            self._end(WireLoss(LossReason.RESET, "send was cancelled"))

    async def _read_frames(self, sink: WireSink) -> None:
        try:
            while self._ending is None:
                frame = await self._receive()
                if self._ending is None:
                    sink.frame_received(frame)
        except EOFError as error:
            self._end(WireLoss(LossReason.REMOTE, error=error))
        except Exception as error:
            self._end(WireLoss(LossReason.RESET, str(error) or type(error).__name__, error))
        finally:
            self._end(WireLoss(LossReason.RESET, "receive was cancelled"))

    async def _live(self) -> None:
        """Wait for the end, then end the tasks and the connection in bounded time, and tell the sink."""
        await self._ended.wait()
        assert self._ending is not None
        if self._flush:
            await self._flushed()
        self._drop_queue()
        tasks = [self._writer] if self._reader is None else [self._reader, self._writer]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=self._patience)
        error = await self._free()
        loss = self._ending
        if error is not None and loss.error is None:
            loss = WireLoss(loss.reason, f"{loss.detail}; closing failed: {error}".lstrip("; "), error)
        self._dead = loss
        if self._sink is not None:
            self._sink.wire_closed(loss)

    async def _flushed(self) -> None:
        """Return when all is sent, when it takes too long, or when `abort` wants no more of it."""
        self._writer.add_done_callback(lambda _task: self._stop_flushing.set())
        try:
            async with asyncio.timeout(self._patience):
                await self._stop_flushing.wait()
        except TimeoutError:
            self._ending = WireLoss(LossReason.LOCAL, f"not flushed in {self._patience:g} s")
            self._patience = min(self._patience, ABORT_TIMEOUT)

    async def _free(self) -> Exception | None:
        if self._close is None:
            return None
        try:
            async with asyncio.timeout(self._patience):
                await self._close()
        except Exception as error:  # the owner of the wire learns it from the cause of the end
            return error
        return None

    # -- parts ---------------------------------------------------------------------------------------

    def _end(self, loss: WireLoss) -> None:
        """Decide that the wire ends, and why."""
        if self._ending is None:
            self._ending = loss
            self._news.set()
            self._ended.set()

    def _drop_queue(self) -> None:
        self._queue.clear()
        self._buffered = 0
        self._full = False

    def _tell_if_writable(self) -> None:
        if self._full and self._buffered <= LOW_WATER and self._sink is not None and self._ending is None:
            self._full = False
            self._sink.wire_writable()
