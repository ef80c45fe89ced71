"""Connections through a proxy: HTTP CONNECT (RFC 9110, section 9.3.6) and SOCKS (RFC 1928), named as `websockets` names
them, in URLs and in the environment.

Credentials are in no text that this makes: proxies are named by scheme, host and port.
"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, cast

from websockets.exceptions import InvalidProxy
from websockets.http11 import Response
from websockets.proxy import Proxy, get_proxy, parse_proxy, prepare_connect_request
from websockets.streams import StreamReader
from websockets.uri import WebSocketURI

from litz.errors import InvalidEndpointError, ProxyError, UnauthenticatedError
from outproc.wires.websocket.address import Address

CURE: Final = "SOCKS proxies need the package python-socks; install it with: pip install 'litz[socks]'"
MAX_ANSWER: Final = 16 * 1024
"""Bytes of the answer of an HTTP proxy."""

Setting = str | Literal[True] | None
"""A URL; True: what the environment says; None: no proxy."""


class Via:
    """One proxy. `str` names it without credentials."""

    __slots__ = ("proxy",)

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy

    @property
    def socks(self) -> bool:
        return self.proxy.scheme.startswith("socks")

    @property
    def resolves(self) -> bool:
        """Whether names are looked up by the proxy, and not here."""
        return self.proxy.scheme not in ("socks5", "socks4")

    def __str__(self) -> str:
        host = f"[{self.proxy.host}]" if ":" in self.proxy.host else self.proxy.host
        return f"{self.proxy.scheme}://{host}:{self.proxy.port}"

    def __repr__(self) -> str:
        return f"<proxy {self}>"


def read_proxy(url: str) -> Via:
    """Read the URL of a proxy: `http://`, `https://`, `socks5h://` (the proxy resolves names), `socks5://`,
    `socks4a://`, `socks4://`, with `user:password@` where it wants that. Raises `InvalidEndpointError`, which repeats
    no credentials."""
    try:
        return Via(parse_proxy(url))
    except InvalidProxy as error:
        why = error.msg
    except ValueError:  # a port that is no number
        why = "it cannot be read"
    raise InvalidEndpointError(
        f"this is no URL of a proxy: {why}; write for example http://proxy.example:3128, or "
        "socks5h://user:password@proxy.example:1080"
    ) from None


def check_setting(setting: Setting) -> Via | Literal[True] | None:
    """What was given to the builder, read. Raises `InvalidEndpointError`; `ProxyError` if a package is missing."""
    if setting is None or setting is True:
        return setting
    if not isinstance(setting, str):
        raise InvalidEndpointError(f"proxy is a URL, True (the environment's) or None, not a {type(setting).__name__}")
    via = read_proxy(setting)
    if via.socks and not _has_socks():
        raise ProxyError(f"{via} cannot be used: {CURE}")
    return via


def proxy_for(setting: Via | Literal[True] | None, address: Address) -> Via | None:
    """The proxy for a dial to `address`. Never for Unix sockets; that of the environment never for loopback."""
    if setting is None or address.scheme == "unix":
        return None
    if setting is True:
        if address.is_local:
            return None
        url = get_proxy(uri_of(address))
        return read_proxy(url) if url else None
    return setting


def uri_of(address: Address) -> WebSocketURI:
    """As `websockets` wants it."""
    return WebSocketURI(address.tls, address.host or "localhost", address.port or 80, address.path, "")


async def connect_through(
    via: Via,
    address: Address,
    opening: asyncio.Protocol,
    *,
    tls: Mapping[str, Any],
    proxy_ssl: ssl.SSLContext | None,
    allows: Callable[[str, int], bool],
) -> None:
    """Connect `opening` to `address` through the proxy; `tls` is what `create_connection` takes for TLS with the peer.

    Raises `ProxyError` that names the proxy, `PermissionError` when nothing that a name resolves to is allowed (only
    for proxies that leave that to us), and what TLS with the peer raises. Cancelling it closes the socket.
    """
    loop = asyncio.get_running_loop()
    if via.socks:
        sock = await _through_socks(via, address, allows)
        try:
            await loop.create_connection(lambda: opening, sock=sock, **tls)
        except BaseException:
            sock.close()
            raise
        return
    transport = await _tunnel(via, address, proxy_ssl)
    try:
        if tls:
            transport = await _start_tls(transport, opening, tls)
        else:
            transport.set_protocol(opening)
        opening.connection_made(transport)
    except BaseException:
        transport.abort()
        raise


async def _start_tls(
    transport: asyncio.Transport, opening: asyncio.Protocol, tls: Mapping[str, Any]
) -> asyncio.Transport:
    options = {name: value for name, value in tls.items() if name != "ssl"}
    started = await asyncio.get_running_loop().start_tls(transport, opening, tls["ssl"], **options)
    if started is None:
        raise ConnectionResetError("the connection was closed while TLS began")
    return started


async def _tunnel(via: Via, address: Address, proxy_ssl: ssl.SSLContext | None) -> asyncio.Transport:
    """A connection to an HTTP proxy that has made it one to `address`."""
    loop = asyncio.get_running_loop()
    proxy = via.proxy
    tls: dict[str, Any] = {}
    if proxy.scheme == "https":
        tls = {"ssl": proxy_ssl or ssl.create_default_context(), "server_hostname": proxy.host}
    request = prepare_connect_request(proxy, uri_of(address), None)
    try:
        transport, answer = await loop.create_connection(lambda: _Answer(request), proxy.host, proxy.port, **tls)
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason
        raise ProxyError(f"the proxy {via} is not trusted, or speaks no TLS ({reason})") from error
    except OSError as error:
        raise _unreachable(via, address, error) from error
    try:
        response = await answer.response
    except OSError as error:
        raise ProxyError(f"the proxy {via} closed the connection instead of connecting to {address}") from error
    except Exception as error:
        raise ProxyError(f"{via} does not answer as an HTTP proxy; check its address") from error
    finally:
        if not answer.tunnels:
            transport.abort()
    if not answer.tunnels:
        raise _refused(via, address, response)
    return transport


class _Answer(asyncio.Protocol):
    """Asks an HTTP proxy for a tunnel and reads its answer. `response` fails with what is wrong with it."""

    def __init__(self, request: bytes) -> None:
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._request = request
        self._reader = StreamReader()
        self._parsing = Response.parse(
            self._reader.read_line, self._reader.read_exact, self._reader.read_to_eof, proxy=True
        )
        self._seen = 0

    @property
    def tunnels(self) -> bool:
        """Whether the proxy has said yes."""
        done = self.response.done() and not self.response.cancelled() and self.response.exception() is None
        return done and 200 <= self.response.result().status_code < 300

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._seen += len(data)
        if self._seen > MAX_ANSWER:
            self._fail(ValueError(f"its answer is longer than {MAX_ANSWER} bytes"))
        elif not self.response.done():
            self._reader.feed_data(data)
            self._parse()

    def eof_received(self) -> None:
        self._fail(ConnectionResetError("it closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionResetError("it closed the connection"))

    def _parse(self) -> None:
        try:
            next(self._parsing)
        except StopIteration as end:
            self.response.set_result(end.value)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.response.done():
            self.response.set_exception(error)


def _refused(via: Via, address: Address, response: Response) -> ProxyError:
    said = f"{response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code == 407:
        error = ProxyError(
            f"the proxy {via} answered {said}: give its user name and password in its URL, "
            f"{via.proxy.scheme}://user:password@host:port, or correct them"
        )
        error.__cause__ = UnauthenticatedError(f"the proxy {via} does not know us")
        return error
    return ProxyError(f"the proxy {via} refused to connect to {address.authority}: {said}")


def _unreachable(via: Via, address: Address, error: OSError) -> ProxyError:
    return ProxyError(f"cannot reach the proxy {via} on the way to {address}: {error.strerror or error}")


def _has_socks() -> bool:
    try:
        return importlib.util.find_spec("python_socks") is not None
    except ValueError:  # somebody put a module without a spec in its place
        return False


async def _through_socks(via: Via, address: Address, allows: Callable[[str, int], bool]) -> socket.socket:
    try:
        from python_socks import ProxyConnectionError, ProxyType
        from python_socks import ProxyError as SocksError
        from python_socks.async_.asyncio import Proxy as SocksProxy
    except ImportError as error:
        raise ProxyError(f"{via} cannot be used: {CURE}") from error
    proxy = via.proxy
    kind = ProxyType.SOCKS5 if proxy.scheme.startswith("socks5") else ProxyType.SOCKS4
    host = address.host if via.resolves else await _resolved(address, allows, kind is ProxyType.SOCKS4)
    through = SocksProxy(kind, proxy.host, proxy.port, proxy.username, proxy.password, via.resolves)
    try:
        return await through.connect(host, address.port)
    except ProxyConnectionError as error:
        raise ProxyError(f"cannot reach the proxy {via} on the way to {address}: {error}") from error
    except SocksError as error:
        refused = ProxyError(f"the proxy {via} refused to connect to {address.authority}: {error}")
        # python-socks tells what the proxy answered by number, and a wrong password only in words.
        password = error.error_code is None and "auth" in str(error).lower()
        raise refused from (UnauthenticatedError(f"the proxy {via} does not know us") if password else error)
    except OSError as error:
        raise _unreachable(via, address, error) from error


async def _resolved(address: Address, allows: Callable[[str, int], bool], only_v4: bool) -> str:
    """Looked up here, so that `allow_endpoint` sees what a name leads to."""
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, family=socket.AF_INET if only_v4 else 0
    )
    hosts = [str(each[4][0]) for each in found if allows(str(each[4][0]), address.port)]
    if not hosts:
        raise PermissionError(f"allow_endpoint refuses every address that {address.host} resolves to")
    return hosts[0]
