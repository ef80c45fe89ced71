"""Who comes while too many are in their handshake waits for the answer to its opening handshake, and is let in."""

from __future__ import annotations

import asyncio

from outproc import OutprocTransportManager, TransportOptions
from outproc.wires.websocket import WebSocketWireBuilder
from outproc.wires.websocket.refusal import SUBPROTOCOL

OPENING = (
    b"GET /litz HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: %s\r\n\r\n"
)


async def knock(port: int, subprotocol: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(OPENING % subprotocol)
    return reader, writer


async def answered(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(60):
        return await reader.readuntil(b"\r\n\r\n")


async def test_one_who_waits_is_answered_when_its_turn_has_come() -> None:
    options = TransportOptions(unauthenticated_per_ip=1, handshake_timeout=600)
    async with OutprocTransportManager("bob", builders=[WebSocketWireBuilder()], options=options) as bob:
        listener = await bob.listen("ws://127.0.0.1:0")
        port = int(str(listener.endpoints[0]).rpartition(":")[2])
        first, first_writer = await knock(port, SUBPROTOCOL.encode())
        assert (await answered(first)).startswith(b"HTTP/1.1 101")
        second, second_writer = await knock(port, SUBPROTOCOL.encode())
        reading = asyncio.ensure_future(answered(second))
        await asyncio.sleep(0.3)
        assert not reading.done(), "it waits, and its patience for the handshake has not begun"
        first_writer.close()
        assert (await reading).startswith(b"HTTP/1.1 101")
        second_writer.close()


async def test_a_crowd_of_honest_peers_is_let_in_with_one_dial_each() -> None:
    options = TransportOptions(unauthenticated=4, unauthenticated_per_ip=1)
    async with OutprocTransportManager("bob", builders=[WebSocketWireBuilder()], options=options) as bob:
        listener = await bob.listen("ws://127.0.0.1:0")
        url = str(listener.endpoints[0])
        crowd = [
            OutprocTransportManager(f"peer{number}", builders=[WebSocketWireBuilder()], directory={"bob": [url]})
            for number in range(40)
        ]
        try:
            for peer in crowd:
                await peer.__aenter__()
            await asyncio.gather(*(peer.send("bob", b"x", confirm="received", timeout=100) for peer in crowd))
            assert len(bob.list_dests()) == len(crowd)
        finally:
            await asyncio.gather(*(peer.aclose() for peer in crowd))
