"""Options of the sockets under WebSocket wires. What a system does not have is left out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import Final

NOTSENT_LOWAT: Final = 128 * 1024
"""Unsent bytes (TCP_NOTSENT_LOWAT) above which the kernel takes no more, so that a signal never waits behind
a long kernel queue."""

DEAD_AFTER: Final = 15.0
"""Default seconds of unacknowledged data after which the system ends a connection."""

INHERITED: Final = sys.platform == "linux"
"""Whether an accepted socket has the options of the listening one."""

_LINUX_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)
_NOTSENT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if hasattr(socket, "TCP_USER_TIMEOUT") else None)
_KEEPIDLE: Final[int | None] = getattr(socket, "TCP_KEEPIDLE", None)
_KEEPINTVL: Final[int | None] = getattr(socket, "TCP_KEEPINTVL", None)


def tune(transport: asyncio.BaseTransport, *, dead_after: float) -> None:
    """Set the options of the socket under `transport`; nothing happens where there is none, or it is no TCP.

    dead_after  seconds that written bytes may stay unacknowledged before the system ends the connection
                (TCP_USER_TIMEOUT, RFC 5482), and of silence before it probes (SO_KEEPALIVE)
    """
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None:
        _set(sock, dead_after)


def set_lowat(transport: asyncio.BaseTransport, size: int) -> None:
    """Let the kernel hold so many bytes unsent under `transport`; nothing happens where there is no TCP."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None and _NOTSENT is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT, size)


def gathers(transport: asyncio.WriteTransport, version: tuple[int, ...] = sys.version_info[:3]) -> bool:
    """Whether `writelines` of `transport` writes several buffers at once, as it should.

    That of asyncio joins them into one more copy before 3.12, and in its first versions (until 3.12.9 and 3.13.2) never
    says that the transport is full: CVE-2024-12254. uvloop's is good.
    """
    if type(transport).writelines is asyncio.WriteTransport.writelines:
        return False
    mended = version >= (3, 13, 2) or (3, 12, 9) <= version < (3, 13)
    return mended or not type(transport).__module__.startswith("asyncio.")


def tune_listening(sock: socket.socket, *, dead_after: float) -> None:
    """The same for all connections that come to the listening socket `sock`, where the system hands options on
    (`INHERITED`): there it costs a stranger's connection nothing."""
    if INHERITED:
        _set(sock, dead_after)


def _set(sock: socket.socket, dead_after: float) -> None:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    tcp = socket.IPPROTO_TCP
    options: list[tuple[int, int | None, int]] = [
        (tcp, socket.TCP_NODELAY, 1),
        (tcp, _NOTSENT, NOTSENT_LOWAT),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (tcp, _KEEPIDLE, max(1, round(dead_after))),
        (tcp, _KEEPINTVL, max(1, round(dead_after / 3))),
        (tcp, _LINUX_USER_TIMEOUT, round(dead_after * 1000)),
    ]
    for level, option, value in options:
        if option is not None:
            with contextlib.suppress(OSError):  # it died already, or the system knows the name and not the option
                sock.setsockopt(level, option, value)
