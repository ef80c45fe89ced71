"""One stream between its carrier and its user: the `StreamUser` that the side talks to, without the user's handle.

The carrier holds the core, and the handle (`litz.stream.Stream`) holds it too: so a handle that nobody holds any more
is noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from litz.errors import (
    EndOfStreamError,
    LitzError,
    ProtocolError,
    StreamAbortedError,
    StreamLostError,
    StreamStateError,
)
from litz.stream_codec import NOTHING
from litz.stream_form import StreamForm
from litz.stream_inbound import Inbound
from litz.stream_lifecycle import Happening, StreamEnd, StreamLife, StreamState
from litz.stream_options import Drain, StreamOptions
from litz.stream_outbound import Outbound
from litz.stream_port import MAX_REASON, Abort, Offer, StreamSide
from litz.stream_report import StreamReport

_IDLE_LOOKS: Final = 4
"""Looks in one idle period, so that no message has to read a clock: an idle stream lives at most a quarter longer."""


class StreamCore:
    """The state of one stream, and what happens to it. All in the loop's thread."""

    def __init__(
        self,
        side: StreamSide,
        offer: Offer,
        form: StreamForm,
        options: StreamOptions,
        *,
        opened_here: bool,
    ) -> None:
        self.loop = loop = asyncio.get_running_loop()
        self.side = side
        self.offer = offer
        """What it is: to the side that opened it `sender` is its own id."""
        self.options = options
        self.opened_here = opened_here
        self.dest = side.dest
        self.life = StreamLife(link_up=side.link_up)
        self.form = form
        self.inbound = Inbound(side, form, loop)
        self.outbound = Outbound(side, form, loop, self.check_sendable)
        self.on_over: Callable[[StreamCore], None] | None = None
        """For who owns it; called at once."""
        self._callbacks: list[Callable[[StreamReport], object]] = []
        self._last: StreamReport | None = None
        self._since = loop.time()
        self._ours_confirmed = False
        self._dropping = False
        self._told = False  # whether the user was told of a bad end
        self._stir: asyncio.Event | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._idle_seen = (-1, -1)
        self._idle_looks = 0

    def opened(self) -> None:
        """The peer agreed, or this side did."""
        if self.life.happen(Happening.OPENED) and self.options.idle is not None:
            self._idle = self.loop.call_later(self.options.idle / _IDLE_LOOKS, self._look_idle, self.options.idle)

    # -- what the side tells ------------------------------------------------------------------------------

    def received(self, entries: Sequence[Any], size: int) -> None:
        if self.life.state is StreamState.CLOSED:
            return
        self.inbound.came(entries, size)
        if self._dropping:
            self.inbound.drop()
        self._stirred()

    def finished(self) -> None:
        if not self.life.happen(Happening.FINISHED_THERE):
            return
        self.inbound.finished = True
        self.inbound.wake()
        if self.options.finish_with_peer:
            self.finish()
        self._complete()

    def aborted(self, code: int, reason: str) -> None:
        self._end(Happening.ABORTED_THERE, code, _line(reason))

    def lost(self, error: BaseException) -> None:
        self._end(Happening.LOST, None, _line(str(error)), error)

    def writable(self) -> None:
        self.outbound.writable()

    def confirmed(self) -> None:
        self.outbound.confirmed()

    def link(self, up: bool) -> None:
        self.life.link_up = up

    # -- what the user does ---------------------------------------------------------------------------------

    @property
    def failed(self) -> bool:
        """Whether it is over and was not complete."""
        return self.life.ending is not None and self.life.ending.how is not StreamEnd.COMPLETE

    def check_sendable(self) -> None:
        """Raises if nothing may be sent (any more)."""
        if self.life.may_send:
            return
        if self.failed:
            raise self.error()
        raise StreamStateError(f"{self}: its sending half was ended; open another stream to send more")

    def next_now(self) -> Any:
        """The next message if it is here, else `NOTHING`. A malformed one ends the stream."""
        try:
            return self.inbound.next_now()
        except Exception as error:
            # What came is not what a peer may send, or not for this codec: nothing after it can be trusted either.
            self.break_off(error)
            raise self.error() from error

    async def receive(self) -> Any:
        """The next message. Raises `EndOfStreamError` when the peer has finished."""
        inbound = self.inbound
        inbound.check_free()
        if inbound.budget < 0:
            await inbound.give_way()
        while True:
            data = self.next_now()
            if data is not NOTHING:
                return data
            if self.inbound.finished:
                if self.form.incomplete:
                    error = ProtocolError("the peer finished in the middle of a message")
                    self.break_off(error)
                    raise self.error() from error
                raise EndOfStreamError(f"{self}: the peer has finished; all that it sent was received")
            if self.life.state is StreamState.CLOSED:
                raise self.error()
            await inbound.wait()

    def pause(self, *, paused: bool) -> None:
        """Whether the peer is granted nothing more."""
        if self.life.state is not StreamState.CLOSED:
            (self.side.pause if paused else self.side.resume)()

    def finish(self) -> None:
        """End this half, behind what was accepted. Idempotent."""
        if not self.life.may_send:
            return
        self.life.happen(Happening.FINISHED_HERE)
        self.outbound.finish()
        self.outbound.when_confirmed(self._finish_confirmed)

    async def drain(self) -> None:
        """Until all that was accepted is confirmed. Raises what ended the stream before."""
        if self.failed:
            raise self.error()
        if self.outbound.over or self.outbound.all_confirmed:
            return
        answer: asyncio.Future[bool] = self.loop.create_future()
        self.outbound.when_confirmed(lambda done: None if answer.done() else answer.set_result(done))
        if not await answer and self.failed:
            raise self.error()

    def abort(self, code: int, reason: str, cause: BaseException | None = None) -> None:
        """End both halves now. A no-op after the end."""
        if self.life.state is StreamState.CLOSED:
            return
        reason = _line(reason)
        self.side.abort(code, reason)
        self._end(Happening.ABORTED_HERE, code, reason, cause)

    def dropped(self) -> None:
        """Its user has let go of it: nobody reads on."""
        self.abort(Abort.CANCELLED, "dropped without aclose()")
        self.inbound.clear()

    def break_off(self, error: Exception) -> None:
        """The peer sent what it may not, or what cannot be decoded here."""
        said = str(error) if isinstance(error, LitzError) else type(error).__name__
        self.inbound.clear()
        self.abort(Abort.REJECTED, said, error)
        self._told = True

    async def leave(self) -> None:
        """End gracefully, as `options.drain` says, within the grace period; then it is closed. Raises, once, what ended
        the stream otherwise, or that not all was confirmed in time."""
        life, options = self.life, self.options
        if life.state is not StreamState.CLOSED:
            if options.drain is Drain.NONE or life.state is StreamState.INIT:
                self.abort(Abort.CANCELLED, "left without draining")
            else:
                await self._drain_and_close()
        if life.ending is not None and life.ending.how in (StreamEnd.ABORTED_THERE, StreamEnd.LOST) and not self._told:
            raise self.error()

    async def _drain_and_close(self) -> None:
        drain = self.options.drain
        self.finish()
        self.life.happen(Happening.DRAIN)
        if Drain.INBOUND in drain:
            self._dropping = True
            self.inbound.drop()
        stir = self._stir = self._stir or asyncio.Event()
        late = False
        try:
            async with asyncio.timeout(self.options.grace):
                while self.life.state is not StreamState.CLOSED and not self._drained_enough():
                    stir.clear()
                    await stir.wait()
        except TimeoutError:
            late = True
        except BaseException:
            self.abort(Abort.CANCELLED, "cancelled while it was being left")
            raise
        if self.life.state is not StreamState.CLOSED:
            missing = Drain.OUTBOUND in drain and not self._ours_confirmed
            self.abort(Abort.CANCELLED, f"not over within {self.options.grace:g} s" if late else "nobody reads it")
            if missing:
                raise self.error()

    def _drained_enough(self) -> bool:
        """Whether leaving need not wait for the peer's end any more."""
        drain = self.options.drain
        if Drain.OUTBOUND in drain and not self._ours_confirmed:
            return False
        if Drain.INBOUND in drain:
            return self.inbound.finished
        return bool(self.inbound.entries) or self.inbound.finished

    # -- the end ------------------------------------------------------------------------------------------------

    def _finish_confirmed(self, done: bool) -> None:
        if done:
            self._ours_confirmed = True
            self._complete()

    def _complete(self) -> None:
        if self._ours_confirmed and self.inbound.finished:
            self._end(Happening.DRAINED, None, "")
        self._stirred()

    def _stirred(self) -> None:
        if self._stir is not None:
            self._stir.set()

    def _end(self, happening: Happening, code: int | None, reason: str, cause: BaseException | None = None) -> None:
        if self.life.state is StreamState.CLOSED:
            return
        unconfirmed = self.side.unconfirmed
        self.life.happen(happening, code=code, reason=reason, cause=cause)
        fails = self.options.fail_fast and happening is not Happening.DRAINED
        self.inbound.end(keep=not (fails or happening is Happening.ABORTED_HERE))
        self._last = self._report(unconfirmed)
        self.side.release()
        self.outbound.close()
        self.inbound.wake()
        self._stirred()
        if self._idle is not None:
            self._idle.cancel()
        if self.on_over is not None:
            self.on_over(self)
        for callback in self._callbacks:
            self.loop.call_soon(callback, self._last)
        self._callbacks.clear()

    def _look_idle(self, idle: float) -> None:
        seen = (self.inbound.bytes + self.inbound.messages, self.outbound.bytes + self.outbound.messages)
        self._idle_looks = self._idle_looks + 1 if seen == self._idle_seen else 0
        self._idle_seen = seen
        if self._idle_looks >= _IDLE_LOOKS:
            self.abort(Abort.IDLE, f"nothing sent or received for {idle:g} s")
        else:
            self._idle = self.loop.call_later(idle / _IDLE_LOOKS, self._look_idle, idle)

    # -- sight ----------------------------------------------------------------------------------------------------

    def call_on_closed(self, callback: Callable[[StreamReport], object]) -> None:
        """Call it once, from the loop, with the last report."""
        if self._last is not None:
            self.loop.call_soon(callback, self._last)
        else:
            self._callbacks.append(callback)

    def error(self) -> StreamAbortedError:
        """The error for whoever uses a stream that ended badly. Made anew each time."""
        self._told = True
        ending = self.life.ending
        assert ending is not None
        why = f" ({ending.reason})" if ending.reason else ""
        if ending.how is StreamEnd.LOST:
            unconfirmed = self._last.unconfirmed if self._last is not None else 0
            lost = StreamLostError(f"{self} is lost{why}; open another", unconfirmed=unconfirmed)
            lost.__cause__ = ending.cause
            return lost
        # Of other codes the side does not say whether the peer or this node itself gave up.
        surely = ending.how is StreamEnd.ABORTED_THERE and ending.code in (Abort.CANCELLED, Abort.HANDLER_FAILED)
        by = f" by {self.dest}" if surely else " here" if ending.how is StreamEnd.ABORTED_HERE else ""
        aborted = StreamAbortedError(f"{self} was aborted{by}: {_name(ending.code)}{why}", code=ending.code)
        aborted.__cause__ = ending.cause
        return aborted

    def report(self) -> StreamReport:
        """How it stands; the last report once it is closed, but for what was read since."""
        return self._report(self._last.unconfirmed if self._last is not None else self.side.unconfirmed)

    def _report(self, unconfirmed: int) -> StreamReport:
        return StreamReport(
            dest=self.dest,
            service=self.offer.service,
            number=self.side.number,
            state=self.life.state,
            ending=self.life.ending,
            messages_sent=self.outbound.messages,
            bytes_sent=self.outbound.bytes,
            unconfirmed=unconfirmed,
            messages_received=self.inbound.messages,
            bytes_received=self.inbound.bytes,
            unread=len(self.inbound.entries),
            duration=self._last.duration if self._last is not None else self.loop.time() - self._since,
        )

    def __str__(self) -> str:
        way = "to" if self.opened_here else "from"
        return f"stream {self.side.number} {self.offer.service!r} {way} {self.dest}"


def _name(code: int | None) -> str:
    try:
        return Abort(code or 0).name.lower().replace("_", " ")
    except ValueError:
        return f"code {code}"


def _line(reason: str) -> str:
    """A reason as one short printable line, whoever wrote it."""
    text = "".join(character if character.isprintable() else " " for character in reason)
    return text.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore")
