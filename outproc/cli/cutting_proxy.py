"""A small TCP proxy that resets connections in the middle of what they carry: the knife of `litz demo`."""

from __future__ import annotations

import asyncio
import socket
import struct
from random import Random
from types import TracebackType
from typing import Final, Self, cast

_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)
LARGEST_OFFSET: Final = 32 << 10
"""A cut comes after 1 to so many more bytes in one direction."""
CUT_WITHIN: Final = 0.3
"""Seconds after which it comes anyway."""


class Link:
    """One connection through the proxy: two sockets."""

    def __init__(self, proxy: CuttingProxy, name: str) -> None:
        self._proxy = proxy
        self.name = name
        self.closed = False
        self.ends = (_End(self), _End(self))
        self._timer: asyncio.TimerHandle | None = None

    @property
    def marked(self) -> bool:
        """Whether its cut is due."""
        return self._timer is not None

    def cut_after(self, way: int, size: int) -> None:
        """Reset both sockets after `size` more bytes from that end, and soon in any case."""
        self.ends[way].allowance = size
        self._timer = asyncio.get_running_loop().call_later(CUT_WITHIN, self.cut)

    def cut(self) -> None:
        """Reset both sockets now: what is under way is lost."""
        if not self.closed:
            self._proxy.cuts += 1
            self.drop()

    def drop(self) -> None:
        """Close both sockets with RST, without counting it as a cut."""
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        for end in self.ends:
            end.reset()
        self._proxy.links.pop(self, None)

    def other(self, end: _End) -> _End:
        """The other of the two ends."""
        return self.ends[1] if end is self.ends[0] else self.ends[0]


class _End(asyncio.Protocol):
    """One socket of a link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.transport: asyncio.Transport | None = None
        self.allowance: int | None = None
        self.early: list[bytes] = []
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._link.closed:
            self.reset()
            return
        other = self._link.other(self)
        early, other.early = other.early, []
        for data in early:
            other.data_received(data)
        if early and other.transport is not None and not other.transport.is_closing():
            other.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        other = self._link.other(self).transport
        if self._link.closed:
            return
        if other is None:
            # Nobody to pass it on to yet. Not paused before: uvloop begins to read after `connection_made` anyway.
            self.early.append(data)
            if self.transport is not None:
                self.transport.pause_reading()
            return
        if self.allowance is not None:
            if len(data) >= self.allowance:
                other.write(data[: self.allowance])
                self._link.cut()
                return
            self.allowance -= len(data)
        other.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self.gone.set()
        other = self._link.other(self).transport
        if not self._link.closed and other is not None and not other.is_closing():
            # An orderly end of one side: pass on what is buffered, then the same end.
            other.close()
        elif not self._link.closed:
            self._link.drop()

    def pause_writing(self) -> None:
        other = self._link.other(self).transport
        if other is not None:
            other.pause_reading()

    def resume_writing(self) -> None:
        other = self._link.other(self).transport
        if other is not None and not other.is_closing():
            other.resume_reading()

    def reset(self) -> None:
        """Close the socket with RST."""
        if self.transport is not None and not self.transport.is_closing():
            peer = cast(socket.socket, self.transport.get_extra_info("socket"))
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
            self.transport.abort()


class CuttingProxy:
    """Forwards connections on loopback, and cuts them. `cuts` counts."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.cuts = 0
        self.links: dict[Link, None] = {}
        self._servers: list[asyncio.Server] = []
        self._dials: dict[asyncio.Task[None], None] = {}
        self._ends: dict[_End, None] = {}

    async def forward(self, host: str, port: int, name: str = "") -> int:
        """Listen at a new port of 127.0.0.1 and pass connections on to the target. Returns the port. `name` is for
        `cut_named`."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: self._accept(host, port, name), "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def cut_about_every(self, seconds: float) -> None:
        """Cut every connection about every so many seconds, at random points. Until cancelled."""
        while True:
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) * seconds / max(1, len(self.links)))
            # The oldest: so every connection has its turn, however many there are.
            oldest = next((link for link in self.links if not link.marked), None)
            if oldest is not None:
                self._cut_soon(oldest)

    def cut_named(self, name: str) -> None:
        """Cut every connection of that name soon, each at a random point."""
        for link in list(self.links):
            if link.name == name and not link.marked:
                self._cut_soon(link)

    def _cut_soon(self, link: Link) -> None:
        link.cut_after(self._rng.randrange(2), self._rng.randint(1, LARGEST_OFFSET))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close everything, and wait until it is closed."""
        for server in self._servers:
            server.close()
        for dial in list(self._dials):
            dial.cancel()
        if self._dials:
            await asyncio.wait(list(self._dials))
        for link in list(self.links):
            link.drop()
        for end in list(self._ends):
            if end.transport is not None:
                end.transport.abort()
                await end.gone.wait()
        for server in self._servers:
            await server.wait_closed()

    def _accept(self, host: str, port: int, name: str) -> asyncio.Protocol:
        link = Link(self, name)
        self.links[link] = None
        self._ends = {end: None for end in self._ends if not end.gone.is_set()}
        self._ends.update(dict.fromkeys(link.ends))
        dial = asyncio.get_running_loop().create_task(self._dial(link, host, port))
        self._dials[dial] = None
        dial.add_done_callback(lambda done: self._dials.pop(done, None))
        return link.ends[0]

    async def _dial(self, link: Link, host: str, port: int) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: link.ends[1], host, port)
        except OSError:
            link.drop()
