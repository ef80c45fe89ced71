"""One aiohttp application behind TCP, TLS and Unix addresses, hardened for peers that have proved nothing yet.

aiohttp's own sites set no deadline for TLS handshakes and no limit on connections, so the servers are made here;
parsing, routing and responses are aiohttp's, but for plain upgrade requests (`front`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from litz.spaced import Spaced
from litz.wire import Endpoint
from outproc.descriptors import for_strangers
from outproc.wires.websocket.address import Address
from outproc.wires.websocket.driver import CLOSE_TIMEOUT
from outproc.wires.websocket.front import Front
from outproc.wires.websocket.tcp_socket import bind_tcp
from outproc.wires.websocket.tuning import DEAD_AFTER, INHERITED, tune_listening
from outproc.wires.websocket.unix_socket import bind_unix, identity, remove
from outproc.wires.websocket.upgrade import Gate, gates_of

TURNS: Final = 3
"""Of the loop, in which what was accepted gets its transport."""

BACKLOG: Final = 1024
"""Connections that the kernel keeps for us; it may take fewer (net.core.somaxconn)."""

_MAX_LINE: Final = 8190
_MAX_HEADERS: Final = 64

_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_SPREAD: Final = 4
"""Seconds over which those who are refused together are asked to come back."""


@dataclass(frozen=True, slots=True)
class PortLimits:
    """What peers may cost before their connection is a wire. Wires are not counted here.

    handshake_timeout       seconds for TLS, and then for the head of each request; also how long an idle
                            keep-alive connection is kept
    max_connections         HTTP connections at once, and a quarter of the descriptors that this process may have; more
                            are answered 503 and closed
    max_connections_per_ip  the same for one IP address; loopback and Unix sockets are not limited by it
    """

    handshake_timeout: float = 5.0
    max_connections: int = 2_048
    max_connections_per_ip: int = 256


class HttpPort:
    """Serves `app` at every bound address until `aclose`.

    `open` first, then `bind` as often as wanted. Not for concurrent use by several tasks.
    """

    def __init__(self, app: web.Application, limits: PortLimits | None = None) -> None:
        self._limits = limits or PortLimits()
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=self._limits.handshake_timeout,
            lingering_time=1.0,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            max_headers=_MAX_HEADERS,
            shutdown_timeout=1.0,
        )
        self._servers: list[asyncio.AbstractServer] = []
        self._files: list[tuple[str, tuple[int, int] | None]] = []
        self._endpoints: list[Endpoint] = []
        self._fronts: dict[Front, None] = {}
        self._most = for_strangers(self._limits.max_connections)
        self._refused = 0
        self._turns: Spaced | None = None
        self._gates: Mapping[str, Gate] = {}

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every bound address, with its real port."""
        return tuple(self._endpoints)

    @property
    def pending(self) -> int:
        """HTTP connections at the moment; one that became a wire is none any more."""
        return len(self._fronts) + len(self._handlers())

    async def open(self) -> None:
        """Start the application (its startup signals run)."""
        await self._runner.setup()
        # A middleware must see every request, so with one all of them are aiohttp's.
        self._gates = {} if self._runner.app.middlewares else gates_of(self._runner.app)

    async def bind(self, address: Address, *, ssl: ssl.SSLContext | None = None) -> None:
        """Listen at one more address. Raises `OSError` when it cannot be had."""
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {}
        if ssl is not None:
            tls = {
                "ssl": ssl,
                "ssl_handshake_timeout": self._limits.handshake_timeout,
                "ssl_shutdown_timeout": CLOSE_TIMEOUT,
            }
        if address.scheme == "unix":
            sockets = [bind_unix(address.file)]
            self._files.append((address.file, identity(address.file)))
        else:
            sockets = await bind_tcp(address.host, address.port)
            address = replace(address, port=sockets[0].getsockname()[1])
        serve = loop.create_unix_server if address.scheme == "unix" else loop.create_server
        servers: list[asyncio.AbstractServer] = []
        try:
            for sock in sockets:
                # asyncio tries to accept `backlog` times in one turn, and each try without a free descriptor is
                # reported and arms a timer of its own; so it is told 1, and the kernel the real number.
                # Whoever is cancelled while asyncio starts to serve has no server to close: so it starts later.
                made: asyncio.AbstractServer = await serve(
                    self._first, sock=sock, backlog=1, start_serving=False, **tls
                )
                servers.append(made)
            for made, sock in zip(servers, sockets, strict=True):
                await made.start_serving()
                tune_listening(sock, dead_after=DEAD_AFTER)
                sock.listen(BACKLOG)
        except BaseException:
            for made in servers:
                made.close()
            for sock in sockets[len(servers) :]:
                sock.close()
            raise
        self._servers += servers
        self._endpoints.append(Endpoint("websocket", str(address)))

    async def aclose(self) -> None:
        """Stop listening, free the addresses, end HTTP connections. Wires live on. Idempotent, takes about a
        second at most when requests are still running."""
        servers, self._servers = self._servers, []
        try:
            await _accept_no_more(servers)
        finally:
            for server in servers:
                server.close()
        for front in list(self._fronts):
            front.abort()
        if self._turns is not None:
            self._turns.finish()
        files, self._files = self._files, []
        for file, known in files:
            remove(file, known)
        await self._runner.cleanup()

    def _first(self) -> asyncio.Protocol:
        loop = asyncio.get_running_loop()
        if self._turns is None:
            self._turns = Spaced(loop)
        return Front(self, self._turns, self._limits.handshake_timeout, loop.call_later)

    # What a front asks.

    def busy(self, front: Front) -> bytes | None:
        """See `Door`."""
        if self.pending >= self._most:
            return self._busy()
        ip = front.ip
        if ip is not None:
            same = sum(1 for one in self._fronts if one.ip == ip)
            same += sum(1 for one in self._handlers() if isinstance(one.peername, tuple) and one.peername[0] == ip)
            if same >= self._limits.max_connections_per_ip:
                return self._busy()
        self._fronts[front] = None
        return None

    def _busy(self) -> bytes:
        self._refused += 1
        return _BUSY % (1 + self._refused % _SPREAD)

    def left(self, front: Front) -> None:
        """See `Door`."""
        self._fronts.pop(front, None)

    def upgrade(self, path: str, transport: asyncio.Transport, answer: bytes, tail: bytes) -> bool:
        """See `Door`."""
        gate = self._gates.get(path)
        return gate is not None and gate.take(transport, answer, tail, tuned=DEAD_AFTER if INHERITED else None)

    def http(self) -> asyncio.Protocol | None:
        """See `Door`."""
        server = self._runner.server
        return server() if server is not None else None

    def _handlers(self) -> list[RequestHandler]:
        server = self._runner.server
        return server.connections if server is not None else []


async def _accept_no_more(servers: Sequence[asyncio.AbstractServer]) -> None:
    """Stop listening in a way that loses nothing: a connection that asyncio accepted in the last turn has no transport
    yet, and if its server is closed before, it gets none, and its socket stays open until it is collected."""
    loop = asyncio.get_running_loop()
    for server in servers:
        for listener in server.sockets if isinstance(server, asyncio.Server) else ():
            with suppress(NotImplementedError):  # a loop that has no readers
                loop.remove_reader(listener.fileno())
    for _ in range(TURNS):
        await asyncio.sleep(0)
