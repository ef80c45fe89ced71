"""Two connected TCP sockets over loopback.

`socket.socketpair` would do but for one thing: a Unix socket cannot be reset. Who reads from one whose other end gave
up sees a clean end, and takes half an answer for the whole.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

WITHIN: Final = 5.0
"""Seconds."""

_PLACES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


async def loopback_pair() -> tuple[socket.socket, socket.socket]:
    """Two non-blocking sockets, connected with each other and with nobody else. Raises OSError (TimeoutError too) on a
    host whose loopback does not work."""
    async with asyncio.timeout(WITHIN):
        for family, host in _PLACES:
            try:
                return await _pair(family, host)
            except OSError as error:
                failed = error
    raise failed


async def _pair(family: socket.AddressFamily, host: str) -> tuple[socket.socket, socket.socket]:
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        listener.bind((host, 0))
        listener.listen(1)
        one = socket.socket(family, socket.SOCK_STREAM)
        try:
            one.setblocking(False)
            await loop.sock_connect(one, listener.getsockname()[:2])
            while True:
                other, address = await loop.sock_accept(listener)
                # Anybody on this host may connect to a port that listens, be it for a moment.
                if address == one.getsockname():
                    break
                other.close()
        except BaseException:
            one.close()
            raise
    other.setblocking(False)
    for end in (one, other):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one, other
