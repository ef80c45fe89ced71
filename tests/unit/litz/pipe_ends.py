"""Both kinds of users of a side: asyncio's readers and writers, and a protocol that writes down what it is told."""

from __future__ import annotations

import asyncio
from typing import Any

from litz.pipe_transport import PipeTransport
from tests.unit.litz.side_pair import MemorySide

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def streams(side: MemorySide, *, limit: int = 64 * 1024) -> Streams:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport = PipeTransport(loop, side, protocol, {"litz.service": "test"})
    transport.start()
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class Recorder(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self, *, stays: bool = True) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.stays = stays
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        self.data += data

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return self.stays

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.lost.set_result(exc)


def recorded(side: MemorySide, protocol: asyncio.BaseProtocol | None = None) -> tuple[PipeTransport, Any]:
    protocol = protocol or Recorder()
    transport = PipeTransport(asyncio.get_running_loop(), side, protocol, {"litz.service": "test"})
    transport.start()
    return transport, protocol


async def turns(count: int = 100) -> None:
    """So many turns of the loop: what the sides in memory have to tell each other is said, however slow the machine."""
    for _ in range(count):
        await asyncio.sleep(0)
