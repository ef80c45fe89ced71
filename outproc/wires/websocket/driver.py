"""The WebSocket wire: one `asyncio.BufferedProtocol` on the raw transport, for the dialling and the accepting side.

Data frames are framed and cut by this package (`framing`, `reader`); everything else of RFC 6455 (control
frames, fragments, the closing handshake, every violation) is the sans-I/O protocol of `websockets`, whose state is
the state of the connection. There is no task, no future and no timer for a wire that is open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum
from typing import Final, Literal

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from litz.message import Buffer
from litz.wire import HIGH_WATER, LOW_WATER, LossReason, Wire, WireLoss, WirePath, WireSink
from outproc.wires.websocket.framing import masked_frame, open_frame, plain_frame, size_of
from outproc.wires.websocket.quiet import QUIET
from outproc.wires.websocket.reader import FrameReader, Raw
from outproc.wires.websocket.scratch import scratch
from outproc.wires.websocket.tuning import gathers, set_lowat
from outproc.wires.websocket.unsent import Unsent

MAX_FRAME: Final = 1 << 20
"""Largest frame in bytes, and largest message that a peer may send (`max_size`)."""

MAX_FRAGMENTS: Final = 1024
"""Parts that one fragmented incoming message may have."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds for flushing and the closing handshake; then the connection is aborted."""

PATIENCE: Final = 8.0
"""Seconds for which a client waits at least for the answer to its handshake; that of litz does for 10."""

FAIL_LINGER: Final = 0.5
"""Seconds for a peer that broke the protocol to read why; then the connection is aborted."""


class WebSocketWire(asyncio.BufferedProtocol, Wire):
    """One open WebSocket connection. Made after the opening handshake by the builder or the upgrade route.

    transport  the live TCP, TLS or Unix transport; the caller makes this object its protocol, or lets this do so
    protocol   the `websockets` protocol in state OPEN; nothing but the handshake was fed to it. None on the accepting
               side: then it is made when it is needed first, which most wires of strangers do not live to see
    tail       bytes that came behind the handshake
    opening    the answer to the opening handshake, not written yet: see `greet`
    masks      whether a client hides what it sends from what is in between (see `framing`); a server never does
    """

    kind = "websocket"

    def __init__(
        self,
        transport: asyncio.Transport,
        protocol: Protocol | None,
        tail: bytes = b"",
        *,
        path: WirePath,
        secure: bool,
        channel_binding: bytes | None = None,
        peer_certificates: tuple[bytes, ...] = (),
        max_frame: int = MAX_FRAME,
        opening: bytes = b"",
        masks: bool = True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._made = protocol
        self._tail = tail
        accepting = protocol is None or protocol.side is SERVER
        self._scratch = scratch()
        self._reader = FrameReader(masked=accepting, max_size=max_frame)
        self._frame = plain_frame if accepting else masked_frame if masks else open_frame
        self._opening = opening
        self._held = False
        self._unsent = Unsent()
        self._gathers = gathers(transport)
        self.path = path
        self.secure = secure
        self.channel_binding = channel_binding
        self.peer_certificates = peer_certificates
        self.max_frame = max_frame
        self._sink: WireSink | None = None
        self._inward = _Inward.KEEP
        self._open = True
        self._begun = False
        self._aborted = False
        self._full = False
        self._lost = False
        self._loss: WireLoss | None = None
        self._parts: list[Buffer] = []
        self._deadline: asyncio.TimerHandle | None = None
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=HIGH_WATER - 1, low=LOW_WATER)
        transport.pause_reading()

    @property
    def _protocol(self) -> Protocol:
        if self._made is None:
            self._made = Protocol(SERVER, state=OPEN, max_size=self.max_frame, logger=QUIET)
        return self._made

    # The wire's verbs.

    def start(self, sink: WireSink) -> None:
        if self._sink is not None:
            raise RuntimeError(f"{self!r} was started before")
        self._sink = sink
        self._answer()
        self._loop.call_soon(self._begin)

    def hold(self) -> float:
        """See `Wire.hold`. A client has more patience before its opening handshake is answered."""
        self._held = True
        return PATIENCE if self._opening else super().hold()

    def greet(self) -> None:
        """Whoever was given the wire has it: answer the opening handshake, unless it is held; then `start` does."""
        if not self._held:
            self._answer()

    def _answer(self) -> None:
        opening, self._opening = self._opening, b""
        if opening and self._open and not self._transport.is_closing():
            self._transport.write(opening)

    def _begin(self) -> None:
        """First turn after `start`: what came before it, then reading; or the end, if that came before it."""
        if self._inward is _Inward.KEEP:
            self._inward = _Inward.DELIVER
            tail, self._tail = self._tail, b""
            self._deliver(tail)
        if self._lost:
            self._tell_closed()
        else:
            self._begun = True
            self._transport.resume_reading()

    def write(self, buffers: Sequence[Buffer]) -> None:
        size = size_of(buffers)
        if size > self.max_frame:
            raise ValueError(f"a frame of {size} bytes is over max_frame, {self.max_frame} bytes")
        if not self._open or self._transport.is_closing():
            return
        if self._unsent.wrote(size):
            set_lowat(self._transport, self._unsent.allowed)
        pieces = self._frame(buffers, size)
        if self._gathers and type(pieces) is list and len(pieces) > 1:
            self._transport.writelines(pieces)
        else:
            for piece in pieces:
                self._transport.write(piece)

    @property
    def buffered_bytes(self) -> int:
        """Bytes in the transport. Under TLS: those not yet encrypted and handed down; what the TCP transport
        below keeps (one burst at most) is not visible from here."""
        return 0 if self._lost or self._aborted else self._transport.get_write_buffer_size()

    @property
    def writable(self) -> bool:
        return not self._full

    def close(self) -> None:
        if not self._open:
            return
        self._answer()
        self._open = False
        self._loss = WireLoss(LossReason.LOCAL)
        self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
        self._send_control()
        if self._sink is None:
            self._transport.close()  # nobody reads, so the peer's answer would not be seen
        self._abort_in(CLOSE_TIMEOUT)

    def abort(self) -> None:
        if self._lost or self._aborted:
            return
        self._open = False
        self._aborted = True
        self._inward = _Inward.DROP
        self._loss = self._loss or WireLoss(LossReason.LOCAL)
        self._transport.abort()

    # What the transport calls.

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        self.received_bytes += nbytes
        if self._inward is _Inward.DELIVER:
            self._deliver(self._scratch[:nbytes])
        elif self._inward is _Inward.KEEP:
            self._tail += bytes(self._scratch[:nbytes])

    def _deliver(self, data: bytes | memoryview) -> None:
        sink = self._sink
        assert sink is not None
        for item in self._reader.feed(data):
            if isinstance(item, bytes):
                sink.frame_received(item)
            else:
                self._receive_raw(item)
            if self._inward is not _Inward.DELIVER:  # the sink aborted, or the peer closed or failed
                return

    def eof_received(self) -> Literal[False]:
        self._open = False
        return False  # the transport closes itself: there is no half-open wire

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        if self._full:
            self._full = False
            self._loop.call_soon(self._tell_writable)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._open = False
        self._lost = True
        self._loss = self._loss or _loss_of(exc)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._begun:
            self._tell_closed()

    # What the sink is told: never from inside one of the wire's verbs.

    def _tell_writable(self) -> None:
        if not self._full and self._open and self._sink is not None:
            self._sink.wire_writable()

    def _tell_closed(self) -> None:
        self._inward = _Inward.DROP
        self._parts.clear()
        sink, self._sink = self._sink, None
        if sink is not None and self._loss is not None:
            sink.wire_closed(self._loss)

    # Frames that are not plain.

    def _receive_raw(self, raw: Raw) -> None:
        protocol = self._protocol
        protocol.receive_data(raw.data)
        for event in protocol.events_received():
            if isinstance(event, Frame) and not self._receive_odd(event):
                return
        if protocol.parser_exc is not None:
            self._fail(str(protocol.parser_exc))
        elif protocol.close_rcvd is not None:
            self._open = False
            self._inward = _Inward.DROP
            self._loss = self._loss or WireLoss(LossReason.REMOTE, str(protocol.close_rcvd))
            self._send_control()
            self._abort_in(CLOSE_TIMEOUT)
            self._transport.close()
        else:
            self._send_control()

    def _receive_odd(self, frame: Frame) -> bool:
        """Take one frame that `websockets` found legal; False when it is not legal for litz."""
        if frame.opcode is Opcode.TEXT:
            self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "binary messages only")
            self._fail("a text message")
            return False
        if frame.opcode is not Opcode.BINARY and frame.opcode is not Opcode.CONT:
            return True
        self._parts.append(frame.data)
        if len(self._parts) > MAX_FRAGMENTS:
            self._protocol.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self._fail(f"a message in more than {MAX_FRAGMENTS} fragments")
            return False
        if frame.fin:
            message = b"".join(self._parts)
            self._parts.clear()
            assert self._sink is not None
            self._sink.frame_received(message)
        return True

    def _fail(self, detail: str) -> None:
        """The peer broke the protocol: tell it why, then be gone. Nothing more of it is read."""
        self._open = False
        self._inward = _Inward.DROP
        self._loss = self._loss or WireLoss(LossReason.PROTOCOL, detail)
        self._send_control()
        if self._lost:
            return
        # Closing with unread bytes resets the connection and takes the reason along, so TCP is half-closed first.
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._abort_in(FAIL_LINGER)
        else:
            self._abort_in(FAIL_LINGER)
            self._transport.close()

    def _send_control(self) -> None:
        """Write what the protocol wants sent. Pongs are dropped while a flooding peer does not read them."""
        writes = self._protocol.data_to_send()
        if self._lost or (self._full and self._protocol.state is OPEN):
            return
        for data in writes:
            if data:  # an empty one means half-close, which close() and _fail() do in their way
                self._transport.write(data)

    def _abort_in(self, seconds: float) -> None:
        if self._deadline is None and not self._lost:
            self._deadline = self._loop.call_later(seconds, self._transport.abort)


class _Inward(Enum):
    """What is done with received bytes."""

    KEEP = "kept for the sink"
    DELIVER = "delivered"
    DROP = "dropped"


def _loss_of(exc: BaseException | None) -> WireLoss:
    if exc is None:
        return WireLoss(LossReason.RESET, "ended without a closing handshake")
    if isinstance(exc, TimeoutError):
        return WireLoss(LossReason.TIMEOUT, str(exc), exc)
    return WireLoss(LossReason.RESET, str(exc), exc)
