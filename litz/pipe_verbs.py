"""The verbs of byte pipes, for every manager. Their docstrings are the law."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from litz.pipes import MAX_PIPES, READER_LIMIT, Accepted, AnyProtocol, PipeHandler, PipeListener
from litz.stream_verbs import StreamVerbs

if TYPE_CHECKING:
    import socket

    from litz.pipe_transport import PipeTransport
    from litz.stream_port import Offer

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class PipeOpener(Protocol):
    """Who does it: `litz.pipe_host.PipeHost`, or two of them behind a routing manager."""

    async def open(
        self,
        protocol_factory: Callable[[], AnyProtocol],
        dest: str,
        service: str,
        *,
        metadata: bytes,
        timeout: float | None,
        reopen: bool,
    ) -> tuple[PipeTransport, AnyProtocol]: ...

    def listen(self, service: str, handler: PipeHandler, limit: int, max_pipes: int) -> PipeListener: ...

    def listen_connections(
        self, service: str, accept: Callable[[Offer], Accepted | Awaitable[Accepted]], max_pipes: int
    ) -> PipeListener: ...


class PipeVerbs(StreamVerbs):
    """What a manager offers beyond messages: pipes of bytes, to a service of a dest, with exactly asyncio's verbs."""

    __slots__ = ()

    def _pipe_host(self) -> PipeOpener:
        """Who opens and listens, if the manager may be used here and now."""
        return self._stream_host().pipes

    async def open_pipe(
        self,
        dest: str,
        service: str,
        *,
        metadata: bytes = b"",
        timeout: float | None = None,
        limit: int = READER_LIMIT,
        reopen: bool = False,
    ) -> Streams:
        """Open a pipe to `service` of `dest`, as `asyncio.open_connection` does to a port: a real
        `asyncio.StreamReader` and `asyncio.StreamWriter`, which live as long as the session does; cut wires do not end
        them. One round trip; waits for the first session like `send`.

        The end: `write_eof` and EOF for each half alone, as with TCP. `writer.transport.abort()` resets the peer. Reads
        and `drain` raise `PipeResetError` (a ConnectionResetError; its cause says why) when the peer aborted or the
        session ended. `wait_closed` returns when the peer's side has everything, at most 5 s after `close`.
        Backpressure: `drain`; and a reader that is not read stops its writer, and nobody else's.
        Concurrency: as in asyncio: one reads, one drains.
        metadata: at most 4,096 bytes, for the service. limit: of the StreamReader. timeout: seconds for the open
        (default 30), then TimeoutError. reopen: also to a dest that said goodbye.
        Cancellation: at any moment; the peer's end is aborted, if there is one.

        Raises `StreamRefusedError` (an OSError; `why` says why), `ConnectError`, `SessionEndedError`,
        `InvalidDestError`, ValueError, `ManagerStateError`.
        """
        host = self._pipe_host()
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        factory = partial(asyncio.StreamReaderProtocol, reader, loop=loop)
        transport, protocol = await host.open(factory, dest, service, metadata=metadata, timeout=timeout, reopen=reopen)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def open_pipe_connection(
        self,
        protocol_factory: Callable[[], AnyProtocol],
        dest: str,
        service: str,
        *,
        metadata: bytes = b"",
        timeout: float | None = None,
        reopen: bool = False,
    ) -> tuple[PipeTransport, AnyProtocol]:
        """`open_pipe` for a protocol, as `loop.create_connection`: a real `asyncio.Transport`. A protocol that has
        `takes_buffers = True` is given what came without a copy (memoryviews too)."""
        return await self._pipe_host().open(
            protocol_factory, dest, service, metadata=metadata, timeout=timeout, reopen=reopen
        )

    async def pipe_socket(
        self,
        dest: str,
        service: str,
        *,
        metadata: bytes = b"",
        timeout: float | None = None,
        reopen: bool = False,
    ) -> socket.socket:
        """`open_pipe` as a real, blocking socket, for code that wants one, in any thread: the near end of a TCP
        connection over loopback, whose other end is pumped in this loop. Bounded both ways; the end of each half is
        passed on; a pipe that is lost or aborted resets it. Who gets the socket closes it, and that ends the pipe."""
        from litz.pipe_socket import pipe_socket

        host = self._pipe_host()
        return await pipe_socket(
            lambda factory: host.open(factory, dest, service, metadata=metadata, timeout=timeout, reopen=reopen)
        )

    def listen_pipes(
        self, service: str, handler: PipeHandler, *, limit: int = READER_LIMIT, max_pipes: int = MAX_PIPES
    ) -> PipeListener:
        """Take the pipes that peers open to `service`: `handler(reader, writer)` is called for each, as by
        `asyncio.start_server`; if it is a coroutine it runs in a task of the manager's. Who opened it:
        `writer.get_extra_info("peername")`; also known are `litz.service`, `litz.metadata` and `litz.verified`.

        As in asyncio a handler closes its writer; one that returns leaves the pipe open. One that raises aborts it,
        the peer is told the kind of the error, and it is logged, unless the pipe was lost. When the manager closes,
        handlers are cancelled and their ends awaited. `close()` of the listener takes no further pipes, `aclose()` ends
        the handlers too.

        max_pipes: at once, of all peers together; who comes beyond is told busy.
        Order: pipes are taken in the order in which a peer opened them. A service has pipes or streams, not both.
        Raises `ConsumerConflictError` if the service is taken, ValueError, `ManagerStateError`.
        """
        return self._pipe_host().listen(service, handler, limit, max_pipes)

    def listen_pipe_connections(
        self, service: str, accept: Callable[[Offer], Accepted | Awaitable[Accepted]], *, max_pipes: int = MAX_PIPES
    ) -> PipeListener:
        """`listen_pipes` for protocols, as `loop.create_server`: `accept` is called with the `Offer` of each pipe and
        returns its protocol, or a coroutine that does, for which the opener waits. To refuse it raises
        `StreamRefusedError`: the opener gets its words."""
        return self._pipe_host().listen_connections(service, accept, max_pipes)


class PeerPipeVerbs(ABC):
    """The verbs of pipes, bound to one dest."""

    __slots__ = ()

    @abstractmethod
    def _pipes(self) -> tuple[PipeVerbs, str]:
        """The manager, and the dest."""

    async def open_pipe(self, service: str, **options: Any) -> Streams:
        """See `PipeVerbs.open_pipe`."""
        manager, dest = self._pipes()
        return await manager.open_pipe(dest, service, **options)

    async def open_pipe_connection(
        self, protocol_factory: Callable[[], AnyProtocol], service: str, **options: Any
    ) -> tuple[PipeTransport, AnyProtocol]:
        """See `PipeVerbs.open_pipe_connection`."""
        manager, dest = self._pipes()
        return await manager.open_pipe_connection(protocol_factory, dest, service, **options)

    async def pipe_socket(self, service: str, **options: Any) -> socket.socket:
        """See `PipeVerbs.pipe_socket`."""
        manager, dest = self._pipes()
        return await manager.pipe_socket(dest, service, **options)
