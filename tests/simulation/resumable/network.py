"""Connections between an active and a passive end, and what becomes of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

from litz.errors import HandshakeError, ProtocolError, ResumeImpossibleError
from litz.resumable_pipe import ResumablePipe
from litz.testing import SimStream

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def connection(
    loop: asyncio.AbstractEventLoop, *, seed: int | str, fragment: int = 16 * 1024, system_buffer: int = 64 * 1024
) -> tuple[SimStream, Streams, Streams]:
    """A stream, and both ends as asyncio's readers and writers."""
    readers = [asyncio.StreamReader(loop=loop) for _ in range(2)]
    protocols = [asyncio.StreamReaderProtocol(reader, loop=loop) for reader in readers]
    stream = SimStream(loop, *protocols, seed=seed, fragment=fragment, system_buffer=system_buffer)
    transports = (stream.client, stream.server)
    client, server = (
        (reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        for reader, transport, protocol in zip(readers, transports, protocols, strict=True)
    )
    return stream, client, server


class Network:
    """Dials for the active end, and gives the other end of each connection to the passive one.

    made     is called with each connection as it is made: cut it, stall it, or let it be
    latency  seconds until a dial has its connection, drawn from 0 on
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seed: int | str,
        *,
        made: Callable[[SimStream], None] = lambda stream: None,
        fragment: int = 16 * 1024,
        system_buffer: int = 64 * 1024,
        latency: float = 0.01,
    ) -> None:
        self._loop = loop
        self._rng = random.Random(f"network {seed}")
        self._made = made
        self.fragment = fragment
        self._system_buffer = system_buffer
        self._latency = latency
        self.passive: ResumablePipe
        self.streams: list[SimStream] = []
        self.dialling = 0
        self.most_dialling = 0
        self.refused = 0
        self.refusing = False
        self.late = 0.0
        """Seconds by which the passive end hears of a connection later."""
        self._attaching: list[asyncio.Task[None]] = []
        self.errors: list[BaseException] = []

    async def dial(self) -> Streams:
        """For the active end."""
        self.dialling += 1
        self.most_dialling = max(self.most_dialling, self.dialling)
        try:
            await asyncio.sleep(self._rng.random() * self._latency)
            if self.refusing:
                self.refused += 1
                raise ConnectionRefusedError("nobody there")
            return self.connect()
        finally:
            self.dialling -= 1

    def connect(self) -> Streams:
        """A connection now; its other end goes to the passive pipe."""
        stream, client, server = connection(
            self._loop,
            seed=f"{self._rng.random()}",
            fragment=self.fragment,
            system_buffer=self._system_buffer,
        )
        self.streams.append(stream)
        self._made(stream)
        self._attaching = [task for task in self._attaching if not task.done()]
        self._attaching.append(self._loop.create_task(self._attach(server, self.late), name="attach"))
        return client

    async def _attach(self, server: Streams, late: float) -> None:
        await asyncio.sleep(late)
        try:
            await self.passive.attach(*server)
        except (OSError, EOFError, HandshakeError, ProtocolError, ResumeImpossibleError) as error:
            self.errors.append(error)

    async def aclose(self) -> None:
        """Wait for those that are shaking hands."""
        for stream in self.streams:
            stream.cut()
        if self._attaching:
            await asyncio.wait(self._attaching)
        for task in self._attaching:
            with suppress(asyncio.CancelledError):
                task.result()
