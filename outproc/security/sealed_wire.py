"""A wire around a wire, which seals what is written and opens what arrives once it has keys."""

from __future__ import annotations

from collections.abc import Sequence

from litz.errors import ProtocolError
from litz.message import Buffer
from litz.wire import LossReason, Wire, WireLoss, WireSink
from outproc.security.sealing import OVERHEAD, Opener, Sealer, SealKeys


class SealedWire(Wire):
    """`inner`, whose frames travel sealed from the call of `seal` on, and as they are before.

    Wrap the wire before anything starts it. `max_frame` is that of `inner` less the overhead, before and after
    `seal`. A frame that does not open costs the wire: `inner` is aborted and `wire_closed` says why.
    """

    def __init__(self, inner: Wire) -> None:
        self.kind = inner.kind
        self.ordered = inner.ordered
        self.reliable = inner.reliable
        self.secure = inner.secure
        self.path = inner.path
        self.channel_binding = inner.channel_binding
        self.max_frame = inner.max_frame - OVERHEAD
        self._inner = inner
        self._sink: WireSink | None = None
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._loss: WireLoss | None = None

    @property
    def sealed(self) -> bool:
        return self._sealer is not None

    def seal(self, keys: SealKeys) -> None:
        """Seal every further frame and open every further one. Call it between two frames of each direction, at the
        points the handshake names. Raises RuntimeError the second time, and for a wire that may lose or reorder
        frames, which the counters cannot follow."""
        if self._sealer is not None:
            raise RuntimeError(f"{self!r} is sealed already")
        if not (self.ordered and self.reliable):
            raise RuntimeError(f"{self!r} may lose or reorder frames and cannot be sealed")
        self._sealer = Sealer(keys.send)
        self._opener = Opener(keys.receive)
        self.secure = True

    # -- the wire -----------------------------------------------------------------------------------

    def start(self, sink: WireSink) -> None:
        if self._sink is not None:
            raise RuntimeError("a wire is started exactly once")
        self._sink = sink
        self._inner.start(self)

    def write(self, buffers: Sequence[Buffer]) -> None:
        size = sum(b.nbytes if isinstance(b, memoryview) else len(b) for b in buffers)
        if size > self.max_frame:
            raise ValueError(f"frame of {size} bytes; this wire takes {self.max_frame}")
        if self._sealer is not None:
            buffers = (self._sealer.seal(buffers),)
        self._inner.write(buffers)

    @property
    def buffered_bytes(self) -> int:
        return self._inner.buffered_bytes

    @property
    def writable(self) -> bool:
        return self._inner.writable

    def close(self) -> None:
        self._inner.close()

    def abort(self) -> None:
        self._inner.abort()

    def __repr__(self) -> str:
        return f"<{'sealed ' if self.sealed else ''}{repr(self._inner)[1:]}"

    # -- the sink of the inner wire -----------------------------------------------------------------

    def frame_received(self, frame: bytes) -> None:
        """Called by the inner wire."""
        assert self._sink is not None
        if self._opener is None:
            self._sink.frame_received(frame)
            return
        if self._loss is not None:
            return
        try:
            opened = self._opener.open(frame)
        except ProtocolError as error:
            self._loss = WireLoss(LossReason.PROTOCOL, str(error), error)
            self._inner.abort()
            return
        self._sink.frame_received(opened)

    def wire_writable(self) -> None:
        """Called by the inner wire."""
        assert self._sink is not None
        self._sink.wire_writable()

    def wire_closed(self, loss: WireLoss) -> None:
        """Called by the inner wire."""
        assert self._sink is not None
        self._sink.wire_closed(self._loss or loss)
