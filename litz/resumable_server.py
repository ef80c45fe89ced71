"""Where the connections of active `ResumablePipe`s come in: each goes to its pipe, a new one begins a pipe."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from litz.errors import HandshakeError, LitzError, ProtocolError
from litz.resumable_pipe import ResumablePipe
from litz.resume_frames import Hello, Kind, Why, read_hello
from litz.resume_greeting import refuse
from litz.resume_link import ResumeLink
from litz.resume_options import ResumeOptions

log = logging.getLogger("litz.resumable")

ResumableHandler = Callable[[ResumablePipe], Awaitable[None]]


class ResumableServer:
    """Passive ends of any number of pipes:

        async with ResumableServer(handler) as pipes:
            server = await asyncio.start_server(pipes.connected, "127.0.0.1", 7000)

    `handler(pipe)` runs for each new pipe in a task of its own; when it returns the pipe is closed, when it raises the
    pipe is aborted. A connection that resumes finds its pipe by the name of the session, and proves that it is its own.

    options    of every pipe
    max_pipes  at once; with more a new one is closed without an answer, and its active end comes again
    """

    def __init__(
        self, handler: ResumableHandler, *, options: ResumeOptions | None = None, max_pipes: int = 1_024
    ) -> None:
        self._handler = handler
        self._options = options or ResumeOptions()
        self._max = max_pipes
        self._pipes: dict[bytes, ResumablePipe] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._closed = False

    @property
    def pipes(self) -> list[ResumablePipe]:
        """Those that live."""
        return list(self._pipes.values())

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """For `asyncio.start_server`, or whatever else accepts connections. Raises nothing but cancellation; what a
        connection that is nobody's did is in the log, at the level of debug."""
        link = ResumeLink(reader, writer)
        try:
            async with asyncio.timeout(self._options.handshake_timeout):
                kind, payload = await link.next()
            if kind is not Kind.HELLO:
                raise ProtocolError("a connection of a ResumablePipe begins with HELLO")
            pipe = self._pipe_of(link, hello := read_hello(payload))
        except (OSError, EOFError, LitzError) as error:
            log.debug("a connection was turned away: %s", error)
            link.leave(1.0)
            await link.gone()
            return
        except BaseException:
            link.drop()
            raise
        try:
            await pipe.attach(reader, writer, hello)
        except (OSError, EOFError, LitzError) as error:
            log.debug("a connection did not resume %r: %s", pipe, error)

    def _pipe_of(self, link: ResumeLink, hello: Hello) -> ResumablePipe:
        pipe = self._pipes.get(hello.session)
        if pipe is not None:
            return pipe
        if self._closed or not hello.begins:
            refuse(link, Why.UNKNOWN, "no such session")
            raise HandshakeError("it wants to resume what is not here")
        if len(self._pipes) >= self._max:
            raise HandshakeError(f"there are {self._max} pipes already (max_pipes)")
        pipe = self._pipes[hello.session] = ResumablePipe(options=self._options, name=hello.session.hex()[:8])
        pipe.start()
        task = asyncio.get_running_loop().create_task(self._serve(hello.session, pipe), name=f"resumable {pipe.name}")
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return pipe

    async def _serve(self, session: bytes, pipe: ResumablePipe) -> None:
        try:
            async with pipe:
                try:
                    await self._handler(pipe)
                except Exception:
                    if pipe.error is None:
                        log.exception("the handler of %r raised", pipe)
                    pipe.transport.abort()
        finally:
            del self._pipes[session]

    async def aclose(self) -> None:
        """Take no further pipe, cancel the handlers, and wait until they have ended and their pipes are closed. The
        connections of `connected` that are shaking hands end by their deadlines."""
        self._closed = True
        own = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not own]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
