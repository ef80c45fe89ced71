"""WebRTC wires for tests: real connections on 127.0.0.1, described to each other without signaling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from outproc.wires.webrtc.aiortc_engine import AiortcEngine
from outproc.wires.webrtc.engine import Engine, Settings
from outproc.wires.webrtc.sdp_filter import AddressPolicy, read_description
from outproc.wires.webrtc.wire import WebRtcWire

HERE = AddressPolicy(loopback=True)
LOOPBACK = ("127.0.0.1",)


def new_wire(engine: Engine, *, offerer: bool, heartbeat: float = 1.0, dead_after: float = 3.0) -> WebRtcWire:
    settings = Settings(offerer=offerer, addresses=LOOPBACK)
    return WebRtcWire(lambda wire: engine.connect(settings, wire), heartbeat=heartbeat, dead_after=dead_after)


async def connected_wires(
    engine: Engine, other: Engine | None = None, **options: float
) -> tuple[WebRtcWire, WebRtcWire]:
    """An open pair, not started: who offered, and who answered (with the engine `other`, if it has one of its own)."""
    offerer = new_wire(engine, offerer=True, **options)
    answerer = new_wire(other or engine, offerer=False, **options)
    offer = await offerer.connection.offer()
    answer = await answerer.connection.answer(read_description(offer, HERE))
    await offerer.connection.answered(read_description(answer, HERE))
    async with asyncio.timeout(120):
        await asyncio.gather(offerer.opened, answerer.opened)
        # The greeting, in an engine with threads.
        while offerer.buffered_bytes or answerer.buffered_bytes:  # noqa: ASYNC110 - a wire has no event for this
            await asyncio.sleep(0)
    return offerer, answerer


@asynccontextmanager
async def wire_pair(
    engine: Engine | None = None, other: Engine | None = None, **options: float
) -> AsyncIterator[tuple[WebRtcWire, WebRtcWire]]:
    """A pair that is closed, and freed, at the end."""
    wires = await connected_wires(engine or AiortcEngine(), other, **options)
    try:
        yield wires
    finally:
        for wire in wires:
            wire.abort()
        await asyncio.gather(*(wire.connection.aclose() for wire in wires))
