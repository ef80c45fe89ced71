"""Wires within one process, for tests and for nodes that share an event loop.

    network = MemoryNetwork()
    a, b = MemoryWireBuilder(network), MemoryWireBuilder(network)
    await b.listen(Endpoint("memory", "memory:bob"), accept)
    wire = await a.build("bob", Endpoint("memory", "memory:bob"))

Who shares the `MemoryNetwork` object can reach each other; there is no global one.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Sequence
from typing import Any

from litz.errors import InvalidEndpointError
from litz.message import Buffer
from litz.wire import (
    LOW_WATER,
    AcceptWire,
    Endpoint,
    LossReason,
    Wire,
    WireBuilder,
    WireListener,
    WireLoss,
    WirePath,
    WireSink,
)

KIND = "memory"
MAX_FRAME = 1 << 20
READ_AHEAD = 64 * 1024
"""Bytes that a wire takes over before `start`; the rest waits, and counts, at its peer."""
CLOSE_TIMEOUT = 1.0
"""Seconds that `close` waits for a peer that was never started."""
TURN_BYTES = 256 * 1024
"""Bytes delivered in one turn of the loop, so that a burst does not hold it up."""


class MemoryWire(Wire):
    """One end of a pair made by `memory_pair`. Frames are delivered in later turns of the loop, in order.

    A frame given as one `bytes` object is handed over as it is; others are joined once.
    """

    kind = KIND
    max_frame = MAX_FRAME
    secure = True

    def __init__(self, loop: asyncio.AbstractEventLoop, local: str, remote: str) -> None:
        self.path = WirePath("direct", local, remote)
        self._loop = loop
        self._peer: MemoryWire = self
        self._sink: WireSink | None = None
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._taken_over: deque[bytes] = deque()
        self._taken_over_bytes = 0
        self._full = False
        self._closing = False
        self._loss: WireLoss | None = None
        self._told = False
        self._pull_due = False
        self._close_timer: asyncio.TimerHandle | None = None

    def join(self, peer: MemoryWire) -> None:
        """Make `peer` the other end. Both ends must be told once, before anything else."""
        self._peer = peer

    # -- the contract --------------------------------------------------------------------------------

    def start(self, sink: WireSink) -> None:
        if self._sink is not None:
            raise RuntimeError("a wire is started exactly once")
        self._sink = sink
        self._pull_soon()

    def write(self, buffers: Sequence[Buffer]) -> None:
        frame = buffers[0] if len(buffers) == 1 else b"".join(buffers)
        if not isinstance(frame, bytes):
            frame = bytes(frame)
        size = len(frame)
        if size > self.max_frame:
            raise ValueError(f"a frame on this wire has at most {self.max_frame} bytes; this one has {size}")
        if self._closing or self._loss is not None:
            return
        self._outgoing.append(frame)
        self._outgoing_bytes += size
        if not self.writable:
            self._full = True
        self._peer._pull_soon()

    @property
    def buffered_bytes(self) -> int:
        return self._outgoing_bytes

    def close(self) -> None:
        if self._closing or self._loss is not None:
            return
        self._closing = True
        if self._outgoing:
            self._close_timer = self._loop.call_later(CLOSE_TIMEOUT, self._close_timed_out)
            self._peer._pull_soon()
        else:
            self._flushed()

    def abort(self) -> None:
        if self._loss is None:
            self._taken_over.clear()
            self._end(WireLoss(LossReason.LOCAL, "aborted"))
            self._peer._end(WireLoss(LossReason.RESET, "aborted by the peer"))

    # -- delivery ------------------------------------------------------------------------------------

    def _pull_soon(self) -> None:
        if not self._pull_due:
            self._pull_due = True
            self._loop.call_soon(self._pull)

    def _pull(self) -> None:
        """Take over what the peer has written, deliver it, and tell the end once all is delivered."""
        self._pull_due = False
        budget = TURN_BYTES if self._sink is not None else READ_AHEAD - self._taken_over_bytes
        while self._peer._outgoing and budget > 0 and self._loss is None:
            frame = self._peer._give()
            self._taken_over.append(frame)
            self._taken_over_bytes += len(frame)
            budget -= len(frame)
        self._peer._given()
        sink = self._sink
        if sink is None:
            return
        while self._taken_over:
            frame = self._taken_over.popleft()
            self._taken_over_bytes -= len(frame)
            self.received_bytes += len(frame)
            sink.frame_received(frame)
        if self._loss is None:
            if self._peer._outgoing:
                self._pull_soon()
        elif not self._told:
            self._told = True
            sink.wire_closed(self._loss)

    def _give(self) -> bytes:
        frame = self._outgoing.popleft()
        self._outgoing_bytes -= len(frame)
        return frame

    def _given(self) -> None:
        """The peer has taken what it wanted for now."""
        if self._loss is not None:
            return
        if self._closing:
            if not self._outgoing:
                self._flushed()
        elif self._full and self._outgoing_bytes <= LOW_WATER:
            self._full = False
            if self._sink is not None:
                # The peer's callback is running, and this is another wire: soon, not now.
                self._loop.call_soon(self._tell_writable)

    def _tell_writable(self) -> None:
        if self._sink is not None and self._loss is None and not self._closing:
            self._sink.wire_writable()

    # -- the end -------------------------------------------------------------------------------------

    def _flushed(self) -> None:
        self._end(WireLoss(LossReason.LOCAL))
        self._peer._end(WireLoss(LossReason.REMOTE))

    def _close_timed_out(self) -> None:
        self._end(WireLoss(LossReason.LOCAL, f"not flushed in {CLOSE_TIMEOUT:g} s"))
        self._peer._end(WireLoss(LossReason.RESET, "the peer gave up flushing"))

    def _end(self, loss: WireLoss) -> None:
        if self._loss is not None:
            return
        self._loss = loss
        self._outgoing.clear()
        self._outgoing_bytes = 0
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        self._pull_soon()


def memory_pair(dialler: str = "dialler", acceptor: str = "acceptor") -> tuple[MemoryWire, MemoryWire]:
    """Two connected wires on the running loop, not started."""
    loop = asyncio.get_running_loop()
    one, other = MemoryWire(loop, dialler, acceptor), MemoryWire(loop, acceptor, dialler)
    one.join(other)
    other.join(one)
    return one, other


class MemoryNetwork:
    """Who listens where. Used from one event loop."""

    def __init__(self) -> None:
        self.listeners: dict[str, MemoryListener] = {}
        self.names = 0

    def __repr__(self) -> str:
        return f"<memory network, listening at {list(self.listeners)}>"


class MemoryListener(WireListener):
    """Listens at one name of a `MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, endpoint: Endpoint, accept: AcceptWire) -> None:
        self._network = network
        self._endpoint = endpoint
        self._accept = accept
        self._context = contextvars.copy_context()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (self._endpoint,)

    def deliver(self, wire: MemoryWire) -> None:
        """Hand over an incoming wire soon, in the context of who listens."""
        asyncio.get_running_loop().call_soon(self._deliver, wire, context=self._context)

    def _deliver(self, wire: MemoryWire) -> None:
        if self._network.listeners.get(self._endpoint.address) is self:
            self._accept(wire)
        else:
            wire.abort()

    async def aclose(self) -> None:
        if self._network.listeners.get(self._endpoint.address) is self:
            del self._network.listeners[self._endpoint.address]


class MemoryWireBuilder(WireBuilder):
    """Dials and listens on one `MemoryNetwork`. Addresses: `memory:<name>`; for `memory:*` the
    network chooses a name."""

    kind = KIND
    schemes = (KIND,)

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network

    def is_local(self, endpoint: Endpoint) -> bool:
        return True

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        """Raises `ConnectionRefusedError` when nobody listens there."""
        listener = self._network.listeners.get(endpoint.address)
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens at {endpoint}")
        dialled, accepted = memory_pair(f"{endpoint} (dialled)", str(endpoint))
        listener.deliver(accepted)
        return dialled

    async def listen(self, endpoint: Endpoint, accept: AcceptWire, **options: Any) -> MemoryListener:
        """Raises `OSError` when the name is taken."""
        if options:
            raise TypeError(f"memory listeners take no options: {sorted(options)}")
        if endpoint.scheme != KIND:
            raise InvalidEndpointError(f"{endpoint} is no memory endpoint; write memory:name")
        if endpoint.address == f"{KIND}:*":
            self._network.names += 1
            endpoint = Endpoint(KIND, f"{KIND}:{self._network.names}")
        if endpoint.address in self._network.listeners:
            raise OSError(f"somebody else listens at {endpoint}")
        listener = self._network.listeners[endpoint.address] = MemoryListener(self._network, endpoint, accept)
        return listener
