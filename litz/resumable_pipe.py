"""A pair of stream reader and writer that survives its connections: bytes both ways, each once, in order.

    async def dial():
        return await asyncio.open_connection("example.org", 7000)

    async with ResumablePipe(dial) as pipe:
        pipe.writer.write(b"hello\\n")
        line = await pipe.reader.readline()

It needs no manager and no session: any `async () -> (reader, writer)` will do. One end is active (it has `reconnect`,
and dials by itself), the other passive (it is given connections: `attach`, or `litz.resumable_server`).
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from litz.errors import LitzError, ProtocolError, ResumeImpossibleError
from litz.pipe_transport import PipeTransport
from litz.resumable_side import ResumableSide
from litz.resume_dialler import ENDED, ResumeDialler
from litz.resume_frames import Hello, Kind, read_ack, read_code, read_fin, read_hello
from litz.resume_greeting import Greeted, ResumeIdentity, greet_active, greet_passive
from litz.resume_link import Frame, ResumeLink, ended_within
from litz.resume_options import FAREWELL, MAX_FAULTS, STABLE, ResumeOptions
from litz.resume_session import ResumeSession

Reconnect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class ResumablePipe:
    """One end. Make it in a running loop, use it from there, enter it or `start` it, and `aclose` it.

    `reader` and `writer` are asyncio's own. They end like a TCP connection does, and only then: EOF when the peer has
    ended its half, `PipeResetError` (a `ConnectionResetError`) when the peer aborted, or when the pipe cannot be
    resumed any more; its cause is then a `ResumeImpossibleError`, which `error` has too.

    reconnect  makes a new connection, is called again (with `options.backoff`) when it raises or when a connection
               broke, never twice at once. It gives up by raising `ResumeImpossibleError`. None: this end is passive
    name       for people, and `get_extra_info("peername")`
    rng        for the jitter between attempts
    """

    def __init__(
        self,
        reconnect: Reconnect | None = None,
        *,
        options: ResumeOptions | None = None,
        name: str = "",
        rng: random.Random | None = None,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._reconnect = reconnect
        self.options = options or ResumeOptions()
        self.name = name
        self._session = ResumeSession(self.options.replay_size, self.options.receive_size)
        self._identity = ResumeIdentity(secrets.token_bytes(16) if reconnect is not None else None)
        self._side = ResumableSide(name, self._session, self._wake, self._leave)
        self._live: ResumeLink | None = None
        self._ending: list[asyncio.Task[None]] = []
        self._dialler = ResumeDialler(
            self._attempt,
            lambda: self._live is None,
            rng or random.Random(secrets.randbits(64)),
            self.options.backoff,
        )
        self._connected = asyncio.Event()
        self._ended = asyncio.Event()
        self._kept: asyncio.TimerHandle | None = None
        self._faults = 0
        self._latest: BaseException | None = None
        self.error: BaseException | None = None
        """Why it was lost; None while it lives, and after a good end."""
        self.connections = 0
        """How many connections have carried it."""
        self.reader = asyncio.StreamReader(limit=self.options.limit, loop=loop)
        protocol = asyncio.StreamReaderProtocol(self.reader, loop=loop)
        self.transport = PipeTransport(loop, self._side, protocol, {"litz.service": "resumable"}, farewell=FAREWELL)
        self.transport.start()
        self.writer = asyncio.StreamWriter(self.transport, protocol, self.reader, loop)

    # -- for users -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin: dial (active), or count the time until the first connection (passive). Idempotent."""
        if self._kept is None and not self._ended.is_set():
            self._keep_for(self.options.kept)
            if self._reconnect is not None:
                self._dialler.start()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now, as far as is known."""
        return self._live is not None

    @property
    def unused(self) -> bool:
        """Whether there is no connection, and nothing has passed, either way, on any that there was."""
        return self._live is None and self._session.untouched

    @property
    def unconfirmed(self) -> int:
        """Bytes written whose arrival at the peer's end is not known."""
        return len(self._session.out) + self.transport.get_write_buffer_size()

    async def wait_connected(self, timeout: float | None = None) -> None:
        """Until there is a connection. Raises TimeoutError, and `ResumeImpossibleError` when there will be none."""
        self.start()
        async with asyncio.timeout(timeout):
            while self._live is None:
                self._check_alive()
                await self._connected.wait()

    async def reconnect(self) -> None:
        """Dial now, also while a connection seems well, and return when the new one carries the pipe. All who call
        meanwhile share one attempt; cancelling one of them disturbs nobody. Raises what the attempt raised (the pipe
        goes on trying by itself if it must), RuntimeError for a passive end."""
        if self._reconnect is None:
            raise RuntimeError("this end of the pipe is passive: its peer reconnects, and it is given connections")
        self._check_alive()
        self.start()
        await self._dialler.now()

    async def attach(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hello: Hello | None = None
    ) -> None:
        """Passive: try to go on with a connection that the peer made, and return when it carries the pipe. One that is
        not the peer's, or an older one, is closed and disturbs nothing: `HandshakeError`; TimeoutError when it says
        nothing within `handshake_timeout`. `hello`: what was read of it already."""
        if self._reconnect is not None:
            raise RuntimeError("this end of the pipe is active: it makes its connections itself")
        self.start()
        link = ResumeLink(reader, writer)
        try:
            async with asyncio.timeout(self.options.handshake_timeout):
                if hello is None:
                    kind, payload = await link.next()
                    if kind is not Kind.HELLO:
                        raise ProtocolError("a connection of a ResumablePipe begins with HELLO")
                    hello = read_hello(payload)
                nonce = secrets.token_bytes(16)
                greeted = await greet_passive(link, self._identity, hello, nonce, self._session, self._let_go)
        except BaseException as error:
            self._part(link, error)
            if isinstance(error, ResumeImpossibleError):
                self._lose(error)
            await link.gone()
            raise
        self._carry(link, greeted)

    async def aclose(self) -> None:
        """Send what was written, and the end; then go. Always returns, within `close_timeout`; what the peer did not
        get by then it never gets (`unconfirmed`). What the peer still sends is not read; if it does, it is told by a
        reset. Idempotent."""
        deadline = self._loop.time() + self.options.close_timeout
        self.transport.close()
        if self._kept is None:
            self._end()  # never started
        try:
            async with asyncio.timeout_at(deadline - self._leave_within):
                await self._ended.wait()
        except TimeoutError:
            pass
        finally:
            self.transport.abort()
            self._end()
            await self._tasks_end()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.transport.abort()
        await self.aclose()

    def __repr__(self) -> str:
        state = "ended" if self._ended.is_set() else "connected" if self.connected else "waiting"
        return f"<ResumablePipe {self.name!r} {state}, connection {self.connections}>"

    # -- dialling ------------------------------------------------------------------------------------

    async def _attempt(self) -> Exception | None:
        assert self._reconnect is not None
        self._identity.attempt += 1
        link = None
        try:
            async with asyncio.timeout(self.options.dial_timeout):
                reader, writer = await self._reconnect()
            link = ResumeLink(reader, writer)
            async with asyncio.timeout(self.options.handshake_timeout):
                nonce = secrets.token_bytes(16)
                greeted = await greet_active(link, self._identity, nonce, self._session, self._let_go)
        except Exception as error:
            self._part(link, error)
            if isinstance(error, ResumeImpossibleError):
                self._lose(error)
            self._latest = error
            return error
        except BaseException as error:
            self._part(link, error)
            raise
        if self._ended.is_set():
            link.drop()
            return ResumeImpossibleError("the pipe was closed")
        self._carry(link, greeted)
        return None

    # -- connections ---------------------------------------------------------------------------------

    def _carry(self, link: ResumeLink, greeted: Greeted) -> None:
        if self._kept is not None:
            self._kept.cancel()
        self._identity.secret = greeted.secret
        self._session.resumed(greeted.mine, greeted.peer)
        self._live = link
        self.connections += 1
        link.carry(self, self.options.ping_after, self.options.dead_after)
        self._connected.set()
        self._side.link_changed(True)
        self._side.tell_news()

    def _let_go(self) -> None:
        """Hear the connection that carries the pipe no more: another one is about to."""
        if self._live is not None:
            link, self._live = self._live, None
            self._part(link, None)
            self._without_connection()

    def _without_connection(self) -> None:
        self._connected.clear()
        self._keep_for(self.options.kept)
        self._side.link_changed(False)

    def _part(self, link: ResumeLink | None, error: BaseException | None) -> None:
        """Be done with a connection. Who was told why it is refused shall be able to read it."""
        if link is not None:
            link.leave(self.options.handshake_timeout) if isinstance(error, LitzError) else link.drop()
            self._own(link)

    def _own(self, link: ResumeLink) -> None:
        self._ending = [task for task in (*self._ending, *link.tasks) if not task.done()]

    def _keep_for(self, seconds: float) -> None:
        if self._kept is not None:
            self._kept.cancel()
        self._kept = self._loop.call_later(seconds, self._expired)

    def _expired(self) -> None:
        error = ResumeImpossibleError(f"no connection for {self.options.kept:g} s")
        error.__cause__ = self._latest
        self._lose(error)

    # -- what links tell -----------------------------------------------------------------------------

    def frames_came(self, link: ResumeLink, frames: Sequence[Frame]) -> None:
        """For the link."""
        if link is not self._live:
            return
        self._identity.proven = True
        session, side = self._session, self._side
        for kind, payload in frames:
            if kind is Kind.DATA:
                session.data(len(payload))
                side.received((payload,), len(payload))
            elif kind is Kind.ACK:
                session.acked(read_ack(payload))
                side.tell_news()
            elif kind is Kind.FIN:
                if not session.peer_finished:
                    session.fin(read_fin(payload))
                    side.finished()
            elif kind is Kind.PING:
                session.pong_due = True
            elif kind is Kind.BYE:
                session.bye()
            elif kind is Kind.RESET:
                self._reset(link, payload)
            elif kind is Kind.REFUSE:
                self._lose(ResumeImpossibleError("the other end cannot go on from where this one is"))
            elif kind is not Kind.PONG:
                raise ProtocolError(f"the other end says {kind.name} again")
            if link is not self._live:
                return  # whoever was told has ended it
        self._faults = 0
        self._end_if_done()
        link.wake()

    def due(self, link: ResumeLink, most: int) -> Sequence[bytes | memoryview]:
        """For the link."""
        if link is not self._live:
            return ()
        frames = self._session.frames(most)
        if not frames:
            self._end_if_done()
        return frames

    def silent(self, link: ResumeLink) -> None:
        """For the link."""
        self._session.ping_due |= link is self._live
        link.wake()

    def listening(self, link: ResumeLink) -> None:
        """For the link."""
        self._session.pong_due |= link is self._live
        link.wake()

    def link_ended(self, link: ResumeLink, error: BaseException) -> None:
        """For the link."""
        self._own(link)
        if link is not self._live:
            return
        self._live = None
        self._latest = error
        if isinstance(error, ProtocolError):
            self._faults += 1
        if self._loop.time() - link.began >= STABLE:
            self._dialler.failures = 0
        else:
            self._dialler.failures += 1
        self._without_connection()
        if self._faults >= MAX_FAULTS:
            self._lose(error)
        self._end_if_done()
        self._dialler.look_again()

    # -- the end -------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._live is not None:
            self._live.wake()

    def _leave(self) -> None:
        """A RESET is to be said, if somebody hears it."""
        self._wake()
        if self._live is None:
            self._end()

    def _reset(self, link: ResumeLink, payload: bytes) -> None:
        code, text = read_code(payload)
        if not self._session.complete:
            self._side.aborted(code, text)
        self._end()

    def _end_if_done(self) -> None:
        """Go, if both ends know that both have everything, or the RESET is said."""
        session = self._session
        if session.reset_given or (session.bye_given and session.peer_said_bye):
            self._end()

    def _lose(self, error: BaseException) -> None:
        if not self._ended.is_set():
            if not self._session.complete:
                self.error = error
                self._side.lost(error)
            self._end()

    def _end(self) -> None:
        """Nothing more is dialled, taken or sent."""
        if self._ended.is_set():
            return
        for event in (self._ended, self._connected):
            event.set()
        self._identity.ended = True
        if self._kept is not None:
            self._kept.cancel()
        if self._live is not None:
            link, self._live = self._live, None
            for part in self._session.frames(0):
                link.say(part)
            link.leave(self._leave_within)
            self._own(link)
        self._dialler.close(self.error or ResumeImpossibleError(ENDED))
        if not self._side.ended and not self._session.complete:
            self._side.lost(self.error or ResumeImpossibleError("the pipe was closed"))

    def _check_alive(self) -> None:
        if self._ended.is_set():
            raise self.error or ResumeImpossibleError(ENDED)

    @property
    def _leave_within(self) -> float:
        """Seconds of `close_timeout` that are kept for hanging up well."""
        return self.options.close_timeout / 5

    async def _tasks_end(self) -> None:
        left = await ended_within([*self._ending, *self._dialler.tasks], self._leave_within)
        if left:
            text = "a reconnect() swallowed its cancellation and is left behind by ResumablePipe.aclose"
            self._loop.call_exception_handler({"message": text, "task": left[0]})
