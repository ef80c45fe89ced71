"""`WebSocketWireBuilder`: dials WebSocket wires, and listens for them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Final, cast

import aiohappyeyeballs
from websockets.client import ClientProtocol
from websockets.typing import Subprotocol

from litz.errors import HandshakeError, UnauthenticatedError, UntrustedPeerError
from litz.node_port import NodePort
from litz.wire import AcceptWire, Endpoint, WireBuilder, WireListener, WirePath
from outproc.retry.classify import is_out_of_date
from outproc.wires.websocket import binding
from outproc.wires.websocket.address import Address, parse
from outproc.wires.websocket.driver import CLOSE_TIMEOUT, MAX_FRAME, WebSocketWire
from outproc.wires.websocket.ends import ends_of
from outproc.wires.websocket.opening import Opening
from outproc.wires.websocket.peer_certificates import peer_certificates
from outproc.wires.websocket.proxied import Setting, Via, check_setting, connect_through, proxy_for, uri_of
from outproc.wires.websocket.quiet import QUIET
from outproc.wires.websocket.refusal import SUBPROTOCOL
from outproc.wires.websocket.tuning import DEAD_AFTER, tune

OPEN_TIMEOUT: Final = 10.0
"""Seconds for one dial: name, TCP, TLS and the opening handshake together."""

EYEBALLS_DELAY: Final = 0.25
"""Seconds after which the next address of a name is tried at the same time (RFC 8305)."""

_LISTENER: Final = "outproc.wires.websocket.listener"
"""Needs all of aiohttp; who only dials goes without."""


class WebSocketWireBuilder(WireBuilder):
    """Wires of kind "websocket" for `ws://`, `wss://` and `unix:` endpoints.

    ssl           context for `wss://` dials, or a function that gives the one of the next dial: own authorities,
                  a client certificate. Default: the system's authorities. The server's certificate and name are
                  verified; only a context that you build yourself can change that.
    headers       sent with every dial (a token for a proxy, an Origin). Never shown in a repr or an error.
    open_timeout  seconds for one dial, whole
    dead_after    seconds of unacknowledged data after which the system ends a connection
    max_frame     largest frame in bytes, both ways

    proxy         the proxy that `ws://` and `wss://` dials go through, as `websockets` names it: "http://host:3128",
                  "https://...", "socks5h://user:password@host:1080" (also socks5, socks4a, socks4; they need
                  `litz[socks]`). True: what `https_proxy`, `no_proxy` and their like in the environment say, never for
                  loopback. None: none. Unix sockets have none. What a proxy resolves by itself `allow_endpoint` sees
                  only by name. Its credentials are in no repr, error or log
    proxy_ssl     context for TLS with an "https://" proxy; default: the system's authorities

    Between two ends on one host (loopback, Unix sockets; no proxy, no TLS) frames have the mask key zero; RFC 6455 asks
    for one that nobody can foresee. docs/security.md says why.
    """

    kind = "websocket"
    schemes: Sequence[str] = ("ws", "wss", "unix")

    def __init__(
        self,
        *,
        ssl: ssl.SSLContext | Callable[[], ssl.SSLContext] | None = None,
        headers: Mapping[str, str] | None = None,
        open_timeout: float = OPEN_TIMEOUT,
        dead_after: float = DEAD_AFTER,
        max_frame: int = MAX_FRAME,
        proxy: Setting = True,
        proxy_ssl: ssl.SSLContext | None = None,
    ) -> None:
        self.use_proxy(proxy)
        self._proxy_ssl = proxy_ssl
        self._ssl = ssl
        self._headers = dict(headers or {})
        self._open_timeout = open_timeout
        self._dead_after = dead_after
        self._max_frame = max_frame
        self._port: NodePort | None = None

    async def build(self, dest: str, endpoint: Endpoint) -> WebSocketWire:
        """Dial once and return the live wire, not started. Cancelling it at any await closes the socket.

        Raises `OSError` when the peer cannot be reached or leaves (`TimeoutError` after `open_timeout`),
        `BusyError` when it asks to come back, `UnauthenticatedError` when its certificate is not trusted or it
        wants other headers, `ProxyError` for what a proxy is to blame for, `IncompatibleError` when it speaks no
        `litz.1`, `HandshakeError` when it is something else, and `InvalidEndpointError` for a URL that cannot be read.
        """
        address = parse(endpoint.address)
        try:
            async with asyncio.timeout(self._open_timeout):
                return await self._open(address)
        except TimeoutError as error:
            if str(error):
                raise  # a timeout of the system, which says more
            raise TimeoutError(f"{address} did not open a WebSocket within {self._open_timeout:g} s") from None
        except ssl.SSLCertVerificationError as error:
            # One that is out of date is renewed there, or the clock here is set: it is asked again now and then.
            refused = UnauthenticatedError if is_out_of_date(error) else UntrustedPeerError
            raise refused(
                f"the certificate of {address} is not trusted ({error.verify_message}); dial the name it was issued "
                "for, or give WebSocketWireBuilder(ssl=...) a context that trusts its authority"
            ) from error
        except ssl.SSLError as error:
            raise HandshakeError(f"{address} does not speak TLS ({error.reason}); is it a ws:// port?") from error

    def use_proxy(self, proxy: Setting) -> None:
        """Dial through `proxy` from the next dial on; wires that are up stay. Raises `InvalidEndpointError`, and
        `ProxyError` if a package that it needs is not installed."""
        self._proxy = check_setting(proxy)

    def attach(self, port: NodePort) -> None:
        """What a name resolves to is shown to the manager's `allow_endpoint`."""
        self._port = port

    def _allows(self, host: str, port: int) -> bool:
        return self._port is None or self._port.allows(host, port, "name")

    async def listen(self, endpoint: Endpoint, accept: AcceptWire, **options: Any) -> WireListener:
        """Listen at `endpoint`. `options` are those of `outproc.wires.websocket.listener.listen`: `ssl`,
        `origins`, `admit`, `app` and `limits`."""
        options.setdefault("max_frame", self._max_frame)
        options.setdefault("dead_after", self._dead_after)
        if not hasattr(sys.modules.get(_LISTENER), "listen"):
            # In a thread, because it takes long enough to be felt by wires that are up; also if one imports it already.
            await asyncio.to_thread(import_module, _LISTENER)
        from outproc.wires.websocket.listener import listen

        return await listen(parse(endpoint.address), accept, **options)

    def is_local(self, endpoint: Endpoint) -> bool:
        """True for loopback addresses, `localhost` and Unix sockets; False for wildcards and for names."""
        return parse(endpoint.address).is_local

    async def _open(self, address: Address) -> WebSocketWire:
        via = proxy_for(self._proxy, address)
        protocol = ClientProtocol(
            uri_of(address), subprotocols=[Subprotocol(SUBPROTOCOL)], max_size=self._max_frame, logger=QUIET
        )
        request = protocol.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        opening = Opening(str(address), protocol, request, partial(self._wire, address, via))
        try:
            await self._connect(address, via, opening)
            return await opening.wire
        except BaseException:
            opening.give_up()
            raise

    async def _connect(self, address: Address, via: Via | None, opening: Opening) -> None:
        loop = asyncio.get_running_loop()
        if address.scheme == "unix":
            await loop.create_unix_connection(lambda: opening, address.file)
            return
        tls: dict[str, Any] = {}
        if address.tls:
            tls = {
                "ssl": self._context(),
                "server_hostname": address.host,
                "ssl_handshake_timeout": self._open_timeout,
                "ssl_shutdown_timeout": CLOSE_TIMEOUT,
            }
        if via is not None:
            await connect_through(via, address, opening, tls=tls, proxy_ssl=self._proxy_ssl, allows=self._allows)
        elif _is_literal(address.host):
            await loop.create_connection(lambda: opening, address.host, address.port, **tls)
        else:
            found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            found = [each for each in found if self._allows(str(each[4][0]), address.port)]
            if not found:
                raise PermissionError(f"allow_endpoint refuses every address that {address.host} resolves to")
            # uvloop's own create_connection tries addresses one after the other, so the race is run here.
            sock = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=EYEBALLS_DELAY)
            await loop.create_connection(lambda: opening, sock=sock, **tls)

    def _context(self) -> ssl.SSLContext:
        if self._ssl is None:
            self._ssl = ssl.create_default_context()  # reads the system's store: once, and only when dialling wss
        return self._ssl if isinstance(self._ssl, ssl.SSLContext) else self._ssl()

    def _wire(
        self, address: Address, via: Via | None, transport: asyncio.Transport, protocol: ClientProtocol, tail: bytes
    ) -> WebSocketWire:
        tune(transport, dead_after=self._dead_after)
        path, secure = ends_of(transport)
        tls = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))
        # By the address that was asked for too: what stands between may answer for another one in the socket's name.
        one_host = secure and tls is None and via is None and address.is_local
        if via is not None:
            # Where the proxy is says nothing of where the peer is, nor does TLS that ends at the proxy.
            path, secure = WirePath("direct", path.local, f"{address.authority} via {via}"), address.tls
            tls = tls if address.tls else None
        return WebSocketWire(
            transport,
            protocol,
            tail,
            path=path,
            secure=secure,
            channel_binding=binding.of_peer(tls),
            peer_certificates=peer_certificates(tls),
            max_frame=self._max_frame,
            masks=not one_host,
        )


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
