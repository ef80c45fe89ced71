"""The proxy under torment never changes, doubles or reorders a byte: what arrives is a prefix of what was sent.

Otherwise every later proof through it would prove nothing. `tests.prove.proxy_worker`, with plain sockets.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from random import Random
from typing import Any, Self

import pytest

from tests.prove.processes import Worker

SEED = int(os.environ.get("LITZ_SEED", "1"))
SECONDS = 10.0
CLIENTS = 8
PATTERN = Random(7).randbytes(1 << 20)

pytestmark = pytest.mark.prove


class Check:
    """A server that compares each connection with the pattern, byte by byte."""

    def __init__(self) -> None:
        self.connections = 0
        self.received = 0
        self.wrong: list[str] = []
        self._open = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._open.__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        """Wait until every connection has been read to its end."""
        await self._open.__aexit__(*exc)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.create_task(self.take(reader, writer))

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        position = 0
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                expected = (PATTERN[position % len(PATTERN) :] + PATTERN)[: len(chunk)]
                if chunk != expected:
                    self.wrong.append(f"connection {self.connections} differs after {position} bytes")
                position += len(chunk)
                self.received += len(chunk)
        writer.close()


async def pour(host: str, port: int) -> None:
    """Send the pattern over and over, on a new connection whenever one dies."""
    while True:
        await asyncio.sleep(0.01)
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            try:
                while True:
                    writer.write(PATTERN)
                    async with asyncio.timeout(2):
                        await writer.drain()
                    await asyncio.sleep(0.01)
            except TimeoutError:
                continue  # blackholed: a patient sender gives up some time
            finally:
                writer.transport.abort()


async def test_what_arrives_is_a_prefix_of_what_was_sent() -> None:
    async with Check() as check, await asyncio.start_server(check.accept, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with Worker("tests.prove.proxy_worker:serve", host=host, port=port, seed=SEED) as proxy:
            where = await proxy.control.call("where")
            await proxy.control.call("torment", seed=SEED)
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
                    for _ in range(CLIENTS):
                        group.create_task(pour(*where))
            counts = await proxy.control.call("counts")
    print(f"LITZ_SEED={SEED}: {check.received:,} bytes on {check.connections} connections; {counts}")
    assert check.wrong == []
    assert check.received > 10 << 20
    assert check.connections > 10
