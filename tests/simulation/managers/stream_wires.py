"""The real WebSocket wire over seeded byte streams: the driver of `outproc.wires.websocket` without sockets.

The opening handshake over HTTP is left out: it has tests of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from websockets.protocol import CLIENT, OPEN, SERVER, Protocol

from litz.testing import SimStream, SimTransport
from litz.wire import AcceptWire, Endpoint, Wire, WireBuilder, WireListener, WirePath
from outproc.wires.websocket.driver import WebSocketWire

MAX_FRAME = 8_192


class Streams:
    """All byte streams between the nodes of one story. `on_stream` is told of each new one, to cut it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seed: int) -> None:
        self.loop = loop
        self.seed = seed
        self.fragment = 1_024
        self.made: list[SimStream] = []
        self.listeners: dict[str, StreamListener] = {}
        self.on_stream: Callable[[SimStream], None] = lambda stream: None

    def connect(self, accept: AcceptWire) -> Wire:
        """A dialled wire; its other end is accepted."""
        number = len(self.made)
        # The wires take their ends over as soon as there are transports; these two never hear anything.
        stream = SimStream(
            self.loop, asyncio.Protocol(), asyncio.Protocol(), seed=f"{self.seed} {number}", fragment=self.fragment
        )
        self.made.append(stream)
        dialled = _wire(stream.client, Protocol(CLIENT, state=OPEN, max_size=MAX_FRAME), f"{number}")
        accept(_wire(stream.server, Protocol(SERVER, state=OPEN, max_size=MAX_FRAME), f"{number}"))
        self.on_stream(stream)
        return dialled


def _wire(transport: SimTransport, protocol: Protocol, number: str) -> WebSocketWire:
    path = WirePath("direct", f"stream {number}", f"stream {number}")
    return WebSocketWire(transport, protocol, path=path, secure=True, max_frame=MAX_FRAME)


class StreamListener(WireListener):
    """One listening address."""

    def __init__(self, streams: Streams, endpoint: Endpoint, accept: AcceptWire) -> None:
        self._streams = streams
        self._endpoint = endpoint
        self.accept = accept

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (self._endpoint,)

    async def aclose(self) -> None:
        self._streams.listeners.pop(self._endpoint.address, None)


class StreamBuilder(WireBuilder):
    """Dials and listens on `Streams`."""

    kind = "websocket"
    schemes: Sequence[str] = ("ws",)

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.dials = 0

    def is_local(self, endpoint: Endpoint) -> bool:
        return True

    async def listen(self, endpoint: Endpoint, accept: AcceptWire, **options: Any) -> StreamListener:
        listener = self._streams.listeners[endpoint.address] = StreamListener(self._streams, endpoint, accept)
        return listener

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        self.dials += 1
        await asyncio.sleep(0.002)
        listener = self._streams.listeners.get(endpoint.address)
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens at {endpoint}")
        return self._streams.connect(listener.accept)
