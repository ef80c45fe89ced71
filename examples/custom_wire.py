"""A wire of your own: a stream over a Unix socket, with its builder and listener.

`build` and `listen` are all a manager needs; pass `UnixWireBuilder()` to it. `litz.testing.check_wire` checks
that the wire keeps its promises. Run this file to see two ends talk.
"""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from litz import Endpoint, Wire, WireBuilder, WireListener, WireLoss
from litz.wire_adapter import AdaptedWire


def unix_wire(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Wire:
    async def send(frame: bytes) -> None:
        writer.writelines([len(frame).to_bytes(4, "big"), frame])
        await writer.drain()

    async def receive() -> bytes:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > AdaptedWire.max_frame:
            raise ValueError(f"the peer announced a frame of {size} bytes")
        return await reader.readexactly(size)

    async def close() -> None:
        try:
            writer.close()
            await writer.wait_closed()
        finally:
            writer.transport.abort()

    return AdaptedWire(kind="unix", send=send, receive=receive, close=close, secure=True)


class UnixListener(WireListener):
    def __init__(self, endpoint: Endpoint, server: asyncio.Server) -> None:
        self._endpoint, self._server = endpoint, server

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (self._endpoint,)

    async def aclose(self) -> None:
        self._server.close()
        Path(self._endpoint.address.removeprefix("unix:")).unlink(missing_ok=True)  # noqa: ASYNC240 (one local file)


class UnixWireBuilder(WireBuilder):
    kind, schemes = "unix", ("unix",)

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        return unix_wire(*await asyncio.open_unix_connection(endpoint.address.removeprefix("unix:")))

    async def listen(self, endpoint: Endpoint, accept: Callable[[Wire], None], **options: Any) -> UnixListener:
        path = endpoint.address.removeprefix("unix:")
        server = await asyncio.start_unix_server(lambda *streams: accept(unix_wire(*streams)), path)
        return UnixListener(endpoint, server)

    def is_local(self, endpoint: Endpoint) -> bool:
        return True


class Printer:
    def __init__(self, name: str) -> None:
        self.name, self.closed = name, asyncio.Event()

    def frame_received(self, frame: bytes) -> None:
        print(f"{self.name} got {frame!r}")

    def urgent_received(self, frame: bytes) -> None: ...  # only of a wire with an urgent channel

    def wire_writable(self) -> None: ...

    def wire_closed(self, loss: WireLoss) -> None:
        print(f"{self.name}: {loss}")
        self.closed.set()


async def main() -> None:
    alice, bob = Printer("alice"), Printer("bob")
    with tempfile.TemporaryDirectory() as folder:
        endpoint, builder = Endpoint("unix", f"unix:{folder}/bob"), UnixWireBuilder()
        listener = await builder.listen(endpoint, lambda wire: wire.start(bob))
        wire = await builder.build("bob", endpoint)
        wire.start(alice)
        wire.write([b"hello, ", b"bob"])
        wire.close()
        await bob.closed.wait()
        await alice.closed.wait()
        await listener.aclose()


if __name__ == "__main__":
    asyncio.run(main())
