"""Both ends of the bare aiortc contestant: a stock `RTCPeerConnection` and one data channel, on loopback, on uvloop.

It is given what an application would have to add itself: the sender keeps a window of buffered bytes, because `send`
never pushes back.
"""

from __future__ import annotations

import asyncio
import time

import aioice.ice
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from tests.prove.control import Control

WINDOW = 256 * 1024
END = b"end"


def _on_loopback() -> RTCPeerConnection:
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def _channel(connection: RTCPeerConnection) -> RTCDataChannel:
    return connection.createDataChannel("bare", negotiated=True, id=0)


async def far(control: Control) -> None:
    """Counts what comes, and answers the end mark with the count."""
    connection = _on_loopback()
    channel = _channel(connection)
    received = 0

    def count(message: bytes) -> None:
        nonlocal received
        received += 1
        if message == END:
            channel.send(str(received).encode())
            received = 0

    async def answered(sdp: str) -> None:
        await connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    channel.on("message", count)
    control.commands["answered"] = answered
    await connection.setLocalDescription(await connection.createOffer())
    control.emit("ready", url=connection.localDescription.sdp)
    await control.gone()
    await connection.close()


async def near(control: Control, *, url: str) -> None:
    """`one_way(count, size)`: seconds until all has arrived. `url` is the offer."""
    connection = _on_loopback()
    channel = _channel(connection)
    opened, room = asyncio.Event(), asyncio.Event()
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    channel.bufferedAmountLowThreshold = WINDOW // 4
    channel.on("open", opened.set)
    channel.on("bufferedamountlow", room.set)
    channel.on("message", answers.put_nowait)

    async def one_way(count: int, size: int) -> float:
        await opened.wait()
        payload = b"x" * size
        begun = time.perf_counter()
        for number in range(count):
            while channel.bufferedAmount > WINDOW:
                room.clear()
                await room.wait()
            channel.send(payload)
            if number % 64 == 63:
                await asyncio.sleep(0)
        channel.send(END)
        answer = await answers.get()
        took = time.perf_counter() - begun
        if int(answer) != count + 1:
            raise RuntimeError(f"sent {count + 1} messages, {int(answer)} arrived")
        return took

    control.commands["one_way"] = one_way
    await connection.setRemoteDescription(RTCSessionDescription(url, "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    control.emit("ready", sdp=connection.localDescription.sdp)
    await control.gone()
    await connection.close()
