"""Listening TCP sockets, bound before any loop knows them."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from typing import Final

_ABSENT: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""This host does not have that family, or that address of a name."""


async def bind_tcp(host: str, port: int) -> list[socket.socket]:
    """Bind stream sockets to every address of `host`, not yet listening.

    Port 0 binds the first address only: the others would get other ports. Raises `OSError` naming the address.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    absent: OSError | None = None
    bound: list[socket.socket] = []
    try:
        for family, kind, proto, _, name in dict.fromkeys(found):
            try:
                bound.append(_bound(socket.socket(family, kind, proto), name))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
            if bound and port == 0:
                break
    except BaseException:
        for sock in bound:
            sock.close()
        raise
    if not bound:
        raise absent or OSError(errno.EADDRNOTAVAIL, f"{host} has no address to listen at")
    return bound


def _bound(sock: socket.socket, name: tuple[object, ...]) -> socket.socket:
    try:
        sock.setblocking(False)
        if sys.platform != "win32":  # there it would allow to steal a live port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(name)
    except OSError as error:
        sock.close()
        if error.errno is None:
            raise
        raise OSError(error.errno, f"cannot listen at {name[0]} port {name[1]}: {error.strerror}") from None
    except BaseException:
        sock.close()
        raise
    return sock
