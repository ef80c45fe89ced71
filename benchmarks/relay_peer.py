"""What `litz forward` is measured against, and by: a plain TCP relay of asyncio, and the two ends that move bytes.

The ends use blocking sockets in threads, so that they are never what is slow.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Final, cast

from tests.prove.control import Control

_ORDER: Final = struct.Struct("<cQ")
"""What a client asks the far end for: `u` it will send so many bytes, `d` it wants so many."""
_PIECE: Final = 1 << 20
PATIENCE: Final = 60.0
"""Seconds for a piece to move before a run counts as stuck."""


class _End(asyncio.Protocol):
    """One of the two sockets of a relayed connection."""

    def __init__(self, other: _End | None = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self.early.append(data)  # uvloop reads a little although it is paused
        else:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class _Accepting(_End):
    """The one that was accepted: reads nothing until the target is there."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._target = (host, port)
        self._dial: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._dial = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        assert self.transport is not None
        self.transport.pause_reading()
        other = _End(self)
        to, _ = await asyncio.get_running_loop().create_connection(lambda: other, *self._target)
        self.other = other
        to.writelines(self.early)
        self.transport.resume_reading()


async def relay(control: Control, *, port: int) -> None:
    """Pass on what comes at a new port of loopback to `port`, and back."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Accepting("127.0.0.1", port), "127.0.0.1", 0)
    control.emit("ready", port=server.sockets[0].getsockname()[1])
    await control.gone()
    server.close()


async def far(control: Control) -> None:
    """Takes orders on a port of loopback: swallows so many bytes, or sends so many."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    gone = asyncio.create_task(control.gone())

    def take() -> None:
        while not gone.done():
            try:
                end, _ = listener.accept()
            except TimeoutError:
                continue
            with end:
                end.settimeout(PATIENCE)
                way, count = _ORDER.unpack(end.recv(_ORDER.size, socket.MSG_WAITALL))
                if way == b"u":
                    _swallow(end, count)
                    end.sendall(b"k")
                else:
                    _pour(end, count)

    taking = asyncio.create_task(asyncio.to_thread(take))
    control.emit("ready", port=listener.getsockname()[1])
    await gone
    await taking
    listener.close()


async def near(control: Control) -> None:
    """`move(port, way, size)`: seconds until `size` bytes have gone through `port` to the far end, or come from it."""

    async def move(port: int, way: str, size: int) -> float:
        return await asyncio.to_thread(_move, port, way.encode(), size)

    control.commands["move"] = move
    control.emit("ready")
    await control.gone()


def _move(port: int, way: bytes, size: int) -> float:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as end:
        begun = time.perf_counter()
        end.sendall(_ORDER.pack(way, size))
        if way == b"u":
            _pour(end, size)
            if end.recv(1) != b"k":
                raise ConnectionError("the far end did not get everything")
        else:
            _swallow(end, size)
        return time.perf_counter() - begun


def _pour(end: socket.socket, size: int) -> None:
    piece = memoryview(bytes(range(256)) * (_PIECE // 256))
    while size:
        end.sendall(piece[:size])
        size -= min(size, _PIECE)


def _swallow(end: socket.socket, size: int) -> None:
    room = memoryview(bytearray(_PIECE))
    while size:
        count = end.recv_into(room[: min(size, _PIECE)])
        if not count:
            raise ConnectionError(f"{size} bytes are missing")
        size -= count
