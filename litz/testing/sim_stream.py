"""A seeded byte stream between two asyncio protocols: arbitrary fragments, and a cut at any byte.

It has the shape of a TCP connection of asyncio, so code written for `asyncio.Transport` runs over it unchanged.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from litz.message import Buffer
from litz.testing.sim_loop import SimLoop

StreamSide = Literal["client", "server"]


class _Half:
    """One direction: bytes at the sender (`buffer`), bytes on their way (`transit`), bytes `delivered`."""

    def __init__(self, stream: SimStream, number: int) -> None:
        self.stream = stream
        self.number = number
        self.sender: SimTransport
        self.receiver: SimTransport
        self.back: _Half
        self.buffer = bytearray()
        self.transit = bytearray()
        self.delivered = 0
        self.cut_at: int | None = None
        self.stalled = False
        self.eof = False
        self.eof_delivered = False
        self._timer: asyncio.TimerHandle | None = None

    def pump(self) -> None:
        """Hand to the network what it takes, and arm the next delivery."""
        room = self.stream.system_buffer - len(self.transit)
        if self.buffer and room > 0:
            self.transit += self.buffer[:room]
            del self.buffer[:room]
            self.sender.buffer_shrank()
        if self.buffer and self.receiver.lost and self.back.eof_delivered and not self.stalled:
            self.sender.reset_after(self.stream.pause())
            return
        if self._timer is None and not self.stalled and self.receiver.takes_data and self._has_news():
            self._timer = self.stream.loop.call_later(self.stream.pause(), self._deliver)

    def _has_news(self) -> bool:
        return bool(self.transit) or self.cut_at == self.delivered or (self.eof and not self.eof_delivered)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def drop(self) -> None:
        self.stop()
        self.buffer.clear()
        self.transit.clear()

    def _deliver(self) -> None:
        self._timer = None
        if self.stalled or not self.receiver.takes_data:
            return
        if self.cut_at == self.delivered:
            self.stream.cut()
            return
        if self.transit:
            size = self.stream.fragment_size(len(self.transit))
            if self.cut_at is not None:
                size = min(size, self.cut_at - self.delivered)
            data = bytes(self.transit[:size])
            del self.transit[:size]
            self.delivered += size
            if isinstance(self.stream.loop, SimLoop):
                self.stream.loop.note(self.number, size, data)
            self.receiver.deliver(data)
        elif self.eof and not self.eof_delivered:
            self.eof_delivered = True
            self.receiver.deliver_eof()
        self.pump()


class SimTransport(asyncio.Transport):
    """One end of a `SimStream`. It behaves as asyncio's socket transports do:

    `connection_made` comes soon; `pause_writing` from inside `write`; `close` sends what is buffered first;
    at the end of the peer's bytes `eof_received` decides whether this end closes too; `connection_lost` comes
    once and last.
    """

    def __init__(
        self, stream: SimStream, protocol: asyncio.BaseProtocol, out: _Half, into: _Half, extra: Mapping[str, Any]
    ) -> None:
        super().__init__(dict(extra))
        self._stream = stream
        self._protocol = protocol
        self._out = out
        self._into = into
        self._made = False
        self._paused = False
        self._writing_paused = False
        self._closing = False
        self._lost = False
        self._reset_timer: asyncio.TimerHandle | None = None
        self._high, self._low = 64 * 1024, 16 * 1024
        out.sender = self
        into.receiver = self

    # -- asyncio's verbs -----------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        if self._out.eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._lost or self._closing or not data:
            return
        self._out.buffer += data
        self._out.pump()
        self._check_high()

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        if not (self._closing or self._out.eof):
            self._out.eof = True
            self._out.pump()

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return len(self._out.buffer)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = 64 * 1024 if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        self._check_high()

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        if self.is_reading():
            self._paused = True
            self._into.stop()

    def resume_reading(self) -> None:
        if self._paused and not self._closing:
            self._paused = False
            self._into.pump()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._into.drop()
            self._out.eof = True
            self._out.pump()
            self._close_if_flushed()

    def abort(self) -> None:
        self._stream.end_aborted(self)

    # -- what the stream calls -----------------------------------------------------------------------

    @property
    def takes_data(self) -> bool:
        return self._made and not (self._paused or self._closing or self._lost)

    def connect(self) -> None:
        self._protocol.connection_made(self)
        self._made = True
        self._into.pump()

    def deliver(self, data: bytes) -> None:
        protocol = self._protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            while data:
                room: Any = protocol.get_buffer(len(data))
                size = min(len(room), len(data))
                room[:size] = data[:size]
                protocol.buffer_updated(size)
                data = data[size:]
        else:
            assert isinstance(protocol, asyncio.Protocol)
            protocol.data_received(data)

    def deliver_eof(self) -> None:
        protocol = self._protocol
        assert isinstance(protocol, asyncio.Protocol | asyncio.BufferedProtocol)
        if not protocol.eof_received():
            self.close()

    def buffer_shrank(self) -> None:
        if self._writing_paused and len(self._out.buffer) <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()
        self._close_if_flushed()

    def lose(self, error: Exception | None) -> None:
        """Tell the end, once."""
        if self._lost:
            return
        self._lost = self._closing = True
        self._into.drop()
        if self._reset_timer is not None:
            self._reset_timer.cancel()
            self._reset_timer = None
        self._stream.loop.call_soon(self._protocol.connection_lost, error)

    def reset_after(self, seconds: float) -> None:
        """Lose the connection by a reset, `seconds` from now."""
        if self._reset_timer is None and not self._lost:
            self._reset_timer = self._stream.loop.call_later(seconds, self._reset)

    def _reset(self) -> None:
        self.drop_written()
        self.lose(ConnectionResetError("connection reset"))

    def drop_written(self) -> None:
        self._out.drop()

    @property
    def lost(self) -> bool:
        return self._lost

    def _check_high(self) -> None:
        if len(self._out.buffer) > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def _close_if_flushed(self) -> None:
        """Closing is done when the system has all, or when the peer is gone and nothing can be."""
        if self._closing and (not self._out.buffer or self._out.receiver.lost):
            self._out.buffer.clear()
            self.lose(None)


class SimStream:
    """A connection between two protocols, `client` and `server` being their transports.

    fragment       at most so many bytes arrive at once; a quarter of all arrivals have at most 16
    latency        seconds until bytes arrive, and `jitter` the most that is added at random
    system_buffer  bytes on their way in one direction; what is beyond waits in the writer's transport
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client_protocol: asyncio.BaseProtocol,
        server_protocol: asyncio.BaseProtocol,
        *,
        seed: int | str = 0,
        fragment: int = 16 * 1024,
        latency: float = 0.001,
        jitter: float = 0.001,
        system_buffer: int = 64 * 1024,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.loop = loop
        self.system_buffer = system_buffer
        self._rng = random.Random(f"stream {seed}")
        self._fragment = fragment
        self._latency = latency
        self._jitter = jitter
        self._is_cut = False
        up, down = _Half(self, 0), _Half(self, 1)
        up.back, down.back = down, up
        self._halves: dict[StreamSide, _Half] = {"client": up, "server": down}
        names = {"sockname": ("sim-client", 1), "peername": ("sim-server", 2)}
        turned = {"sockname": names["peername"], "peername": names["sockname"]}
        self.client = SimTransport(self, client_protocol, up, down, {**names, **(extra or {})})
        self.server = SimTransport(self, server_protocol, down, up, {**turned, **(extra or {})})
        for transport in (self.client, self.server):
            loop.call_soon(transport.connect)

    def cut_after(self, side: StreamSide, offset: int) -> None:
        """Cut the connection once exactly `offset` bytes that `side` wrote have arrived (0: before the first).

        Raises ValueError when more have arrived already."""
        half = self._halves[side]
        if offset < half.delivered:
            raise ValueError(f"{half.delivered} bytes of the {side} have arrived already")
        half.cut_at = offset
        half.pump()

    def delivered(self, side: StreamSide) -> int:
        """How many bytes that `side` wrote have arrived."""
        return self._halves[side].delivered

    def cut(self, *, learn: StreamSide | None = None) -> None:
        """Reset: nothing arrives any more, and both ends learn it (or only `learn`), at random times soon."""
        self._is_cut = True
        for half in self._halves.values():
            half.stalled = True
            half.stop()
        ends: tuple[tuple[StreamSide, SimTransport], ...] = (("client", self.client), ("server", self.server))
        for side, transport in ends:
            if learn is None or learn == side:
                transport.reset_after(self._rng.random() * 0.01)

    def stall(self, side: StreamSide | None = None) -> None:
        """What `side` writes (None: both) does not arrive, without notice, until `resume`."""
        for name, half in self._halves.items():
            if side is None or side == name:
                half.stalled = True

    def resume(self) -> None:
        """End what `stall` did. A cut stays."""
        if self._is_cut:
            return
        for half in self._halves.values():
            half.stalled = False
            half.pump()

    # -- for its own parts ---------------------------------------------------------------------------

    def pause(self) -> float:
        return self._latency + self._rng.random() * self._jitter

    def fragment_size(self, available: int) -> int:
        most = 16 if self._rng.random() < 0.25 else self._fragment
        return self._rng.randint(1, min(available, most))

    def end_aborted(self, transport: SimTransport) -> None:
        """An end closes at once: what it has buffered is lost, the other end sees a reset."""
        if transport.lost:
            return
        transport.drop_written()
        transport.lose(None)
        other = self.server if transport is self.client else self.client
        if not any(half.stalled for half in self._halves.values()):
            other.reset_after(self._latency)
