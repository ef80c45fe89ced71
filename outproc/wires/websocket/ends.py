"""What a transport tells about its two ends."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from litz.wire import WirePath

_SocketName = tuple[str, int] | tuple[str, int, int, int] | str | bytes | None


def ends_of(transport: asyncio.BaseTransport) -> tuple[WirePath, bool]:
    """Both addresses, for people; and whether the channel protects what it carries: TLS, or both ends are on this
    host."""
    ours, theirs = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    local, remote = _text(ours), _text(theirs)
    path = WirePath("direct", local or remote, remote or local)
    if transport.get_extra_info("ssl_object") is not None:
        return path, True
    if isinstance(ours, tuple):
        return path, _is_loopback(ours) and _is_loopback(theirs)
    sock: socket.socket | None = transport.get_extra_info("socket")
    return path, sock is not None and sock.family == socket.AF_UNIX


def _is_loopback(name: _SocketName) -> bool:
    if isinstance(name, tuple) and (name[0].startswith("127.") or name[0] == "::1"):
        return True
    try:
        return isinstance(name, tuple) and ipaddress.ip_address(name[0].partition("%")[0]).is_loopback
    except ValueError:
        return False


def _text(name: _SocketName) -> str:
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name or ""
