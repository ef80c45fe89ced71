"""The accepting side: from an aiohttp request to a wire on the raw transport.

aiohttp reads and routes the request. Then the transport is handed over: the wire becomes its protocol, aiohttp's
request handler is told that its connection is gone, and its task ends. A wire costs no task of aiohttp's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.log import server_logger
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from litz.wire import AcceptWire
from outproc.wires.websocket import binding
from outproc.wires.websocket.address import DEFAULT_PATH
from outproc.wires.websocket.driver import MAX_FRAME, WebSocketWire
from outproc.wires.websocket.ends import ends_of
from outproc.wires.websocket.own_origin import SAME, own_origin
from outproc.wires.websocket.peer_certificates import peer_certificates
from outproc.wires.websocket.quiet import QUIET
from outproc.wires.websocket.refusal import SUBPROTOCOL
from outproc.wires.websocket.tuning import DEAD_AFTER, tune

Admit = Callable[[str], float | None]
"""Asked with the peer's address before each upgrade: None lets it in, a number of seconds refuses it with
503 and that Retry-After. It runs in the loop's thread and must not block."""

_GATES: Final = web.AppKey("litz gates", dict[str, "Gate"])

_BINDING_AGE: Final = 10.0
"""Seconds for which the binding of an SSLContext is believed: its certificate may be replaced while it serves."""


def add_litz_route(
    app: web.Application,
    accept: AcceptWire,
    *,
    path: str = DEFAULT_PATH,
    origins: Sequence[str] = (),
    admit: Admit | None = None,
    max_frame: int = MAX_FRAME,
    dead_after: float = DEAD_AFTER,
) -> None:
    """Let `app` take litz wires at `path`, next to whatever else it serves. Call it before the app starts.

    accept      called with each wire, not started, in the loop's thread
    origins     a request that carries an Origin header is refused with 403 unless its origin is one of these
                (exact, as browsers send it: "https://app.example"); on loopback too. "same" stands for pages that
                this address serves itself, when the browser knows it by a loopback name
    admit       limit on what has not proved itself; see `Admit`
    max_frame   largest frame in bytes, both ways
    dead_after  seconds of unacknowledged data after which the system ends a connection

    How long a client may take to send its request is a matter of the server that runs `app`; `HttpPort` and
    `NodeService` limit it, aiohttp's own runners need `keepalive_timeout=5`.
    """
    gate = Gate(accept, tuple(origins), admit, max_frame, dead_after)
    app.router.add_route("GET", path, gate.handle)
    app.setdefault(_GATES, {})[path] = gate


def gates_of(app: web.Application) -> Mapping[str, Gate]:
    """The litz routes of `app` itself by their paths, for a server that knows plain upgrade requests by itself."""
    return app.get(_GATES, {})


@dataclass(slots=True)
class Gate:
    """The rules of one mounted route."""

    accept: AcceptWire
    origins: tuple[str, ...]
    admit: Admit | None
    max_frame: int
    dead_after: float
    bindings: WeakKeyDictionary[ssl.SSLContext, tuple[float, bytes | None]] = field(default_factory=WeakKeyDictionary)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is None or transport.is_closing():
            # A TLS transport that is lost has its old protocol's connection_lost scheduled: a new one would miss it.
            return web.Response(status=400, text="the peer left before its request was handled\n")
        if request.can_read_body:
            return web.Response(status=400, text="an upgrade request has no body\n")
        if self.admit is not None:
            wait = self.admit(request.remote or "")
            if wait is not None:
                headers = {"Retry-After": str(max(1, round(wait)))}
                return web.Response(status=503, text="too many connections\n", headers=headers)
        judge = ServerProtocol(
            origins=[None, *map(Origin, self._origins(request))], subprotocols=[Subprotocol(SUBPROTOCOL)], logger=QUIET
        )
        answer = judge.accept(_as_websockets(request))
        if answer.status_code != 101:
            kept = {name: answer.headers[name] for name in ("Allow", "Upgrade") if name in answer.headers}
            return web.Response(status=answer.status_code, text=bytes(answer.body).decode(), headers=kept)
        wire = self._hand_over(request, transport, answer.serialize())
        self._accept(wire)
        return _HandedOver(status=101)

    def take(self, transport: asyncio.Transport, answer: bytes, tail: bytes, *, tuned: float | None = None) -> bool:
        """Make a wire of a connection whose request, without an Origin, `answer` accepts. False: judge it by `handle`.

        tuned  the `dead_after` for which the socket under `transport` has its options already

        An `accept` that raises costs the connection, and is logged where aiohttp logs a handler that raises.
        """
        if self.admit is not None:
            return False
        try:
            self._accept(self._wire(transport, tail, answer, tuned=tuned))
        except Exception:
            server_logger.exception("Error handling request")
        return True

    def _accept(self, wire: WebSocketWire) -> None:
        try:
            self.accept(wire)
        except BaseException:
            wire.greet()
            wire.abort()
            raise
        wire.greet()

    def _origins(self, request: web.Request) -> list[str]:
        if SAME not in self.origins:
            return list(self.origins)
        own = own_origin(request.host, secure=request.secure)
        return [origin for origin in self.origins if origin != SAME] + ([own] if own is not None else [])

    def _hand_over(self, request: web.Request, transport: asyncio.Transport, answer: bytes) -> WebSocketWire:
        handler = request.protocol
        tail = _Tail()
        handler.set_parser(tail)  # type: ignore[arg-type]  # all it is asked for is feed_data and feed_eof
        wire = self._wire(transport, bytes(tail.data), answer)
        # The handler must neither close the transport nor wait for it: to it, this connection has ended.
        handler.transport = None
        handler.connection_lost(None)
        return wire

    def _wire(
        self, transport: asyncio.Transport, tail: bytes, answer: bytes, *, tuned: float | None = None
    ) -> WebSocketWire:
        if tuned != self.dead_after:
            tune(transport, dead_after=self.dead_after)
        path, secure = ends_of(transport)
        return WebSocketWire(
            transport,
            None,
            tail,
            path=path,
            secure=secure,
            channel_binding=self._binding(transport),
            peer_certificates=peer_certificates(transport.get_extra_info("ssl_object")),
            max_frame=self.max_frame,
            opening=answer,
        )

    def _binding(self, transport: asyncio.Transport) -> bytes | None:
        context = transport.get_extra_info("sslcontext")
        if context is None:
            return None
        if binding.own_certificate(context) is not None:
            return binding.of_server(context)  # it may have been replaced just now
        now = asyncio.get_running_loop().time()
        known = self.bindings.get(context)
        if known is None or now - known[0] > _BINDING_AGE:
            known = self.bindings[context] = (now, binding.of_server(context))
        return known[1]


class _Tail:
    """Stands where aiohttp expects the reader of an upgraded connection, to get what it had read already."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        return


class _HandedOver(web.StreamResponse):
    """What aiohttp gets in place of a response: the answer is written, and the connection is no longer its."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return


def _as_websockets(request: web.Request) -> Request:
    headers = Headers()
    for name, value in request.headers.items():
        headers[name] = value
    version = request.version
    return Request(request.path_qs, headers, request.method, f"HTTP/{version.major}.{version.minor}")
