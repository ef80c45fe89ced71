"""Nodes in one loop that carry each other's signaling, for tests of builders without managers.

Messages of a pair arrive in order, one loop turn later; proofs are HMACs that only the named node can make.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from litz.errors import UnauthenticatedError
from litz.node_port import PortSubscriber
from litz.wire import Endpoint, Wire
from outproc.wires.webrtc.builder import WebRtcWireBuilder
from outproc.wires.webrtc.options import WebRtcOptions
from outproc.wires.webrtc.wire import WebRtcWire

LOCAL = WebRtcOptions(upgrade_after=0.01, engine="aiortc")


class TownPort:
    """One node's port: of `NodePort`, what WebRTC asks. It proves nothing for the manager: only loopback is used."""

    proves = "nothing"
    settings: Mapping[str, object] = {}

    def __init__(self, town: Town, local_id: str) -> None:
        self.town = town
        self.local_id = local_id
        self.accepted: asyncio.Queue[Wire] = asyncio.Queue()
        self.subscriber: PortSubscriber | None = None
        self.announced: set[str] = set()
        self.posted: list[tuple[str, bytes]] = []
        self.changes = 0
        self.asked: list[tuple[str, str]] = []
        """Addresses shown to the manager's filter, with where they came from."""

    def allows(self, host: str, port: int, source: str) -> bool:
        self.asked.append((host, source))
        return True

    def announce(self, feature: str) -> None:
        self.announced.add(feature)

    def features(self, dest: str) -> frozenset[str]:
        return frozenset(self.town.ports[dest].announced) if self.session_name(dest) else frozenset()

    def endpoints_changed(self) -> None:
        self.changes += 1

    def subscribe(self, topic: str, subscriber: PortSubscriber) -> None:
        assert topic == "webrtc"
        self.subscriber = subscriber

    def post(self, dest: str, topic: str, data: bytes) -> bool:
        self.posted.append((dest, data))
        other = self.town.ports.get(dest)
        if other is None or not self.session_name(dest):
            return False
        if self.town.carries(self.local_id, dest, data):
            asyncio.get_running_loop().call_soon(other.deliver, self.local_id, data)
        return True

    def deliver(self, sender: str, data: bytes) -> None:
        if self.subscriber is not None:
            self.subscriber.received(sender, memoryview(data))

    async def session_up(self, dest: str) -> None:
        while not self.session_name(dest):
            await self.town.changed.wait()

    def session_name(self, dest: str) -> str:
        return self.town.sessions.get(frozenset((self.local_id, dest)), "")

    def sign(self, topic: str, dest: str, data: bytes) -> bytes:
        return hmac.digest(self.local_id.encode(), data, hashlib.sha256)

    async def verify(self, topic: str, sender: str, data: bytes, proof: bytes) -> bool:
        await asyncio.sleep(0)
        if proof != hmac.digest(sender.encode(), data, hashlib.sha256):
            raise UnauthenticatedError("a proof of somebody else")
        return True

    def accept(self, wire: Wire, introducer: str) -> None:
        self.accepted.put_nowait(wire)


class Town:
    """All nodes. `carries(sender, receiver, data)` may be replaced to lose messages or to look at them."""

    def __init__(self) -> None:
        self.ports: dict[str, TownPort] = {}
        self.builders: dict[str, WebRtcWireBuilder] = {}
        self.sessions: dict[frozenset[str], str] = {}
        self.changed = asyncio.Event()
        self.carries: Callable[[str, str, bytes], bool] = lambda sender, receiver, data: True
        self._serial = 0

    def add(self, name: str, options: WebRtcOptions = LOCAL) -> WebRtcWireBuilder:
        port = self.ports[name] = TownPort(self, name)
        builder = self.builders[name] = WebRtcWireBuilder(options)
        builder.attach(port)  # type: ignore[arg-type]  # it has what is asked of it
        return builder

    def meet(self, one: str, other: str) -> None:
        """A new session of the two; an old one ends."""
        pair = frozenset((one, other))
        if pair in self.sessions:
            self.part(one, other)
        self._serial += 1
        self.sessions[pair] = f"session|{self._serial}"
        self.changed.set()
        self.changed = asyncio.Event()
        for name, peer in ((one, other), (other, one)):
            port = self.ports[name]
            if port.subscriber is not None:
                port.subscriber.session_began(peer)

    def part(self, one: str, other: str) -> None:
        del self.sessions[frozenset((one, other))]
        for name, peer in ((one, other), (other, one)):
            port = self.ports.get(name)
            if port is not None and port.subscriber is not None:
                port.subscriber.session_ended(peer)

    async def dial(self, name: str, dest: str) -> WebRtcWire:
        return await self.builders[name].build(dest, Endpoint("webrtc", f"webrtc:{dest}"))


@asynccontextmanager
async def town_of(*names: str, options: WebRtcOptions = LOCAL) -> AsyncIterator[Town]:
    """Nodes that all have sessions with each other. At the end all is closed and no task may be left."""
    before = asyncio.all_tasks()
    town = Town()
    for name in names:
        town.add(name, options)
    for one in names:
        for other in names:
            if one < other:
                town.meet(one, other)
    try:
        yield town
    finally:
        async with asyncio.timeout(120):
            await asyncio.gather(*(builder.aclose() for builder in town.builders.values()))
    left = asyncio.all_tasks() - before
    assert not left, f"left: {left}"
