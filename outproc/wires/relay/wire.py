"""The relay wire: one end of a circuit through a hub, as the session sees it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from litz.message import Buffer
from litz.wire import LOW_WATER, LossReason, Wire, WireLoss, WirePath, WireSink
from outproc.wires.relay.circuit import Circuit
from outproc.wires.relay.messages import MAX_FRAME

KIND: Final = "relay"

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that `close` waits for what was written to leave this node."""


class WireOwner(Protocol):
    """Whoever posts for the wires of one hub."""

    def ready(self, wire: RelayWire) -> None:
        """The wire has something to send."""

    def window(self, wire: RelayWire) -> None:
        """The wire has room to announce."""

    def ended(self, wire: RelayWire) -> None:
        """The wire is dead: forget it, once what it still has to say is posted."""


class RelayWire(Wire):
    """Never `secure`: the hub reads what is not sealed. The session of the two nodes seals it (docs/relay.md).

    `serial` tells it from others of the same node and hub, for people: the numbers of circuits begin anew with each
    session with the hub.
    """

    kind = KIND
    max_frame = MAX_FRAME
    secure = False

    def __init__(
        self, loop: asyncio.AbstractEventLoop, owner: WireOwner, local: str, hub: str, number: int, *, serial: int
    ) -> None:
        self.path = WirePath("relay", local, f"via {hub}")
        self.hub = hub
        self._serial = serial
        self.circuit = Circuit(number)
        self._loop = loop
        self._owner = owner
        self._sink: WireSink | None = None
        self._held: deque[bytes] = deque()
        self._full = False
        self._closing = False
        self._loss: WireLoss | None = None
        self._told = False
        self._timer: asyncio.TimerHandle | None = None

    # -- the contract ---------------------------------------------------------------------------------

    def start(self, sink: WireSink) -> None:
        if self._sink is not None:
            raise RuntimeError("a wire is started exactly once")
        self._sink = sink
        self._loop.call_soon(self._deliver_held)

    def write(self, buffers: Sequence[Buffer]) -> None:
        size = sum(map(len, buffers))
        if size > self.max_frame:
            raise ValueError(f"a frame on this wire has at most {self.max_frame} bytes; this one has {size}")
        if self._closing or self._loss is not None or not size:
            return
        self.circuit.write(buffers, size)
        self._owner.ready(self)
        if not self.writable:
            self._full = True

    @property
    def buffered_bytes(self) -> int:
        return self.circuit.queued

    def close(self) -> None:
        if self._closing or self._loss is not None:
            return
        self._closing = True
        self.circuit.finish()
        self._timer = self._loop.call_later(CLOSE_TIMEOUT, self._close_timed_out)
        self._owner.ready(self)

    def abort(self) -> None:
        if self._loss is None:
            self._say_abort()
            self.end(WireLoss(LossReason.LOCAL, "aborted"))

    def _say_abort(self) -> None:
        self._held.clear()
        self.circuit.abort()
        self._owner.ready(self)

    def _close_timed_out(self) -> None:
        if self._loss is None:
            self._say_abort()
            self.end(WireLoss(LossReason.LOCAL, f"not flushed in {CLOSE_TIMEOUT:g} s"))

    # -- for the owner --------------------------------------------------------------------------------

    def sent(self) -> None:
        """Something of it was posted."""
        if self.circuit.over:
            self.end(WireLoss(LossReason.LOCAL))
        elif self._full and self.circuit.queued <= LOW_WATER:
            self._full = False
            self._loop.call_soon(self._tell_writable)

    def take(self, frame: memoryview) -> None:
        """A frame came. Raises `ProtocolError` if it may not."""
        if self._loss is not None:
            return
        size = len(frame)
        self.circuit.take(size)
        self.received_bytes += size
        if self._sink is None or self._held:
            self._held.append(bytes(frame))
        else:
            self._hand_over(self._sink, bytes(frame))

    def _hand_over(self, sink: WireSink, frame: bytes) -> None:
        if self.circuit.consume(len(frame)) and self._loss is None:
            self._owner.window(self)
        sink.frame_received(frame)

    def _deliver_held(self) -> None:
        sink = self._sink
        assert sink is not None
        while self._held:
            self._hand_over(sink, self._held.popleft())
        if self._loss is not None:
            self._tell_closed()

    def _tell_writable(self) -> None:
        if self._sink is not None and self._loss is None and not self._closing:
            self._sink.wire_writable()

    def end(self, loss: WireLoss) -> None:
        """The circuit is over. Idempotent."""
        if self._loss is not None:
            return
        self._loss = loss
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._owner.ended(self)
        if self._sink is not None:
            self._loop.call_soon(self._tell_closed)

    def _tell_closed(self) -> None:
        if self._told or self._held or self._sink is None or self._loss is None:
            return
        self._told = True
        self._sink.wire_closed(self._loss)

    def __repr__(self) -> str:
        return f"<{self.kind} wire {self.path.local}#{self._serial} - {self.path.remote}>"
