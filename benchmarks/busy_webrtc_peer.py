"""Both ends of a WebRTC wire that is full of bulk while requests are made over it.

With `apart` false nothing rides on the urgent channel: everything shares one, as on any other wire.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.litz_webrtc_peer import webrtc_manager
from litz import Message, PayloadType
from outproc.wires.webrtc import builder
from outproc.wires.webrtc.engines import EngineName
from outproc.wires.webrtc.wire import WebRtcWire
from tests.prove.control import Control

BULK = b"x" * (1 << 20)


def _answer(message: Message) -> bytes | None:
    return bytes(message.data) if message.is_request else None


class _OneChannel(WebRtcWire):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.urgent = None


def _share(*, apart: bool) -> None:
    if not apart:
        vars(builder)["WebRtcWire"] = _OneChannel  # in a process of its own


async def far(control: Control, *, engine: EngineName, apart: bool) -> None:
    """Answers requests with themselves, and takes everything else."""
    _share(apart=apart)
    async with webrtc_manager("bob", engine) as bob:
        await bob.listen("ws://127.0.0.1:0")
        serving = asyncio.create_task(bob.serve(_answer))
        control.emit("ready", url=bob.endpoints[0])
        await control.gone()
        serving.cancel()


async def near(control: Control, *, url: str, engine: EngineName, apart: bool) -> None:
    """`echo(count, size)`: seconds of each of `count` requests, one after the other, while bulk is sent."""
    _share(apart=apart)
    async with webrtc_manager("alice", engine, {"bob": [url]}) as alice:

        async def flood() -> None:
            while True:
                await alice.send("bob", BULK, payload_type=PayloadType.STREAM_RELIABLE)

        async def echo(count: int, size: int) -> list[float]:
            flooding = asyncio.create_task(flood())
            took = []
            for index in range(count + 10):
                begun = time.perf_counter()
                await alice.request("bob", b"x" * size, timeout=30)
                if index >= 10:  # by then the wire is full
                    took.append(time.perf_counter() - begun)
            flooding.cancel()
            await asyncio.gather(flooding, return_exceptions=True)
            await alice.drain()
            return took

        await alice.send("bob", b"hello", confirm="received")
        control.commands["echo"] = echo
        control.emit("ready")
        await control.gone()
