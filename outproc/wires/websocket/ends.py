"""What a transport tells about its two ends."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from litz.wire import WirePath

_SocketName = tuple[str, int] | tuple[str, int, int, int] | str | bytes | None


def path_of(transport: asyncio.BaseTransport) -> WirePath:
    """Both addresses, for people."""
    local = _text(transport.get_extra_info("sockname"))
    remote = _text(transport.get_extra_info("peername"))
    return WirePath("direct", local or remote, remote or local)


def is_private(transport: asyncio.BaseTransport) -> bool:
    """Whether the channel protects what it carries: TLS, or both ends are on this host."""
    if transport.get_extra_info("ssl_object") is not None:
        return True
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        return True
    return all(_is_loopback(transport.get_extra_info(name)) for name in ("sockname", "peername"))


def _is_loopback(name: _SocketName) -> bool:
    try:
        return isinstance(name, tuple) and ipaddress.ip_address(name[0].partition("%")[0]).is_loopback
    except ValueError:
        return False


def _text(name: _SocketName) -> str:
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name or ""
