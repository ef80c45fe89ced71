"""A wire around any real wire, with faults on command: what a scenario needs where no simulated network is."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from litz.errors import WireClosedError
from litz.message import Buffer
from litz.wire import (
    AcceptWire,
    Endpoint,
    LossReason,
    UrgentChannel,
    Wire,
    WireBuilder,
    WireListener,
    WireLoss,
    WireSink,
)


class FaultyUrgentChannel(UrgentChannel):
    """The urgent channel of a `FaultyWire`: it has the faults of its wire."""

    def __init__(self, wire: FaultyWire, inner: UrgentChannel) -> None:
        self._wire = wire
        self._inner = inner

    def write(self, buffers: Sequence[Buffer]) -> None:
        self._wire.pass_on(buffers, self._inner)

    @property
    def writable(self) -> bool:
        return self._inner.writable


class FaultyWire(Wire):
    """Passes everything to `inner`, and back, until told otherwise. It obeys the law of wires.

    hits  how often each fault was applied, and how many frames it swallowed
    """

    def __init__(self, inner: Wire, hits: Counter[str] | None = None) -> None:
        self.inner = inner
        self.hits: Counter[str] = Counter() if hits is None else hits
        self.kind = inner.kind
        self.ordered = inner.ordered
        self.reliable = inner.reliable
        self.max_frame = inner.max_frame
        self.secure = inner.secure
        self.path = inner.path
        self.channel_binding = inner.channel_binding
        self.peer_certificates = inner.peer_certificates
        self.urgent = FaultyUrgentChannel(self, inner.urgent) if inner.urgent is not None else None
        self._loop = asyncio.get_running_loop()
        self._sink: WireSink | None = None
        self._cause: WireLoss | None = None
        self._closed = False
        self._lose_incoming = False
        self._lose_outgoing = False
        self._stalled = False
        self._held: deque[tuple[bytes, bool] | WireLoss] = deque()
        """Frames, and whether they came on the urgent channel; at last the end."""
        self._frames_left: int | None = None

    # -- commands ------------------------------------------------------------------------------------

    def cut(self) -> None:
        """The connection breaks: this end sees a reset; the peer what an abort looks like to it."""
        if self._cause is None and not self._closed:
            self.hits["cut"] += 1
            self._cause = WireLoss(LossReason.RESET, "cut by a test")
            self.inner.abort()

    def cut_after(self, frames: int) -> None:
        """Cut once so many more frames were written. The last of them may or may not arrive."""
        if frames <= 0:
            self.cut()
        else:
            self._frames_left = frames

    def lose(self, *, incoming: bool = True, outgoing: bool = True) -> None:
        """From now on all in these directions vanishes without notice, the peer's end too: half open, or
        one-way loss."""
        self.hits["lose"] += 1
        self._lose_incoming |= incoming
        self._lose_outgoing |= outgoing

    def stall(self) -> None:
        """Incoming frames, and the end, are held back until `resume`."""
        self.hits["stall"] += 1
        self._stalled = True

    def resume(self) -> None:
        self._stalled = False
        if self._held:
            self._loop.call_soon(self._release)

    # -- the contract --------------------------------------------------------------------------------

    def start(self, sink: WireSink) -> None:
        self._sink = sink
        self.inner.start(self)

    def write(self, buffers: Sequence[Buffer]) -> None:
        self.pass_on(buffers, self.inner)

    def pass_on(self, buffers: Sequence[Buffer], inner: Wire | UrgentChannel) -> None:
        """Write a frame to `inner`, unless it is to be lost."""
        if self._lose_outgoing:
            if sum(memoryview(buffer).nbytes for buffer in buffers) > self.max_frame:
                raise ValueError(f"a frame on this wire has at most {self.max_frame} bytes")
            self.hits["frame lost"] += 1
            return
        inner.write(buffers)
        if self._frames_left is not None:
            self._frames_left -= 1
            if not self._frames_left:
                self._frames_left = None
                self.cut()

    @property
    def buffered_bytes(self) -> int:
        return self.inner.buffered_bytes

    @property
    def writable(self) -> bool:
        return self.inner.writable

    def close(self) -> None:
        self.inner.close()
        if self._closed:
            self._end_here(WireLoss(LossReason.LOCAL))

    def abort(self) -> None:
        self._lose_incoming = True
        if self._cause is None:
            self._cause = WireLoss(LossReason.LOCAL, "aborted")
        self.inner.abort()
        if self._closed:
            self._end_here(self._cause)

    # -- what the inner wire calls -------------------------------------------------------------------

    def frame_received(self, frame: bytes) -> None:
        self._came(frame, urgent=False)

    def urgent_received(self, frame: bytes) -> None:
        self._came(frame, urgent=True)

    def _came(self, frame: bytes, *, urgent: bool) -> None:
        if self._lose_incoming:
            self.hits["frame lost"] += 1
        elif self._stalled or self._held:
            self._held.append((frame, urgent))
        else:
            self._deliver(frame, urgent=urgent)

    def _deliver(self, frame: bytes, *, urgent: bool) -> None:
        if self._sink is not None:
            (self._sink.urgent_received if urgent else self._sink.frame_received)(frame)

    def wire_writable(self) -> None:
        if self._sink is not None:
            self._sink.wire_writable()

    def wire_closed(self, loss: WireLoss) -> None:
        self._closed = True
        if self._cause is not None or loss.reason is LossReason.LOCAL:
            self._held.clear()
            self._tell_end(self._cause or loss)
        elif self._lose_incoming:
            self.hits["end lost"] += 1
        elif self._stalled or self._held:
            self._held.append(loss)
        else:
            self._tell_end(loss)

    def _end_here(self, loss: WireLoss) -> None:
        """The inner wire is dead already, and its end was held back or lost: this end is over now."""
        self._held.clear()
        self._loop.call_soon(self._tell_end, loss)

    def _release(self) -> None:
        while self._held and not self._stalled and self._sink is not None:
            item = self._held.popleft()
            if isinstance(item, WireLoss):
                self._tell_end(self._cause or item)
            else:
                self._deliver(item[0], urgent=item[1])

    def _tell_end(self, loss: WireLoss) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.wire_closed(loss)


class FaultyWireBuilder(WireBuilder):
    """Wraps the wires of another builder, dialled and accepted ones.

    wires      all wires made so far, dialled and accepted, oldest first
    dials      how often each address was dialled
    refuse     so many of the next dials fail at once
    hang       so many of the next dials never return until cancelled
    """

    def __init__(self, inner: WireBuilder) -> None:
        self.inner = inner
        self.kind = inner.kind
        self.schemes = inner.schemes
        self.hits: Counter[str] = Counter()
        self.wires: list[FaultyWire] = []
        self.dials: Counter[str] = Counter()
        self.refuse = 0
        self.hang = 0

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        self.dials[endpoint.address] += 1
        if self.hang > 0:
            self.hang -= 1
            self.hits["dial hung"] += 1
            await asyncio.get_running_loop().create_future()
        if self.refuse > 0:
            self.refuse -= 1
            self.hits["dial refused"] += 1
            raise WireClosedError(f"a test refuses to dial {endpoint}")
        return self._wrap(await self.inner.build(dest, endpoint))

    async def endpoints(self, dest: str) -> Sequence[Endpoint]:
        return await self.inner.endpoints(dest)

    async def listen(self, endpoint: Endpoint, accept: AcceptWire, **options: Any) -> WireListener:
        return await self.inner.listen(endpoint, lambda wire: accept(self._wrap(wire)), **options)

    def is_local(self, endpoint: Endpoint) -> bool:
        return self.inner.is_local(endpoint)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def _wrap(self, wire: Wire) -> FaultyWire:
        faulty = FaultyWire(wire, self.hits)
        self.wires.append(faulty)
        return faulty
