"""Where the connections of active `ResumablePipe`s come in: each goes to its pipe, a new one begins a pipe."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Self

from litz.errors import HandshakeError, LitzError, ProtocolError
from litz.resumable_pipe import ResumablePipe
from litz.resume_frames import Hello, Kind, Why, read_hello
from litz.resume_greeting import refuse
from litz.resume_link import ResumeLink
from litz.resume_options import ResumeOptions
from litz.seldom import OF_HANDLER, Seldom

log = logging.getLogger("litz.resumable")

ResumableHandler = Callable[[ResumablePipe], Awaitable[None]]


class _Beginning:
    """A pipe that no connection carries yet, and those that would."""

    def __init__(self, pipe: ResumablePipe) -> None:
        self.pipe = pipe
        self.writers: dict[asyncio.StreamWriter, None] = {}


class ResumableServer:
    """Passive ends of any number of pipes:

        async with ResumableServer(handler) as pipes:
            server = await asyncio.start_server(pipes.connected, "127.0.0.1", 7000)

    `handler(pipe)` runs for each new pipe in a task of its own; when it returns the pipe is closed, when it raises the
    pipe is aborted. A connection that resumes finds its pipe by the name of the session, and proves that it is its own.

    Anybody who can connect can begin a pipe, so places are won by use. A pipe is new, and its handler runs, when its
    first connection has shaken hands to the end; one that does not leaves nothing behind. When there is no place, the
    oldest pipe goes on which nothing has passed yet and which has no connection (its handler is cancelled), then the
    oldest connection that is shaking hands for a new one (within one round trip, if it is honest). A pipe that is
    connected, or has carried anything, never goes for another one.

    options    of every pipe
    max_pipes  at once, with those that are beginning; when none may go a new one is closed without an answer, and its
               active end comes again
    """

    def __init__(
        self, handler: ResumableHandler, *, options: ResumeOptions | None = None, max_pipes: int = 1_024
    ) -> None:
        self._handler = handler
        self._options = options or ResumeOptions()
        self._max = max_pipes
        self._pipes: dict[bytes, ResumablePipe] = {}
        """Oldest first."""
        self._beginning: dict[bytes, _Beginning] = {}
        """For each session that is new its connections that are shaking hands; oldest first."""
        self._tasks: dict[asyncio.Task[None], ResumablePipe] = {}
        self._failures = Seldom(first=OF_HANDLER)
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
        beginning = self._beginning.get(hello.session)
        if beginning is not None:
            beginning.writers[writer] = None
        try:
            await pipe.attach(reader, writer, hello)
            self._begin(hello.session, pipe)
        except (OSError, EOFError, LitzError) as error:
            log.debug("a connection did not resume %r: %s", pipe, error)
        finally:
            if beginning is not None:
                del beginning.writers[writer]
                if not beginning.writers and self._beginning.get(hello.session) is beginning:
                    del self._beginning[hello.session]
                    pipe.transport.abort()

    def _pipe_of(self, link: ResumeLink, hello: Hello) -> ResumablePipe:
        pipe = self._pipes.get(hello.session)
        if pipe is not None:
            return pipe
        if self._closed or not hello.begins:
            refuse(link, Why.UNKNOWN, "no such session")
            raise HandshakeError("it wants to resume what is not here")
        beginning = self._beginning.get(hello.session)
        if beginning is None:
            if not self._has_place():
                raise HandshakeError(f"there are {self._max} pipes already (max_pipes)")
            pipe = ResumablePipe(options=self._options, name=hello.session.hex()[:8])
            beginning = self._beginning[hello.session] = _Beginning(pipe)
        return beginning.pipe

    def _has_place(self) -> bool:
        """Whether there is one for a new pipe now, perhaps because another one went."""
        if len(self._pipes) + len(self._beginning) < self._max:
            return True
        if len(self._tasks) >= 2 * self._max:
            return False  # those that went have handlers that do not end
        for session, pipe in self._pipes.items():
            if pipe.unused:
                del self._pipes[session]
                for task in [task for task, its in self._tasks.items() if its is pipe]:
                    task.cancel()
                return True
        for session, beginning in self._beginning.items():
            del self._beginning[session]
            for writer in beginning.writers:
                writer.transport.abort()
            return True
        return False

    def _begin(self, session: bytes, pipe: ResumablePipe) -> None:
        """A connection carries `pipe`: perhaps the first one."""
        beginning = self._beginning.get(session)
        if beginning is None or beginning.pipe is not pipe:
            if self._pipes.get(session) is not pipe:
                pipe.transport.abort()  # its place was taken meanwhile, or everything is closed
            return
        del self._beginning[session]
        if self._closed:
            pipe.transport.abort()
            return
        self._pipes[session] = pipe
        task = asyncio.get_running_loop().create_task(self._serve(pipe), name=f"resumable {pipe.name}")
        self._tasks[task] = pipe
        task.add_done_callback(partial(self._ended, session))

    def _ended(self, session: bytes, task: asyncio.Task[None]) -> None:
        pipe = self._tasks.pop(task)
        pipe.transport.abort()  # if it was cancelled before its first step
        if self._pipes.get(session) is pipe:
            del self._pipes[session]

    async def _serve(self, pipe: ResumablePipe) -> None:
        async with pipe:
            try:
                await self._handler(pipe)
            except Exception as error:
                if pipe.error is None:
                    self._tell(pipe, error)
                pipe.transport.abort()

    def _tell(self, pipe: ResumablePipe, error: Exception) -> None:
        """Not each of them: anybody who can connect begins as many pipes as it likes."""
        more = self._failures.words(asyncio.get_running_loop().time(), "", error)
        if more is not None:
            log.error("the handler of %r raised%s", pipe, more, exc_info=error)

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
        if left_out := self._failures.left_out():
            log.error("a ResumableServer was closed; %d more failures of its handler were not told", left_out)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
