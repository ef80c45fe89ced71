"""One proxied TCP connection, and what can be done to it: the mechanism of `tests/prove/fault_proxy.py`."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import cast

_RST_ON_CLOSE = struct.pack("ii", 1, 0)
_QUEUE_LIMIT = 1 << 20


class Way(Enum):
    """A direction: from the client that connected to the proxy, or towards it."""

    UP = "up"
    DOWN = "down"


class Flow:
    """One direction of a link. Order is kept whatever the delay; what is held is not lost, as in TCP."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes | None]] = deque()  # None: end of the stream
        self._queued = 0
        self._timer: asyncio.TimerHandle | None = None
        self._sink_full = False
        self._reset_pending = False
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.held = False
        self.delay: Callable[[], float] = lambda: 0.0
        self.cut_after: int | None = None
        self.passed = 0
        self.ended = False

    def feed(self, data: bytes | None) -> None:
        self._queue.append((self._loop.time() + self.delay(), data))  # passed on in this order, whatever is due
        self._queued += len(data) if data is not None else 0
        self.pump()

    def lost(self) -> None:
        """The source is gone without an end: so is the sink, once everything before has passed."""
        self._reset_pending = True
        self.pump()

    def hold(self, held: bool) -> None:
        self.held = held
        self.pump()

    def sink_full(self, full: bool) -> None:
        self._sink_full = full
        self.pump()

    def pump(self) -> None:
        """Pass on what is due. Safe to call at any time; everything that could unblock calls it."""
        if self._link.closed:
            return
        now = self._loop.time()
        while self._queue and not self.held and not self._sink_full and self._queue[0][0] <= now:
            if self.sink is None:
                break
            if not self._pass_on(self._queue.popleft()[1]):
                return
        if self._reset_pending and not self._queue and not self.held:
            self._link.reset()
            return
        self._set_timer()
        self._throttle()

    def _pass_on(self, data: bytes | None) -> bool:
        """Write one chunk; False when that was the end of the link."""
        assert self.sink is not None
        if self.ended or self.sink.is_closing():
            return True  # nowhere to go: after a half-close, or the sink died while its news was held
        if data is None:
            self.ended = True
            self.sink.write_eof()
            return self._link.flow_ended()
        self._queued -= len(data)
        if self.cut_after is not None and len(data) >= self.cut_after:
            self.sink.write(data[: self.cut_after])
            self.passed += self.cut_after
            self._link.cut_done()
            return False
        if self.cut_after is not None:
            self.cut_after -= len(data)
        self.passed += len(data)
        self.sink.write(data)
        return True

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue and not self.held and not self._sink_full and self.sink is not None:
            self._timer = self._loop.call_at(self._queue[0][0], self.pump)

    def _throttle(self) -> None:
        if self.source is None or self.source.is_closing():
            return
        if self.held or self._sink_full or self.sink is None or self._queued > _QUEUE_LIMIT:
            self.source.pause_reading()
        else:
            self.source.resume_reading()

    def stop(self) -> None:
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Link:
    """A client's connection and the one made for it to the target. `closed` when both are gone."""

    def __init__(self, number: int, on_closed: Callable[[Link], None], on_cut: Callable[[], None]) -> None:
        self.number = number
        self.closed = False
        self.flows = {way: Flow(self) for way in Way}
        self._on_closed = on_closed
        self._on_cut = on_cut

    def ends(self) -> tuple[asyncio.Transport | None, asyncio.Transport | None]:
        return self.flows[Way.UP].source, self.flows[Way.DOWN].source

    def attach(self, way: Way, transport: asyncio.Transport) -> None:
        """`transport` is where data of this way comes from, and where the other way's goes."""
        other = Way.DOWN if way is Way.UP else Way.UP
        self.flows[way].source = transport
        self.flows[other].sink = transport
        for flow in self.flows.values():
            flow.pump()

    def reset(self) -> None:
        """RST to both ends, now; what is queued is dropped."""
        if self.closed:
            return
        self._finish()
        for transport in self.ends():
            if transport is not None:
                _send_rst(transport)

    def half_close(self, way: Way) -> None:
        """End one direction, after what is queued in it; the other goes on."""
        self.flows[way].feed(None)

    def cut_done(self) -> None:
        """The allowed bytes have been written. They leave before the RST only if the kernel took them, which
        on a local socket it has, unless the reader is slow: then the cut comes a little earlier."""
        self._on_cut()
        self.reset()

    def flow_ended(self) -> bool:
        """Close when both directions have ended; whether the link is still open."""
        if not all(flow.ended for flow in self.flows.values()):
            return True
        self._finish()
        for transport in self.ends():
            if transport is not None:
                transport.close()
        return False

    def _finish(self) -> None:
        self.closed = True
        for flow in self.flows.values():
            flow.stop()
        self._on_closed(self)


def _send_rst(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        peer = cast(socket.socket, transport.get_extra_info("socket"))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
    transport.abort()


class End(asyncio.Protocol):
    """One of the two sockets of a link; what it receives travels `way`."""

    def __init__(self, link: Link, way: Way) -> None:
        self._link = link
        self._way = way
        self._transport: asyncio.Transport | None = None
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._link.closed:
            _send_rst(self._transport)
        else:
            self._link.attach(self._way, self._transport)

    async def aclose(self) -> None:
        """Close without waiting for a peer that does not read. An end that never connected has nothing to close."""
        if self._transport is not None:
            self._transport.abort()
            await self.gone.wait()

    def data_received(self, data: bytes) -> None:
        if not self._link.closed:
            self._link.flows[self._way].feed(data)

    def eof_received(self) -> bool:
        if not self._link.closed:
            self._link.flows[self._way].feed(None)
        return True  # the other direction stays open

    def connection_lost(self, _error: Exception | None) -> None:
        self.gone.set()
        if not self._link.closed:
            self._link.flows[self._way].lost()

    def pause_writing(self) -> None:
        self._other().sink_full(True)

    def resume_writing(self) -> None:
        self._other().sink_full(False)

    def _other(self) -> Flow:
        return self._link.flows[Way.DOWN if self._way is Way.UP else Way.UP]
