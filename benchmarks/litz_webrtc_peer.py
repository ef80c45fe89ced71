"""Both ends of the litz contestant over WebRTC: messages ride on WebRTC only, a WebSocket carries the signaling."""

from __future__ import annotations

import asyncio

from benchmarks.litz_peer import count_messages, one_way_command
from litz import PayloadType
from outproc import OutprocTransportManager, TransportOptions
from outproc.wires.webrtc.builder import WebRtcWireBuilder
from outproc.wires.webrtc.engines import EngineName
from outproc.wires.webrtc.options import WebRtcOptions
from outproc.wires.websocket import WebSocketWireBuilder
from tests.prove.control import Control

_PREFERENCE = dict.fromkeys(PayloadType, ("webrtc",)) | {PayloadType.RPC_SIGNAL: ("webrtc", "*")}


def webrtc_manager(
    name: str, engine: EngineName, directory: dict[str, list[str]] | None = None
) -> OutprocTransportManager:
    """A manager whose messages ride on WebRTC."""
    builders = [WebSocketWireBuilder(), WebRtcWireBuilder(WebRtcOptions(upgrade_after=0.01, engine=engine))]
    options = TransportOptions(wire_preference=_PREFERENCE)
    return OutprocTransportManager(name, directory=directory, builders=builders, options=options)


async def far(control: Control, *, engine: EngineName) -> None:
    """Counts what comes on `messages()`, and answers the end mark."""
    async with webrtc_manager("bob", engine) as bob:
        await bob.listen("ws://127.0.0.1:0")
        counting = asyncio.create_task(count_messages(bob))
        control.emit("ready", url=bob.endpoints[0])
        await control.gone()
        counting.cancel()


async def near(control: Control, *, url: str, engine: EngineName) -> None:
    """`one_way(count, size)`: seconds until all has arrived."""
    async with webrtc_manager("alice", engine, {"bob": [url]}) as alice:
        control.commands["one_way"] = await one_way_command(alice)
        control.emit("ready")
        await control.gone()
