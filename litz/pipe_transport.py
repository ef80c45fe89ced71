"""One end of a byte pipe as a transport of asyncio: what `asyncio.StreamWriter`, protocols and TLS expect of a socket.

It uses a `litz.stream_port.StreamSide`, whoever made that: a manager, or a `ResumablePipe`. What a TCP connection of
asyncio does this does, with these differences, all to the good: an end that closes does not destroy what it sent and
its peer has not read; `connection_lost(None)` after `close` comes when the peer's side has everything (or `LINGER`
seconds later); and a peer that closed its end breaks this one only once this one writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from litz.errors import PipeResetError
from litz.pipe_incoming import PipeIncoming
from litz.pipe_outgoing import PipeOutgoing
from litz.stream_port import MAX_ENTRY, Abort, StreamSide

LINGER: Final = 5.0
"""Seconds after `close` within which `connection_lost` comes, whatever the peer does. What was written still goes out
behind that, as long as the session lives."""

FAREWELL: Final = 5.0
"""Seconds for which an end that was closed, and whose bytes have all arrived, waits for the peer's end before it resets
the peer. Most close at about the same time. A peer that sends something instead is reset at once."""

HIGH_WATER: Final = 64 * 1024
"""Bytes that wait before the protocol is told to pause, as in asyncio."""

_BYTES = (bytes, bytearray, memoryview)


class PipeTransport(asyncio.Transport):
    """A `StreamUser` towards its side, an `asyncio.Transport` towards its protocol. Belongs to the loop's thread.

    `start` first. Its protocol is told `connection_made` once and first, `connection_lost` once and last.
    `get_extra_info` knows `peername` (the id of the peer), `litz.dest`, `litz.service`, `litz.metadata` (what came
    with the open), `litz.verified` and what else its maker put in.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        side: StreamSide,
        protocol: asyncio.BaseProtocol,
        extra: Mapping[str, Any],
        *,
        farewell: float = FAREWELL,
        on_over: Callable[[], None] | None = None,
        tell: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        super().__init__({"peername": side.dest, "litz.dest": side.dest, **extra})
        self._loop = loop
        self._side = side
        self._out = PipeOutgoing()
        self._in = PipeIncoming(loop, side, self._eof_was_told, self._fail)
        self._high, self._low = HIGH_WATER, HIGH_WATER // 4
        self._writing_paused = False
        self._blocked = self._joining = False
        self._eof_written = self._finishing = False
        self._closing = self._lost = False
        self._over = False
        """The side has ended, and was released."""
        self._on_over = on_over
        self._tell = tell or loop.call_exception_handler
        self._broken: BaseException | None = None
        """What a write fails with although the peer's half ended well."""
        self._incomplete = False
        """The side has ended, and something that was written has not arrived."""
        self._linger: asyncio.TimerHandle | None = None
        self._farewell_within = farewell
        self._farewell: asyncio.TimerHandle | None = None
        self._unwanted = False
        """Something came behind `close`."""
        self.set_protocol(protocol)

    def start(self, *, loud: bool = True) -> None:
        """Tell `connection_made`, then begin to use the side. Raises what the protocol raises, or tells of it if not
        `loud`; then all is undone."""
        try:
            self._protocol.connection_made(self)
        except BaseException as error:
            self._abort_side(Abort.CANCELLED, "")
            self._lost = self._closing = True
            if loud or not isinstance(error, Exception):
                raise
            self._tell_of(error, "connection_made")
        if not self._over:
            self._side.use(self)

    # -- asyncio's verbs: writing --------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Accept `data` behind all that was written. Never blocks; see `drain` of the StreamWriter for backpressure."""
        _check_bytes(data)
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._add(_lasting(data)):
            self._flush_soon()

    def write_lasting(self, data: memoryview) -> None:
        """`write` of bytes that nobody changes any more: they are not copied."""
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._add(data):
            self._flush_soon()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """`write` of each, without joining them first."""
        buffers = list(list_of_data)
        for data in buffers:
            _check_bytes(data)
        if self._eof_written:
            raise RuntimeError("Cannot call writelines() after write_eof()")
        if sum(map(self._add, map(_lasting, buffers))):
            self._flush_soon()

    def write_eof(self) -> None:
        """The end of this half; the peer may go on. Idempotent."""
        if not (self._closing or self._eof_written):
            self._eof_written = True
            if not self._over:
                self._flush()

    def can_write_eof(self) -> bool:
        """Always."""
        return True

    def get_write_buffer_size(self) -> int:
        """Bytes written that the side has not taken: of these `pause_writing` tells."""
        return self._out.size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high)"""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As in asyncio; raises ValueError unless high >= low >= 0."""
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        self._check_high()

    # -- asyncio's verbs: reading --------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Whether the protocol is given what comes."""
        return not (self._in.paused or self._closing)

    def pause_reading(self) -> None:
        """Give the protocol nothing more; the peer may send what it was granted, and then waits."""
        if self.is_reading():
            self._in.pause()

    def resume_reading(self) -> None:
        """End what `pause_reading` did. The protocol is called later, never from here."""
        if self._in.paused and not self._closing:
            self._in.resume()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From now on tell `protocol`."""
        self._protocol: Any = protocol
        self._in.give_to(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The one that is told."""
        return self._protocol  # type: ignore[no-any-return]  # any kind of protocol: its verbs differ

    # -- asyncio's verbs: the end --------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether it was closed, or is lost."""
        return self._closing

    def close(self) -> None:
        """Send what was written, then the end; read nothing more. Returns at once. `connection_lost(None)` comes when
        the peer's side has all, at most `LINGER` seconds later. Idempotent."""
        if self._closing:
            return
        self._closing = True
        if self._over:
            self._lose(self._broken if self._incomplete else None)
            return
        self._in.end(over=False)
        self._flush()
        if not self._lost:
            self._linger = self._loop.call_later(LINGER, self._lose, None)

    def abort(self) -> None:
        """End both halves now; the peer is told (its end is reset), what it has not got is dropped."""
        self.abort_with(Abort.CANCELLED, "")

    def abort_with(self, code: int, reason: str) -> None:
        """`abort`, saying why (`litz.stream_port.Abort`, and a text for people)."""
        self._abort_side(code, reason)
        self._lose(None)

    # -- what the side tells -------------------------------------------------------------------------

    def received(self, entries: Sequence[Any], size: int) -> None:
        """For the side."""
        self._unwanted |= self._closing
        if self._farewell is not None:
            self._release()
        else:
            self._in.received(entries, size)

    def finished(self) -> None:
        """For the side."""
        self._in.finish()
        if self._farewell is not None:
            self._release()

    def aborted(self, code: int, reason: str) -> None:
        """For the side."""
        text = f"the peer {self._side.dest!r} aborted the pipe" + (f": {reason}" if reason else "")
        self._end(PipeResetError(text, code=code), waits=bool(self._out.size))

    def lost(self, error: BaseException) -> None:
        """For the side."""
        reset = PipeResetError(f"the pipe to {self._side.dest!r} is lost: {error}")
        reset.__cause__ = error
        self._end(reset, waits=bool(self._out.size or self._side.unconfirmed))

    def writable(self) -> None:
        """For the side."""
        self._blocked = False
        if not self._over:
            self._flush()

    def confirmed(self) -> None:
        """For the side."""
        if self._finishing and self._closing and not self._over:
            if self._in.finished or self._unwanted:
                self._release()
            else:
                self._farewell = self._loop.call_later(self._farewell_within, self._release)
            self._lose(None)

    def link(self, up: bool) -> None:
        """For the side. A pipe survives it."""

    # -- inside: writing -----------------------------------------------------------------------------

    def _add(self, data: bytes | memoryview) -> bool:
        """Append what does not change until the peer has it. Whether there is something new to flush."""
        if not len(data) or self._closing:
            return False
        if self._over:
            self._lose(self._broken)
            return False
        self._out.add(data)
        return True

    def _flush_soon(self) -> None:
        """The first write of a turn of the loop leaves at once, those behind it together at the turn's end."""
        if not self._joining:
            self._joining = True
            self._loop.call_soon(self._turn_is_over)
            self._flush()
        elif self._out.size >= MAX_ENTRY:
            self._flush()
        self._check_high()

    def _turn_is_over(self) -> None:
        self._joining = False
        if not self._over:
            self._flush()

    def _flush(self) -> None:
        out = self._out
        side, write = self._side, self._side.write
        while not self._blocked and out.size and (entry := out.head(side.max_entry)) is not None:
            try:
                taken = write(entry, len(entry))
            except RuntimeError:
                taken = False  # the side has ended, and will tell so in a moment
            if taken:
                out.taken()
            else:
                self._blocked = True
        if self._writing_paused and out.size <= self._low and not self._lost:
            self._writing_paused = False
            self._protocol.resume_writing()
        if not out.size and (self._eof_written or self._closing) and not self._over:
            if not self._finishing:
                self._finishing = True
                self._side.finish()
            if self._closing:
                self._side.want_confirmed()

    def _check_high(self) -> None:
        if self._out.size > self._high and not self._writing_paused and not self._lost:
            self._writing_paused = True
            self._protocol.pause_writing()

    # -- inside: the end -----------------------------------------------------------------------------

    def _eof_was_told(self, stays: bool) -> None:
        if self._incomplete:
            self._lose(self._broken)
        elif not stays:
            self.close()

    def _end(self, error: PipeResetError, *, waits: bool) -> None:
        """The side is over. What the peer had said well before stays well: its end breaks only our writes."""
        self._broken = error
        self._incomplete = waits
        self._release()
        if self._in.finished and not waits:
            if self._closing:
                self._lose(None)
        elif not self._in.finished or self._in.eof_told or self._closing:
            self._lose(error)

    def _release(self) -> None:
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None
        self._over = True
        self._in.side_is_over()
        self._side.release()
        tell, self._on_over = self._on_over, None
        if tell is not None:
            tell()

    def _abort_side(self, code: int, reason: str) -> None:
        if not self._over:
            self._side.abort(code, reason)
            self._release()

    def _lose(self, error: BaseException | None) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if not self._lost:
            self._lost = self._closing = True
            self._in.end(over=self._over)
            if self._over:
                self._out.clear()
            else:
                self._side.attach(False)
            self._loop.call_soon(self._say_lost, error)

    def _say_lost(self, error: BaseException | None) -> None:
        try:
            self._protocol.connection_lost(error)
        except Exception as raised:
            self._tell_of(raised, "connection_lost")

    def _fail(self, error: BaseException, verb: str) -> None:
        """As asyncio does with an error out of a protocol: tell the loop, and break the connection."""
        self._tell_of(error, verb)
        self._abort_side(Abort.HANDLER_FAILED, type(error).__name__)
        self._lose(error)

    def _tell_of(self, error: BaseException, verb: str) -> None:
        context = {
            "message": f"Fatal error: protocol.{verb}() call failed.",
            "exception": error,
            "transport": self,
            "protocol": self._protocol,
        }
        self._tell(context)

    def __repr__(self) -> str:
        state = "lost" if self._lost else "closing" if self._closing else "open"
        return f"<PipeTransport {self.get_extra_info('litz.service')!r} with {self._side.dest!r} {state}>"


def _check_bytes(data: object) -> None:
    if not isinstance(data, _BYTES):
        raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")


def _lasting(data: bytes | bytearray | memoryview) -> bytes:
    """The same bytes, as nobody can change them: only bytes never change."""
    return data if type(data) is bytes else bytes(data)
