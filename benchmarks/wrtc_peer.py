"""Both ends of the bare wrtc contestant: a stock `RTCPeerConnection` of libwebrtc and one data channel, on uvloop.

It is given what an application would have to add itself: the sender keeps a window of buffered bytes, because `send`
never pushes back.
"""

from __future__ import annotations

import asyncio
import time

import webrtc

from tests.prove.control import Control

WINDOW = 1024 * 1024
END = b"end"


def _connection() -> tuple[webrtc.RTCPeerConnection, webrtc.RTCDataChannel]:
    webrtc.allow_loopback()
    connection = webrtc.RTCPeerConnection()
    return connection, connection.create_data_channel("bare", webrtc.RTCDataChannelInit(negotiated=True, id=0))


async def _described(connection: webrtc.RTCPeerConnection) -> str:
    """Our description, with all candidates."""
    gathered = asyncio.Event()
    done = webrtc.RTCIceGatheringState.complete
    connection.on("icegatheringstatechange", lambda event: gathered.set())
    while connection.ice_gathering_state != done:
        gathered.clear()
        await gathered.wait()
    description = connection.local_description
    assert description is not None
    return _on_loopback(description.sdp)


def _on_loopback(sdp: str) -> str:
    """Without the candidates of other interfaces: litz runs on 127.0.0.1 too, where the library chooses by itself."""
    lines = sdp.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("a=candidate:") or " 127.0.0.1 " in line)


async def far(control: Control) -> None:
    """Counts what comes, and answers the end mark with the count."""
    connection, channel = _connection()
    received = 0

    def count(event: webrtc.MessageEvent) -> None:
        nonlocal received
        received += 1
        if event.data == END:
            channel.send(str(received).encode())
            received = 0

    async def answered(sdp: str) -> None:
        await connection.set_remote_description(webrtc.RTCSessionDescriptionInit(type="answer", sdp=sdp))

    channel.on("message", count)
    control.commands["answered"] = answered
    await connection.set_local_description(await connection.create_offer())
    control.emit("ready", url=await _described(connection))
    await control.gone()
    connection.close()


async def near(control: Control, *, url: str) -> None:
    """`one_way(count, size)`: seconds until all has arrived. `url` is the offer."""
    connection, channel = _connection()
    opened, room = asyncio.Event(), asyncio.Event()
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    channel.buffered_amount_low_threshold = WINDOW // 4
    channel.on("open", lambda event: opened.set())
    channel.on("bufferedamountlow", lambda event: room.set())

    def answer(event: webrtc.MessageEvent) -> None:
        assert isinstance(event.data, bytes)
        answers.put_nowait(event.data)

    async def one_way(count: int, size: int) -> float:
        await opened.wait()
        payload = b"x" * size
        begun = time.perf_counter()
        for number in range(count):
            while channel.buffered_amount > WINDOW:
                room.clear()
                await room.wait()
            channel.send(payload)
            if number % 64 == 63:
                await asyncio.sleep(0)
        channel.send(END)
        came = await answers.get()
        took = time.perf_counter() - begun
        if int(came) != count + 1:
            raise RuntimeError(f"sent {count + 1} messages, {int(came)} arrived")
        return took

    channel.on("message", answer)
    control.commands["one_way"] = one_way
    await connection.set_remote_description(webrtc.RTCSessionDescriptionInit(type="offer", sdp=url))
    await connection.set_local_description(await connection.create_answer())
    control.emit("ready", sdp=await _described(connection))
    await control.gone()
    connection.close()
