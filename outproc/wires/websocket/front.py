"""The first protocol of each connection: it waits for the head of the first request, and decides who gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from litz.spaced import Spaced
from outproc.wires.websocket.plain_upgrade import plain_upgrade

MAX_HEAD: Final = 16 * 1024
"""Bytes of a head that is kept here. A longer one is aiohttp's, which has limits of its own."""

_END: Final = b"\r\n\r\n"


class Door(Protocol):
    """What a front asks of its port."""

    def busy(self, front: Front) -> bytes | None:
        """What to answer a new connection for which there is no room, None if there is; then it is counted."""

    def left(self, front: Front) -> None:
        """The connection is no longer the front's. Idempotent."""

    def upgrade(self, path: str, transport: asyncio.Transport, answer: bytes, tail: bytes) -> bool:
        """Make a wire of a connection that asked for `path`; False if that path is not one of wires."""

    def http(self) -> asyncio.Protocol | None:
        """The protocol for everything else, None when the port has closed."""


class Front(asyncio.Protocol):
    """Keeps a connection until its head has come, at most `seconds` from its beginning.

    A plain upgrade request becomes a wire at once and costs no parser, no task and no request object: strangers cost
    the established wires of this loop next to nothing. Everything else goes to aiohttp, with all its bytes.
    """

    def __init__(self, door: Door, turns: Spaced, seconds: float, later: Callable[..., asyncio.TimerHandle]) -> None:
        self._door = door
        self._turns = turns
        self._seconds = seconds
        self._later = later
        self._head = bytearray()
        self._end = 0  # of the head, behind the empty line; 0 while it has not come
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def ip(self) -> str | None:
        """The peer's address where it counts for the limit per address: not on loopback and Unix sockets."""
        name = self._transport.get_extra_info("peername") if self._transport is not None else None
        if not isinstance(name, tuple) or name[0] == "::1" or name[0].startswith("127."):
            return None
        return cast(str, name[0])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = stream = cast(asyncio.Transport, transport)
        refusal = self._door.busy(self)
        if refusal is not None:
            stream.write(refusal)
            stream.close()
            return
        self._deadline = self._later(self._seconds, self._turns.do, self.abort)

    def abort(self) -> None:
        """End the connection now. Idempotent."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._transport is not None:
            self._leave()

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            return  # it was refused
        head = self._head
        looked_at = max(0, len(head) - len(_END) + 1)
        head += data
        if self._end:
            return
        end = head.find(_END, looked_at)
        if end < 0 and len(head) <= MAX_HEAD:
            return
        self._end = end + len(_END) if end >= 0 else len(head)
        assert self._transport is not None
        self._transport.pause_reading()
        self._turns.do(self._decide)

    def _decide(self) -> None:
        if self._transport is None:
            return  # lost while it waited for its turn
        transport = self._leave()
        if transport.is_closing():
            # Its connection_lost is on the way to this protocol; another one would miss it.
            transport.abort()
            return
        head, tail = bytes(self._head[: self._end]), bytes(self._head[self._end :])
        plain = plain_upgrade(head) if self._end <= MAX_HEAD else None
        if plain is not None and self._door.upgrade(plain.path, transport, plain.answer, tail):
            return
        http = self._door.http()
        if http is None:
            transport.abort()
            return
        transport.set_protocol(http)
        http.connection_made(transport)
        transport.resume_reading()
        http.data_received(head + tail)

    def _leave(self) -> asyncio.Transport:
        """Forget the connection: it is not this object's any more."""
        transport, self._transport = self._transport, None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._door.left(self)
        assert transport is not None
        return transport
