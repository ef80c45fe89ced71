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

LARGE_LOWAT: Final = 1024 * 1024
"""The same while frames are written that are larger than `LARGE_FRAME`. So large they are on a fast path only, which
carries this in milliseconds; and a frame that the kernel takes at once costs one system call, not eight."""

LARGE_FRAME: Final = 256 * 1024
"""Bytes. Up to here a frame says nothing of the path."""

SMALL_FRAME: Final = 32 * 1024
"""Bytes. Below it a frame says nothing at all: acks go between large ones."""

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


def lowat_for(size: int) -> int | None:
    """How much of a wire's data the kernel may hold unsent after a frame of `size` bytes; None: as much as before."""
    if size < SMALL_FRAME:
        return None
    return LARGE_LOWAT if size > LARGE_FRAME else NOTSENT_LOWAT


def set_lowat(transport: asyncio.BaseTransport, size: int) -> None:
    """Let the kernel hold so many bytes unsent under `transport`; nothing happens where there is no TCP."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None and _NOTSENT is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT, size)


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
