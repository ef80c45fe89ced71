"""A process in a namespace that sees whether packets pass: UDP, numbered, answered as they are.

Worker("tests.prove.lab.probe:serve", prefix=namespace.prefix)
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, cast

from tests.prove.control import Control

_NUMBER = struct.Struct("<I")


class _Answers(asyncio.DatagramProtocol):
    """Answers each packet with itself, and counts what came."""

    def __init__(self) -> None:
        self.came: list[int] = []
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.came.append(_NUMBER.unpack_from(data)[0])
        assert self._transport is not None
        self._transport.sendto(data, addr)


class _Asks(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: list[tuple[int, float]] = []

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.answers.append((_NUMBER.unpack_from(data)[0], asyncio.get_running_loop().time()))

    def error_received(self, exc: Exception) -> None:
        """Nobody listens, or there is no route: that is an answer that does not come."""


class Probe:
    """The commands."""

    def __init__(self) -> None:
        self._answers = _Answers()

    async def listen(self, host: str) -> int:
        """Answer at this address from now on; the port."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self._answers, local_addr=(host, 0))
        return int(transport.get_extra_info("sockname")[1])

    async def came(self) -> list[int]:
        """The numbers of all packets that came, in their order."""
        return self._answers.came

    async def ask(
        self, host: str, port: int, *, count: int, gap: float, patience: float, enough: int
    ) -> dict[str, Any]:
        """Send so many numbered packets; the numbers that were answered, in their order, and the round trips. Waits
        until there are `enough` answers, or none has come for `patience` seconds."""
        loop = asyncio.get_running_loop()
        asks = _Asks()
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: asks, remote_addr=(host, port))
        except OSError:
            return {"order": [], "times": []}  # no route
        sent = []
        for number in range(count):
            sent.append(loop.time())
            transport.sendto(_NUMBER.pack(number))
            await asyncio.sleep(gap)
        seen, since = -1, loop.time()
        while len(asks.answers) < enough and loop.time() - since < patience:
            if len(asks.answers) > seen:
                seen, since = len(asks.answers), loop.time()
            await asyncio.sleep(0.01)
        transport.close()
        order = [number for number, _ in asks.answers]
        return {"order": order, "times": [at - sent[number] for number, at in asks.answers]}


async def serve(control: Control) -> None:
    """Run until the control socket closes."""
    probe = Probe()
    control.commands.update(listen=probe.listen, came=probe.came, ask=probe.ask)
    control.emit("ready")
    await control.gone()
