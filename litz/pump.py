"""Two connections joined into one: what comes from either goes to the other, ends and resets too.

    pump = Pump(ended)
    await loop.create_connection(lambda: pump.here, host, port)
    await loop.create_connection(lambda: pump.there, host, port)

Each side reads only as fast as the other takes, so what waits in between is bounded by the write buffers of the two
transports. The end of one direction (EOF) is passed on and the other goes on; anything else ends both at once, and a
socket is then reset, so that nobody takes what came for complete.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

from litz.pipe_transport import PipeTransport
from litz.read_buffers import read_buffers

HIGH_WATER: Final = 256 * 1024
"""Bytes waiting to be written above which the other side is not read."""

_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class End(asyncio.BufferedProtocol):
    """The protocol of one of the two connections. `passed`: bytes that came from it."""

    takes_buffers: Final = True
    """For `litz.pipe_transport`: what it has is taken as it is."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._reads = read_buffers()
        self._early: list[bytes | memoryview] = []
        self.other: End
        self.transport: asyncio.Transport | None = None
        self.passed = 0
        self.ended = False
        """It will send nothing more, and said so."""
        self.lost = False
        self._held = False
        """Not read, because the other side does not take it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`. Nothing is read before the other side is there."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        if self._pump.over:
            _reset(self.transport)
        elif self.other.transport is None:
            self.transport.pause_reading()
            self._pump.wait()
        else:
            self._pump.join()

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`."""
        return self._reads.next()

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        self.data_received(self._reads.take(nbytes))

    def data_received(self, data: bytes | memoryview) -> None:
        """What came; nobody changes it any more."""
        self.passed += len(data)
        to = self.other.transport
        if to is None:
            self._early.append(data)
            if self.transport is not None:
                self.transport.pause_reading()  # uvloop begins to read although it was paused in `connection_made`
        elif isinstance(data, memoryview) and isinstance(to, PipeTransport):
            to.write_lasting(data)
        else:
            to.write(data)

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`."""
        self.ended = True
        if self.other.transport is not None:
            self._pump.half_ended(self)
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self.other.hold(held=True)

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self.other.hold(held=False)

    def hold(self, *, held: bool) -> None:
        """Whether this end is not to be read for now, because the other one does not take it."""
        self._held = held
        # A transport that is resumed behind its EOF reads it again.
        if self.transport is None or self.ended or self.transport.is_closing():
            return
        if held:
            self.transport.pause_reading()
        elif self.other.transport is not None:
            self.transport.resume_reading()

    def connection_lost(self, error: BaseException | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self.lost = True
        self._pump.end_lost(self, error)

    def catch_up(self) -> None:
        """The other side is there: pass on what came before it, and read."""
        assert self.transport is not None
        assert self.other.transport is not None
        early, self._early = self._early, []
        for data in early:
            self.other.transport.write(data)
        if self.ended:
            self._pump.half_ended(self)
        elif not self._held:  # what came early may be more than the other side takes
            self.transport.resume_reading()


class Pump:
    """Two ends. `begun(pump)` is called when the first connection is there, `ended(error)` once, when both are gone:
    None if both directions came to their end, otherwise why not. One that never came is not waited for."""

    def __init__(
        self, ended: Callable[[BaseException | None], None], begun: Callable[[Pump], None] | None = None
    ) -> None:
        self._ended = ended
        self._begun = begun
        self._error: BaseException | None = None
        self._told = False
        self.over = False
        """Nothing is passed on any more."""
        self.here = End(self)
        self.there = End(self)
        self.here.other, self.there.other = self.there, self.here

    @property
    def joined(self) -> bool:
        """Both connections are there."""
        return self.here.transport is not None and self.there.transport is not None

    def wait(self) -> None:
        """One connection is there, and waits for the other."""
        if self._begun is not None:
            self._begun(self)

    def join(self) -> None:
        """Both connections are there now: begin to pump."""
        for end in (self.here, self.there):
            if not self.over:
                end.catch_up()

    def half_ended(self, end: End) -> None:
        """`end` will send nothing more: pass that on; after both directions close both."""
        to = end.other.transport
        assert to is not None
        if to.can_write_eof() and not to.is_closing():
            to.write_eof()
        if end.other.ended:
            self.over = True
            for each in (self.here, self.there):
                if each.transport is not None:
                    each.transport.close()

    def end_lost(self, end: End, error: BaseException | None) -> None:
        """The connection of `end` is gone."""
        if not self.over:
            self.abort(error or ConnectionAbortedError("the connection was closed before its end"))
        self._tell()

    def abort(self, error: BaseException) -> None:
        """Reset both connections, because of `error`. Idempotent: the first error counts."""
        if self.over and self._error is not None:
            return
        self.over = True
        self._error = error
        for end in (self.here, self.there):
            if end.transport is not None and not end.lost:
                _reset(end.transport)
        self._tell()

    def _tell(self) -> None:
        if not self._told and all(end.transport is None or end.lost for end in (self.here, self.there)):
            self._told = True
            self._ended(self._error)


def _reset(transport: asyncio.Transport) -> None:
    """End a connection so that its peer sees that it is cut off. A Unix socket has no reset, its peer sees an end."""
    end: socket.socket | None = transport.get_extra_info("socket")
    if end is not None and end.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
    transport.abort()
