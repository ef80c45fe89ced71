"""The wires of one node of `litz demo`: three kinds to each dest, watched, shown and killed."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from litz.errors import ConnectError
from litz.events import WireDown, WireUp
from litz.payload import PayloadType
from litz.snapshot import DestSnapshot
from litz.wire import WireBuilder
from outproc.cli.demo_kills import KINDS
from outproc.dest_transport import DestTransport
from outproc.manager import OutprocTransportManager
from outproc.relay_options import RelayOptions
from outproc.security.shared_key import SharedKeyAuthenticator
from outproc.wires.relay.builder import RelayWireBuilder
from outproc.wires.webrtc.builder import WebRtcWireBuilder
from outproc.wires.webrtc.options import WebRtcOptions
from outproc.wires.websocket import WebSocketWireBuilder

HUB: Final = "hub"
"""The id of the node that relays for the others."""

NO_UDP_VARIABLE: Final = "LITZ_DEMO_NO_UDP"
"""For tests: set, it lets no WebRTC wire find a path, as on a host where UDP is blocked."""

LANE_NAMES: Final = {
    PayloadType.RPC_RELIABLE: "rpc",
    PayloadType.RPC_SIGNAL: "signal",
    PayloadType.STREAM_RELIABLE: "stream",
}
"""The payload types of the demo, short enough for a table."""


def make_manager(local_id: str, secret: bytes) -> OutprocTransportManager:
    """The manager of a node, which shares `secret` with the others. As `HUB` it relays, and has WebSockets only.

    Nothing leaves loopback. Relay wires need an authenticator, because they are sealed end to end.
    """
    authenticator = SharedKeyAuthenticator(secret)
    if local_id == HUB:
        serving: list[WireBuilder] = [WebSocketWireBuilder(), RelayWireBuilder()]
        return OutprocTransportManager(HUB, authenticator=authenticator, builders=serving, relay=RelayOptions())
    blocked = NO_UDP_VARIABLE in os.environ
    webrtc = WebRtcOptions(
        loopback=True, addresses=("127.0.0.1",), allow_address=(lambda _: False) if blocked else None
    )
    builders: list[WireBuilder] = [WebSocketWireBuilder(), WebRtcWireBuilder(webrtc), RelayWireBuilder(via=[HUB])]
    return OutprocTransportManager(local_id, authenticator=authenticator, builders=builders)


class NodeWires:
    """The wires of one node, all dests. Follows the manager's events: see `follow`."""

    def __init__(self, manager: OutprocTransportManager) -> None:
        self._manager = manager
        self._transports: dict[str, DestTransport] = {}
        self._up: Counter[tuple[str, str]] = Counter()
        self._broken: dict[tuple[str, str], None] = {}
        self._opened: dict[tuple[str, str], None] = {}
        self._heals: Counter[tuple[str, str]] = Counter()
        self._killed: Counter[str] = Counter()

    async def connect(self, dest: str) -> None:
        """Connect to `dest`, so that its wires can be killed. Tries until it can, or is cancelled."""
        while dest not in self._transports:
            try:
                self._transports[dest] = await self._manager.get_or_create_transport(dest)
            except ConnectError:
                await asyncio.sleep(0.2)

    async def follow(self) -> None:
        """Count what heals, until cancelled: a kind of wire of which the last one broke and that is up again."""
        async for _, event in self._manager.events():
            if isinstance(event, WireUp):
                key = (event.dest, event.kind)
                self._up[key] += 1
                self._opened[key] = None
                if key in self._broken:
                    del self._broken[key]
                    self._heals[key] += 1
            elif isinstance(event, WireDown):
                key = (event.dest, event.kind)
                self._up[key] -= 1
                if not self._up[key]:
                    self._broken[key] = None

    def begin(self) -> None:
        """From now on wires are killed; what came and went before, while both sides dialled, was no heal."""
        self._heals.clear()

    def kill(self, dest: str, kinds: Sequence[str]) -> None:
        """Abort the wires of these kinds, all in one turn of the loop: nothing is flushed, nobody says goodbye."""
        transport = self._transports.get(dest)
        for link in list(transport.links) if transport is not None else ():
            if link.wire.kind in kinds:
                self._killed[dest] += 1
                link.wire.abort()

    def row(self, dest: DestSnapshot) -> dict[str, Any]:
        """What the parent is told of the wires to one dest."""
        carries: dict[str, list[str]] = {}
        for lane in dest.lanes:
            for payload_type, name in LANE_NAMES.items():
                if lane.lane == payload_type:
                    carries.setdefault(lane.wire, []).append(name)
        wires = {
            wire.kind: {
                "route": wire.route,
                "state": wire.state,
                "round_trip": wire.round_trip,
                "carries": carries.get(wire.wire, []),
            }
            for wire in dest.wires
        }
        trouble = {slot.endpoint.partition(":")[0]: slot.last_error for slot in dest.slots if slot.last_error}
        return {
            "wires": wires,
            "opened": [kind for kind in KINDS if (dest.dest, kind) in self._opened],
            "trouble": trouble,
            "heals": {kind: self._heals[dest.dest, kind] for kind in KINDS},
            "all_down": dest.heals,
            "killed": self._killed[dest.dest],
        }
