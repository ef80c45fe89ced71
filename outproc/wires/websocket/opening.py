"""The dialling side of the opening handshake (RFC 6455, section 4.1), up to the moment when there is a wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from websockets.client import ClientProtocol
from websockets.http11 import Request
from websockets.protocol import CONNECTING

from outproc.wires.websocket.driver import WebSocketWire
from outproc.wires.websocket.refusal import SUBPROTOCOL, error_of, no_subprotocol

MAX_RESPONSE: Final = 64 * 1024
"""Bytes of the server's answer before the handshake is given up."""

MakeWire = Callable[[asyncio.Transport, ClientProtocol, bytes], WebSocketWire]


class Opening(asyncio.Protocol):
    """Sends the request, reads the answer, and makes itself replaced by the wire.

    `wire` is a future of the live wire. Whoever awaits it calls `give_up` when that await fails.
    """

    def __init__(self, where: str, protocol: ClientProtocol, request: Request, make: MakeWire) -> None:
        self.wire: asyncio.Future[WebSocketWire] = asyncio.get_running_loop().create_future()
        self._where = where
        self._protocol = protocol
        self._request = request
        self._make = make
        self._head = bytearray()
        self._seen = 0
        self._ended = False
        self._transport: asyncio.Transport | None = None

    def give_up(self) -> None:
        """Nobody waits for the wire any more: close what there is. Idempotent."""
        self.wire.cancel()  # also when it has failed already: then this marks the error as seen
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._protocol.send_request(self._request)
        self._transport.writelines(self._protocol.data_to_send())

    def data_received(self, data: bytes) -> None:
        if self.wire.done():
            return
        self._seen += len(data)
        tail = b""
        if self._protocol.state is CONNECTING:
            # The protocol must not see what follows the head: frames are cut by the wire.
            data, tail = self._up_to_head(data)
        if data:
            self._protocol.receive_data(data)
        self._look(tail)
        if not self.wire.done() and self._seen > MAX_RESPONSE:
            self._fail(error_of(self._where, ValueError(f"its answer is longer than {MAX_RESPONSE} bytes")))

    def _up_to_head(self, data: bytes) -> tuple[bytes, bytes]:
        """Split `data` behind the head of a 101 answer. Other answers have a body and pass whole."""
        before = len(self._head)
        self._head += data
        if not self._head.startswith(b"HTTP/1.1 101") and len(self._head) >= 12:
            return data, b""
        end = self._head.find(b"\r\n\r\n", max(0, before - 3))
        if end < 0:
            return data, b""
        return data[: end + 4 - before], data[end + 4 - before :]

    def eof_received(self) -> None:
        self._ended = True
        self._protocol.receive_eof()
        self._look(b"")

    def connection_lost(self, exc: BaseException | None) -> None:
        self._fail(exc or ConnectionResetError(f"{self._where} closed the connection during the opening handshake"))

    def _look(self, tail: bytes) -> None:
        """Whether the handshake has come to an end, good or bad."""
        if self.wire.done():
            return
        failure = self._protocol.handshake_exc
        if failure is not None:
            self._fail(error_of(self._where, failure, ended=self._ended))
        elif self._protocol.state is not CONNECTING:
            self._protocol.events_received()
            if self._protocol.subprotocol != SUBPROTOCOL:
                self._fail(no_subprotocol(self._where))
                return
            assert self._transport is not None
            self.wire.set_result(self._make(self._transport, self._protocol, tail))

    def _fail(self, error: BaseException) -> None:
        if not self.wire.done():
            self.wire.set_exception(error)
