"""The WebRTC wire: litz frames on two data channels of one peer connection.

What a library says of open and closed is not believed: the wire is open when an own first message came on both
channels, and dead when nothing came for too long although it was asked. A data channel takes what it is given without
end, so frames wait here and only a little is given to the library.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal

from litz.errors import WireClosedError
from litz.message import Buffer
from litz.wire import HIGH_WATER, LossReason, UrgentChannel, Wire, WireLoss, WireSink
from outproc.wires.webrtc.channel_messages import (
    CLOSE,
    CLOSE_MESSAGE,
    FRAME,
    FRAME_BYTE,
    HELLO,
    HELLO_MESSAGE,
    PING,
    PONG,
    READING,
    READING_MESSAGE,
    TOKEN_SIZE,
    problem_of,
)
from outproc.wires.webrtc.engine import BULK, DRAIN_AT, LABELS, LOCAL_MAX_MESSAGE, URGENT, PeerConnection
from outproc.wires.webrtc.pace import Pace

MAX_FRAME: Final = LOCAL_MAX_MESSAGE - 1
"""Largest frame in bytes; with its first byte it is the largest message that is taken here. What the peer takes bounds
it too: 64 KiB, where it does not say (RFC 8841)."""

SMALL_FRAME: Final = 65 * 1024
"""Bytes of a frame of much data, however slow the path is. The largest latency-first message fits."""

FRAME_FOR: Final = 0.0025
"""Seconds that a larger one takes to send, at the rate of now: what is urgent waits for the one that was begun. Each
frame costs both ends the same, whatever its size."""

GIVEN_AHEAD: Final = 2 * DRAIN_AT
"""Bytes given to the library and not sent, at which frames begin to wait here."""

URGENT_WAITING: Final = 64 * 1024
"""Bytes waiting on the urgent channel from which on it is not writable. What is beyond it waits in the session, where
signals come first and what is latency first is dropped once it is stale."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds in which what was written before `close` must have gone."""

KIND: Final = "webrtc"


class _Urgent(UrgentChannel):
    """The second channel of a wire."""

    def __init__(self, wire: WebRtcWire) -> None:
        self._wire = wire

    def write(self, buffers: Sequence[Buffer]) -> None:
        self._wire.write_on(URGENT, buffers)

    @property
    def writable(self) -> bool:
        return self._wire.takes_more(URGENT, URGENT_WAITING)


class WebRtcWire(Wire):
    """One peer connection as a wire. It is the `Events` of its connection. Made by the builder, which awaits `opened`
    before anybody else sees it, and `over` before it forgets it.

    heartbeat   seconds of silence after which it asks for a sign of life
    dead_after  seconds of silence after which it is dead
    """

    kind = KIND
    bound = True
    secure = True
    frame_size = SMALL_FRAME

    def __init__(
        self,
        connect: Callable[[WebRtcWire], PeerConnection],
        *,
        heartbeat: float,
        dead_after: float,
        servers_failed: Callable[[tuple[str, ...]], None] = lambda urls: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.connection = connect(self)
        self._heartbeat = heartbeat
        self._dead_after = dead_after
        self._servers_failed = servers_failed
        self._sink: WireSink | None = None
        self._started = False
        self._queues: tuple[deque[bytes], ...] = tuple(deque() for _ in LABELS)
        self._queued = [0 for _ in LABELS]
        self._full = [False for _ in LABELS]
        self._empty = [False for _ in LABELS]
        """Known to have nothing to send, the few bytes of the wire itself apart: whoever asks at every flush need not
        ask the library each time."""
        self._pace = Pace(self._loop.time())
        self.urgent = _Urgent(self)
        self._greeted = [False for _ in LABELS]
        self._taking_leave = [False for _ in LABELS]
        self._peer_reads = False
        self._closing = False
        self._loss: WireLoss | None = None
        self.opened: asyncio.Future[None] = self._loop.create_future()
        """Set when both channels are open; has an exception when that cannot be any more."""
        self.over: asyncio.Future[None] = self._loop.create_future()
        """Set when the wire is dead; its connection must then still be closed."""
        self._timer: asyncio.TimerHandle | None = None
        self._heard_bytes = 0
        self._heard_at = 0.0

    # -- the wire's verbs -----------------------------------------------------------------------------

    def start(self, sink: WireSink) -> None:
        if self._started:
            raise RuntimeError(f"{self!r} was started before")
        self._started = True
        self._sink = sink
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        if self._loss is not None:
            self._tell_closed()
        else:
            self.connection.send(BULK, READING_MESSAGE)

    def write(self, buffers: Sequence[Buffer]) -> None:
        self.write_on(BULK, buffers)

    def write_on(self, channel: int, buffers: Sequence[Buffer]) -> None:
        """Write one frame on one of the channels."""
        message = b"".join((FRAME_BYTE, *buffers))
        if len(message) > self.max_frame + 1:
            raise ValueError(f"a frame of {len(message) - 1} bytes is over max_frame, {self.max_frame} bytes")
        if self._loss is None and not self._closing:
            self._give(channel, message)

    @property
    def buffered_bytes(self) -> int:
        if self._loss is not None:
            return 0
        return sum(self._queued) + self.connection.buffered(BULK) + self.connection.buffered(URGENT)

    @property
    def writable(self) -> bool:
        return self.takes_more(BULK, HIGH_WATER)

    def takes_more(self, channel: int, limit: int) -> bool:
        """Whether less than `limit` bytes wait on a channel; after a no, whether little does."""
        if not (self._full[channel] or self._empty[channel]) and self._loss is None:
            waits = self._queued[channel] + self.connection.buffered(channel)
            self._full[channel] = waits >= limit
            self._empty[channel] = not waits
        return not self._full[channel]

    def close(self) -> None:
        if self._closing or self._loss is not None:
            return
        self._closing = True
        for channel in LABELS:
            self._give(channel, CLOSE_MESSAGE)
        self._set_timer(CLOSE_TIMEOUT, self._close_timed_out)

    def abort(self) -> None:
        self._end(WireLoss(LossReason.LOCAL, "aborted"))

    def __repr__(self) -> str:
        return f"<webrtc wire {self.path.local or '?'} - {self.path.remote or '?'}, {self.path.route}>"

    # -- sending --------------------------------------------------------------------------------------

    def _give(self, channel: int, message: bytes) -> None:
        self._queues[channel].append(message)
        self._empty[channel] = False
        self._queued[channel] += len(message)
        self._pump(channel)

    def _pump(self, channel: int) -> None:
        """Give the library what it may have now. Frames, and what closes after them, wait until the peer reads."""
        queue, connection = self._queues[channel], self.connection
        while queue and connection.buffered(channel) < GIVEN_AHEAD:
            if queue[0][0] == FRAME and not self._peer_reads:
                return
            message = queue.popleft()
            self._queued[channel] -= len(message)
            if channel == BULK:
                self._pace.gave(len(message))
            connection.send(channel, message)

    def _room(self) -> None:
        """Tell the sink, if it waits, once little is buffered on a channel that was full."""
        if self._loss is not None:
            return
        for channel, full in enumerate(self._full):
            if full and not self._queued[channel] and self.connection.buffered(channel) <= DRAIN_AT:
                self._full[channel] = False
                if self._sink is not None and not self._closing:
                    self._loop.call_soon(self._tell_writable)

    def _tell_writable(self) -> None:
        if self._sink is not None and self._loss is None:
            self._sink.wire_writable()

    # -- what the connection tells --------------------------------------------------------------------

    def channel_open(self, channel: int) -> None:
        """See `Events`."""
        if self._loss is None:
            self.connection.send(channel, HELLO_MESSAGE)

    def drained(self, channel: int) -> None:
        """See `Events`."""
        if self._loss is not None:
            return
        if channel == BULK:
            self._pace.drained(self._loop.time())
            self.frame_size = self._pace.bytes_in(FRAME_FOR, SMALL_FRAME, MAX_FRAME)
        self._pump(channel)
        self._room()

    def servers_failed(self, urls: tuple[str, ...]) -> None:
        """See `Events`."""
        self._servers_failed(urls)

    def closed(self, reason: Literal["remote", "lost", "protocol"], detail: str) -> None:
        """See `Events`."""
        reasons = {"remote": LossReason.RESET, "lost": LossReason.RESET, "protocol": LossReason.PROTOCOL}
        self._end(WireLoss(LossReason.LOCAL) if self._closing else WireLoss(reasons[reason], detail))

    def message(self, channel: int, data: bytes | str) -> None:
        """See `Events`."""
        if self._loss is not None:
            return
        if isinstance(data, str):
            self._violated("a text message")
        elif data and data[0] == FRAME and len(data) > 1:
            sink = self._sink
            if sink is None or not self._greeted[channel] or self._taking_leave[channel]:
                self._violated("a frame before this side reads, or after the last one")
            else:
                (sink.urgent_received if channel == URGENT else sink.frame_received)(data[1:])
        else:
            self._control(channel, data)

    def _control(self, channel: int, data: bytes) -> None:
        problem = problem_of(data)
        kind = HELLO if problem else data[0]
        if not problem and kind != HELLO and not self._greeted[channel]:
            problem = "a message before HELLO"
        if problem:
            self._violated(problem)
        elif kind == HELLO:
            self._greet(channel)
        elif kind == READING:
            self._peer_reads = True
            self._pump(BULK)
            self._pump(URGENT)
            self._room()
        elif kind == PING:
            if self.connection.buffered(channel) < DRAIN_AT:  # a peer that floods gets the answers to some
                self.connection.send(channel, bytes([PONG]) + data[1:])
        elif kind == CLOSE:
            self._taking_leave[channel] = True
            if all(self._taking_leave):
                reason = LossReason.LOCAL if self._closing else LossReason.REMOTE
                self._end(WireLoss(reason))

    def _greet(self, channel: int) -> None:
        if self._greeted[channel]:
            return
        self._greeted[channel] = True
        # The peer's message shows that the channel works, whatever the library says.
        self.connection.send(channel, HELLO_MESSAGE)
        if all(self._greeted) and not self.opened.done():
            self.path = self.connection.path
            self.max_frame = min(MAX_FRAME, self.connection.max_message - 1)
            self.opened.set_result(None)
            self._heard_at = self._loop.time()
            self._set_timer(self._heartbeat, self._beat)

    def _violated(self, detail: str) -> None:
        self._end(WireLoss(LossReason.PROTOCOL, detail))

    # -- life -----------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Ask a silent peer for a sign of life, and give it up when none comes."""
        now, came = self._loop.time(), self.connection.received_bytes
        self.path = self.connection.path  # libraries may know it late, and ICE may choose another pair
        late = now - self._due > self._heartbeat
        if came != self._heard_bytes or late:  # while this loop was late, what came was not read
            self._heard_bytes = self.received_bytes = came
            self._heard_at = now
        silent = now - self._heard_at
        if silent >= self._dead_after:
            self._end(WireLoss(LossReason.TIMEOUT, f"silent for {silent:.1f} s"))
            return
        if silent > 0 or late:
            self.connection.send(URGENT, bytes([PING]) + os.urandom(TOKEN_SIZE))
        self._set_timer(self._heartbeat, self._beat)

    def _set_timer(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._due, then)

    def _close_timed_out(self) -> None:
        self._end(WireLoss(LossReason.LOCAL, f"not flushed in {CLOSE_TIMEOUT:g} s"))

    def _end(self, loss: WireLoss) -> None:
        if self._loss is not None:
            return
        self._loss = loss
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for queue in self._queues:
            queue.clear()
        self._queued = [0 for _ in LABELS]
        self.connection.abort()
        if not self.opened.done():
            self.opened.set_exception(WireClosedError(f"the WebRTC connection was not made: {loss}"))
            self.opened.exception()  # whoever waited knows; nobody needs to
        if not self.over.done():
            self.over.set_result(None)
        if self._started:
            self._loop.call_soon(self._tell_closed)

    def _tell_closed(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None and self._loss is not None:
            sink.wire_closed(self._loss)
