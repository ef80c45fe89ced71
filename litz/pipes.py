"""Opening byte pipes, and serving them: as stream readers and writers, or as protocols. `litz.pipe_transport` is what
they run on."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from litz.errors import ManagerStateError, StreamRefusedError
from litz.pipe_transport import PipeTransport
from litz.seldom import OF_HANDLER, Seldom
from litz.stream_port import Abort, Later, Offer, Refusal, Refused, StreamCarrier, StreamSide

log = logging.getLogger("litz.pipes")

READER_LIMIT: Final = 64 * 1024
"""What `asyncio.open_connection` has too: the longest line of `readline`, and half of what a reader holds, in bytes."""

MAX_DECIDING: Final = 1_024
"""Pipes of one peer about which one listener thinks at once, with those that the peer has given up meanwhile."""

MAX_PIPES: Final = 4_096
"""Pipes of one listener, of all peers together, unless it says otherwise."""

RETRY_BUSY: Final = 1.0
"""Seconds after which a peer with more of them may come again."""

PipeHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]
"""As for `asyncio.start_server`. Who opened the pipe: `writer.get_extra_info("peername")`."""

Accepted = asyncio.BaseProtocol
AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.BaseProtocol)


async def open_pipe(
    carrier: StreamCarrier,
    dest: str,
    service: str,
    *,
    metadata: bytes = b"",
    timeout: float | None = None,
    limit: int = READER_LIMIT,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """See `TransportManager.open_pipe`."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    factory = partial(asyncio.StreamReaderProtocol, reader, loop=loop)
    transport, protocol = await open_pipe_connection(
        carrier, factory, dest, service, metadata=metadata, timeout=timeout
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def open_pipe_connection(
    carrier: StreamCarrier,
    protocol_factory: Callable[[], AnyProtocol],
    dest: str,
    service: str,
    *,
    metadata: bytes = b"",
    timeout: float | None = None,
) -> tuple[PipeTransport, AnyProtocol]:
    """`open_pipe` for a protocol, as `loop.create_connection`: the factory is called once the pipe is open. A protocol
    with `takes_buffers = True` is given buffers as they came (memoryviews too) instead of bytes."""
    side = await carrier.open(dest, service, metadata, pipe=True, timeout=timeout)
    try:
        protocol = protocol_factory()
        extra = {"litz.service": service, "litz.metadata": metadata}
        transport = PipeTransport(asyncio.get_running_loop(), side, protocol, extra)
    except BaseException:
        side.abort(Abort.CANCELLED, "")
        side.release()
        raise
    transport.start()
    return transport, protocol


class PipeListener:
    """A service of byte pipes that is being offered: what `listen_pipes` returns. Use it as `async with`, or `aclose`.

    Each pipe is served by a task of its own, or by the handler alone if that is a plain function. A handler that raises
    aborts its pipe, and the other end is told the kind of the error. One that returns leaves its pipe open, as with
    `asyncio.start_server`: it closes the writer itself.
    """

    def __init__(
        self,
        carrier: StreamCarrier,
        service: str,
        connect: Callable[[Offer, StreamSide], None],
        *,
        max_pipes: int,
        later: bool = False,
    ) -> None:
        if max_pipes < 1:
            raise ValueError(f"max_pipes is at least 1, not {max_pipes!r}")
        self.service = service
        self._max = max_pipes
        self.pipes = 0
        """Those that are open, closing, or wait for an answer."""
        self._connect = connect
        self._later = later
        self._tasks: dict[asyncio.Task[None], Callable[[], None]] = {}
        self.deciding: Counter[str] = Counter()
        """For each peer, pipes that wait for `accept`."""
        self.seldom = Seldom()
        """Which errors of `accept` are told."""
        self._failures = Seldom(first=OF_HANDLER)
        self._closed = False
        self._stop = carrier.listen(service, self._asked)

    @property
    def serving(self) -> int:
        """Handlers that run now, and pipes that wait for their answer."""
        return len(self._tasks)

    def close(self) -> None:
        """Take no further pipe. Those that are open live on. Idempotent."""
        if not self._closed:
            self._closed = True
            self._stop()
            self._sum_up()

    async def aclose(self) -> None:
        """`close`; and cancel the handlers that run, abort their pipes, and wait until they have ended. A handler that
        does not end when it is cancelled is waited for; cancel this to go without it."""
        self.close()
        own = asyncio.current_task()
        tasks = {task: leave for task, leave in self._tasks.items() if task is not own}
        for task, leave in tasks.items():
            if task.cancel():  # otherwise it has just ended well: its pipe was answered, or lives on
                leave()
        if tasks:
            await asyncio.wait(tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def own(self, work: Coroutine[Any, Any, None], leave: Callable[[], None]) -> asyncio.Task[None]:
        """Run `work` for one pipe; when the listener is closed first, `leave` tells the pipe's opener so."""
        task = asyncio.get_running_loop().create_task(work, name=f"litz pipe {self.service}")
        self._tasks[task] = leave
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._sum_up()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error  # no Exception: whoever made the task keeps those. To the loop, as any other callback's

    def _asked(self, offer: Offer, side: StreamSide) -> Refused | Later | None:
        if not offer.pipe:
            return Refused(Refusal.REJECTED, f"{self.service} is a service of byte pipes: use open_pipe")
        if self.pipes >= self._max:
            return Refused(Refusal.BUSY, f"{self.service} has {self._max} pipes already", RETRY_BUSY)
        self.pipes += 1
        # Not here: a handler may do anything, and its carrier is in the middle of something.
        asyncio.get_running_loop().call_soon(self._connect_unless_closed, offer, side)
        return Later.LATER if self._later else None

    def _connect_unless_closed(self, offer: Offer, side: StreamSide) -> None:
        if not self._closed:
            self._connect(offer, side)
            return
        self.left()
        if self._later:
            side.answer(Refused(Refusal.REFUSED))
        else:
            side.abort(Abort.LEAVING, "")
            side.release()

    def left(self) -> None:
        """One of the pipes is over, or was refused."""
        self.pipes -= 1
        self._sum_up()

    def failed(self, error: BaseException, peer: str) -> str | None:
        """The handler or the protocol of one pipe of `peer` raised: what to say behind it, or None to say nothing. A
        peer opens as many pipes as it likes."""
        return self._failures.words(asyncio.get_running_loop().time(), peer, error)

    def protocol_failed(self, context: dict[str, Any]) -> None:
        """`failed` of a protocol, told as any transport of asyncio tells it."""
        more = self.failed(context["exception"], context["transport"].get_extra_info("peername"))
        if more is not None:
            asyncio.get_running_loop().call_exception_handler({**context, "message": context["message"] + more})
        self._sum_up()  # `connection_lost` comes when the pipe is gone

    def _sum_up(self) -> None:
        """Nothing more will fail: tell how many failures nobody was told of."""
        if self._closed and not self.pipes and not self._tasks:
            left_out = self.seldom.left_out() + self._failures.left_out()
            if left_out:
                log.error("the service %r is over; %d more of its errors were not told", self.service, left_out)


def listen_pipes(
    carrier: StreamCarrier,
    service: str,
    handler: PipeHandler,
    *,
    limit: int = READER_LIMIT,
    max_pipes: int = MAX_PIPES,
) -> PipeListener:
    """See `TransportManager.listen_pipes`."""

    def connect(offer: Offer, side: StreamSide) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        extra = _extra(offer)
        transport = PipeTransport(loop, side, protocol, extra, on_over=listener.left, tell=listener.protocol_failed)
        transport.start()
        work = None
        try:
            work = handler(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        except Exception as error:
            _failed(listener, transport, error)
        if work is not None:
            listener.own(_serve(listener, transport, work), partial(transport.abort_with, Abort.LEAVING, ""))

    listener = PipeListener(carrier, service, connect, max_pipes=max_pipes)
    return listener


def listen_pipe_connections(
    carrier: StreamCarrier,
    service: str,
    accept: Callable[[Offer], Accepted | Awaitable[Accepted]],
    *,
    max_pipes: int = MAX_PIPES,
) -> PipeListener:
    """`listen_pipes` for protocols, as `loop.create_server`. `accept` is called for each pipe with its `Offer`, and
    returns its protocol, at once or later (a coroutine, which `aclose` cancels): the opener waits for it. To refuse it
    raises `StreamRefusedError`, whose words the opener gets; any other error is logged, and refuses too. It goes on
    when the opener gives up; of each peer it is asked about `MAX_DECIDING` pipes at once, more are answered busy."""

    def connect(offer: Offer, side: StreamSide) -> None:
        _decide(listener, accept, offer, side)

    listener = PipeListener(carrier, service, connect, max_pipes=max_pipes, later=True)
    return listener


def _decide(
    listener: PipeListener,
    accept: Callable[[Offer], Accepted | Awaitable[Accepted]],
    offer: Offer,
    side: StreamSide,
) -> None:
    if listener.deciding[offer.sender] >= MAX_DECIDING:
        side.answer(Refused(Refusal.BUSY, f"{MAX_DECIDING} pipes wait for an answer already", RETRY_BUSY))
        listener.left()
        return
    try:
        found = accept(offer)
    except Exception as error:
        side.answer(_refusal(listener, offer, error))
        listener.left()
        return
    if isinstance(found, asyncio.BaseProtocol):
        _begin(listener, offer, side, found)
    else:
        listener.deciding[offer.sender] += 1
        task = listener.own(_decide_later(listener, found, offer, side), partial(side.answer, Refused(Refusal.BUSY)))
        task.add_done_callback(lambda _task: _decided(listener, offer.sender))


def _decided(listener: PipeListener, sender: str) -> None:
    listener.deciding[sender] -= 1
    if not listener.deciding[sender]:
        del listener.deciding[sender]


async def _decide_later(listener: PipeListener, coming: Awaitable[Accepted], offer: Offer, side: StreamSide) -> None:
    try:
        protocol = await coming
    except asyncio.CancelledError as error:
        listener.left()
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise  # `aclose` has answered
        side.answer(_refusal(listener, offer, error))
    except Exception as error:
        listener.left()
        side.answer(_refusal(listener, offer, error))
    else:
        _begin(listener, offer, side, protocol)


def _begin(listener: PipeListener, offer: Offer, side: StreamSide, protocol: Accepted) -> None:
    side.answer(None)
    loop, told = asyncio.get_running_loop(), listener.protocol_failed
    PipeTransport(loop, side, protocol, _extra(offer), on_over=listener.left, tell=told).start(loud=False)


def _refusal(listener: PipeListener, offer: Offer, error: BaseException) -> Refused:
    if isinstance(error, StreamRefusedError):
        return Refused(Refusal(error.why), str(error), error.retry_after)
    more = listener.seldom.words(asyncio.get_running_loop().time(), offer.sender, error)
    if more is not None:
        text = "the service %r could not decide about a pipe of %r%s"
        log.error(text, offer.service, offer.sender, more, exc_info=error)
    return Refused(Refusal.REJECTED, type(error).__name__)


def _extra(offer: Offer) -> dict[str, Any]:
    return {"litz.service": offer.service, "litz.metadata": offer.metadata, "litz.verified": offer.verified}


async def _serve(listener: PipeListener, transport: PipeTransport, work: Awaitable[None]) -> None:
    try:
        await work
    except asyncio.CancelledError as error:
        transport.abort_with(Abort.HANDLER_FAILED, "CancelledError")
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        if (more := listener.failed(error, transport.get_extra_info("peername"))) is not None:
            log.error("the handler of %r cancelled itself%s", transport, more, exc_info=error)
    except Exception as error:
        _failed(listener, transport, error)


def _failed(listener: PipeListener, transport: PipeTransport, error: Exception) -> None:
    if isinstance(error, ConnectionError | ManagerStateError) and transport.is_closing():
        log.debug("%r ended under its handler: %s", transport, error)  # its end is no news for the handler's author
    elif (more := listener.failed(error, transport.get_extra_info("peername"))) is not None:
        log.error("the handler of %r raised%s", transport, more, exc_info=error)
    transport.abort_with(Abort.HANDLER_FAILED, type(error).__name__)
