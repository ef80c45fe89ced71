"""Endpoint URLs of WebSocket wires: `ws://`, `wss://` and `unix:`. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from litz.errors import InvalidEndpointError

DEFAULT_PATH: Final = "/litz"
"""Where a port serves litz when the URL names no path. "/" and all the rest stay free for other routes."""


@dataclass(frozen=True, slots=True)
class Address:
    """One parsed endpoint URL.

    scheme    "ws", "wss" or "unix"
    host      without brackets; empty for unix
    port      0 asks a listener for a free one
    path      path of the HTTP request, with query if there is one
    file      path of the Unix socket; empty otherwise
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = DEFAULT_PATH
    file: str = ""

    @property
    def tls(self) -> bool:
        return self.scheme == "wss"

    @property
    def authority(self) -> str:
        """`host:port` as it is written in URLs and in the Host header."""
        if self.scheme == "unix":
            return "localhost"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this host can reach it: a Unix socket, a loopback address, or `localhost`."""
        if self.scheme == "unix" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.file}"
        path = "" if self.path == DEFAULT_PATH else self.path
        return f"{self.scheme}://{self.authority}{path}"


def parse(url: str) -> Address:
    """Read an endpoint URL.

    `ws://host:port/path` and `wss://...` (ports 80 and 443 when left out, `/litz` when there is no path), or
    `unix:/file`, also written `unix:///file`.

    Raises `InvalidEndpointError`, which says what is wrong and never repeats credentials.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "unix":
        return _parse_unix(url)
    if scheme not in ("ws", "wss"):
        raise InvalidEndpointError(f"{scheme!r} is not a scheme of WebSocket wires; use ws, wss or unix")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidEndpointError(
            f"this is no {scheme} URL ({error}); write for example {scheme}://host:8400"
        ) from None
    if parts.username is not None or parts.password is not None:
        raise InvalidEndpointError("credentials do not belong into an endpoint URL; give the builder headers=")
    if not parts.hostname:
        raise InvalidEndpointError(f"{url!r} names no host; write for example {scheme}://127.0.0.1:8400")
    if parts.fragment:
        raise InvalidEndpointError(f"{url!r} has a fragment (#...), which an endpoint cannot have")
    path = parts.path if parts.path not in ("", "/") else DEFAULT_PATH
    if parts.query:
        path = f"{path}?{parts.query}"
    if not path.isascii() or any(character <= " " or character == "\x7f" for character in path):
        raise InvalidEndpointError(f"the path of {url!r} must be percent-encoded ASCII")
    default = 443 if scheme == "wss" else 80
    return Address(scheme, parts.hostname, default if port is None else port, path)


def _parse_unix(url: str) -> Address:
    file = url[len("unix:") :]
    if file.startswith("///"):
        file = file[2:]
    if not file.startswith("/") or file.startswith("//") or file.endswith("/") or "\0" in file:
        raise InvalidEndpointError(f"{url!r} names no socket file; write unix:/absolute/path")
    return Address("unix", file=unquote(file))
