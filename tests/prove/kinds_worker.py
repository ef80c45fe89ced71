"""A node that is reached by WebSocket, WebRTC and relay at once, and that can kill its own wires from inside.

    Worker("tests.prove.kinds_worker:serve", name="a", other="b", via=["hub"], engine="aiortc", pace=0.002)

Every payload type prefers another kind of wire, so that each kind carries something whenever it is up. The word of an
abort is one datagram; where a busy machine drops it, the silence of a WebRTC wire is found within 1.5 s. Every message
ends with the time at which it was sent: all processes of one machine share that clock.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from bisect import bisect_left
from typing import Any, Final, Literal

from litz.events import LaneMoved, WireDown, WireUp
from litz.payload import ANY_KIND, PayloadType
from litz.wire import LossReason, Wire, WireLoss
from outproc import OutprocTransportManager, TransportOptions
from outproc.wire_choice import BestWire
from outproc.wires.relay.builder import RelayWireBuilder
from outproc.wires.relay.wire import RelayWire
from outproc.wires.webrtc.builder import WebRtcWireBuilder
from outproc.wires.webrtc.engines import EngineName
from outproc.wires.webrtc.options import WebRtcOptions
from outproc.wires.webrtc.wire import WebRtcWire
from outproc.wires.websocket import WebSocketWireBuilder
from outproc.wires.websocket.driver import WebSocketWire
from tests.prove.control import Control
from tests.prove.manager_worker import Desk
from tests.prove.percentiles import percentile
from tests.prove.traffic import HEAD, Checker, Pattern, lane_of

PREFERENCE: Final = {
    **dict.fromkeys(PayloadType, ("websocket", ANY_KIND)),
    PayloadType.RPC_RELIABLE: ("webrtc", ANY_KIND),
    PayloadType.RPC_SIGNAL: ("relay", ANY_KIND),
}
LARGEST: Final = 128 * 1024
TRIP_EVERY: Final = 501
"""Of so many messages one waits for its ack: that is the round trip. It comes by all lanes."""
AFTER: Final = 0.02
"""A message sent within so many seconds after a loss was detected is concerned by it as well."""
LOOK_EVERY: Final = 0.005
_STAMP: Final = struct.Struct("<d")
_RESET: Final = struct.pack("ii", 1, 0)
VERBS: Final = ("where", "hint", "connect", "connected", "expect", "consume", "send", "progress", "drain", "state")
OWN_VERBS: Final = ("go", "hurry", "kill", "wires", "failovers", "delays", "waits", "transits", "trips")


async def serve(
    control: Control, *, name: str, other: str, via: list[str], engine: EngineName, options: dict[str, Any], pace: float
) -> None:
    """Run until the control socket closes. Messages are sent `pace` seconds apart until `go` or `hurry`."""
    made = OutprocTransportManager(
        name,
        options=TransportOptions(wire_preference=PREFERENCE, wire_policy=BestWire(steady=0.3), **options),
        builders=[
            WebSocketWireBuilder(),
            WebRtcWireBuilder(WebRtcOptions(engine=engine, upgrade_after=0.05, heartbeat=0.3, dead_after=1.2)),
            RelayWireBuilder(via=via),
        ],
    )
    async with made as manager:
        await manager.listen("ws://127.0.0.1:0")
        desk = KindsDesk(manager, other, pace)
        for verb in VERBS + OWN_VERBS:
            control.commands[verb] = getattr(desk, verb)
        watching = [asyncio.create_task(job()) for job in (desk.watch, desk.watch_wires, desk.watch_processor)]
        control.emit("ready")
        try:
            await control.gone()
        finally:
            await desk.stop(*watching)


Failover = tuple[float, int, str]
"""When a wire's death was detected, a lane that it carried, and the wire that it was given."""


class StampedPattern(Pattern):
    """Messages that can be checked, each with room for the time at its end. Small ones, so that every kind of wire can
    carry all of them with time to spare: what waits behind others would be taken for late."""

    def size(self, number: int) -> int:
        """Most below 300 bytes; one in a hundred up to 8 KiB, every 50,000th as large as can be."""
        scrambled = super().size(number)
        if number % 50_000 == 49_999:
            return scrambled
        return HEAD.size + scrambled % (8_192 if number % 100 == 99 else 256)

    def is_message(self, data: bytes, number: int) -> bool:
        """Whether `data` is message `number`, to the last byte before the time."""
        return super().is_message(data[: -_STAMP.size], number)


class KindsDesk(Desk):
    """What the proof can ask of the node, about the wires to `other`."""

    def __init__(self, manager: OutprocTransportManager, other: str, pace: float) -> None:
        super().__init__(manager)
        self._pattern = StampedPattern(LARGEST)
        self._other = other
        self._pace = pace
        self._ups: dict[str, list[float]] = {}
        self._lost: dict[str, list[float]] = {}
        self._failovers: list[Failover] = []
        self._arrivals: dict[int, list[tuple[float, float]]] = {}
        """(arrived, sent) by lane; ascending."""
        self._waits: list[tuple[float, float]] = []
        """Over time, how long this process has waited for a processor."""
        self._trips: list[float] = []
        self._hurried = float("inf")

    # -- wires --------------------------------------------------------------------------------------

    async def watch_wires(self) -> None:
        """Remember when wires came and went, and which lanes lost theirs."""
        detected = 0.0
        async for _, event in self._manager.events():
            now = time.perf_counter()
            match event:
                case WireUp(dest=dest, kind=kind) if dest == self._other:
                    self._ups.setdefault(kind, []).append(now)
                case WireDown(dest=dest, kind=kind) if dest == self._other:
                    self._lost.setdefault(kind, []).append(now)
                    detected = now
                case LaneMoved(dest=dest, lane=lane, wire=wire, before="") if dest == self._other and detected:
                    self._failovers.append((detected, lane, wire))

    async def kill(self, kinds: list[str]) -> float:
        """End the wires of these kinds as a reset would, all in one turn. Returns the time."""
        transport = self._manager._running().dests.get(self._other)
        assert transport is not None
        wires = {link.wire.kind: link.wire for link in transport.links}
        at = time.perf_counter()
        for kind in kinds:
            _reset(wires[kind])
        return at

    async def wires(self) -> dict[str, Any]:
        """What is up, when each kind came and went, and how often each endpoint of each dest was dialled."""
        snapshot = self._manager.snapshot()
        return {
            "now": sorted(wire.kind for dest in snapshot.dests if dest.dest == self._other for wire in dest.wires),
            "ups": self._ups,
            "downs": self._lost,
            "dials": {f"{dest.dest} {slot.endpoint}": slot.dials for dest in snapshot.dests for slot in dest.slots},
            "sessions": {dest.dest: dest.session for dest in snapshot.dests},
        }

    # -- traffic ------------------------------------------------------------------------------------

    async def go(self, pace: float) -> None:
        """From now on messages are sent so many seconds apart."""
        self._pace = pace

    async def hurry(self) -> None:
        """Send what is left as fast as it is taken."""
        self._pace = 0.0
        self._hurried = time.perf_counter()

    async def _send(self, dest: str, count: int) -> None:
        due = time.perf_counter()
        for number in range(count):
            due += self._pace
            ahead = due - time.perf_counter()
            if self._pace and ahead > 0:
                await asyncio.sleep(max(ahead, 0.002))
            sent = time.perf_counter()
            confirm: Literal["received"] | None = "received" if self._pace and number % TRIP_EVERY == 0 else None
            data = self._pattern.message(number) + _STAMP.pack(sent)
            await self._manager.send(dest, data, payload_type=lane_of(number), confirm=confirm)
            if confirm:
                self._trips.append(time.perf_counter() - sent)
            self._sent[dest] = number + 1

    async def _consume(self) -> None:
        async with self._manager.messages() as stream:
            async for message in stream:
                checker: Checker = self._checkers[message.sender]
                checker.take(message)
                (sent,) = _STAMP.unpack_from(message.data, len(message.data) - _STAMP.size)
                self._arrivals.setdefault(message.payload_type.value, []).append((time.perf_counter(), sent))
                if checker.received % 256 == 0:
                    await asyncio.sleep(0)

    async def watch_processor(self) -> None:
        """Remember how long this process could run, and had to wait for a processor."""
        descriptor = os.open("/proc/self/schedstat", os.O_RDONLY)
        try:
            while True:
                waited = int(os.pread(descriptor, 64, 0).split()[1]) / 1e9
                self._waits.append((time.perf_counter(), waited))
                await asyncio.sleep(LOOK_EVERY)
        finally:
            os.close(descriptor)

    # -- what was measured --------------------------------------------------------------------------

    async def failovers(self) -> list[Failover]:
        """Of each lane that lost its wire and was given another."""
        return self._failovers

    async def waits(self) -> list[tuple[float, float]]:
        """[time, seconds that this process had waited for a processor by then], ascending."""
        return self._waits

    async def delays(
        self, failovers: list[Failover], waits: list[tuple[float, float]]
    ) -> list[list[tuple[float, float]]]:
        """For each failover of the *sender* the extra delays of the messages that it concerned: from the detection, or
        from sending if that was later, to arrival, less the median of this lane; and the same less the time in which
        the sender (whose `waits` these are) or this process, whichever more, waited for a processor."""
        calm = {lane: percentile(times, 50) for lane, times in self._transits().items()}
        found = []
        for detected, lane, _ in failovers:
            there = self._arrivals.get(lane, [])
            concerned = []
            for index in range(bisect_left(there, (detected, 0.0)), len(there)):
                arrived, sent = there[index]
                if sent > detected + AFTER:
                    break  # one lane keeps its order
                begun = max(sent, detected)
                extra = arrived - begun - calm[lane]
                starved = max(waited_by(each, arrived) - waited_by(each, begun) for each in (waits, self._waits))
                concerned.append((max(0.0, extra), max(0.0, extra - starved)))
            found.append(concerned)
        return found

    def _transits(self) -> dict[int, list[float]]:
        """From sending to arrival, by lane, of the messages that were sent before all the rest was sent at once."""
        return {
            lane: [arrived - sent for arrived, sent in there if sent < self._hurried]
            for lane, there in self._arrivals.items()
        }

    async def transits(self) -> dict[str, list[float]]:
        """The median and the 99th percentile of all messages by lane."""
        found = self._transits().items()
        return {PayloadType(lane).name: [percentile(times, 50), percentile(times, 99)] for lane, times in found}

    async def trips(self) -> list[float]:
        """Round trips of messages that waited for their ack."""
        return self._trips


def waited_by(waits: list[tuple[float, float]], at: float) -> float:
    """How long a process had waited for a processor at that time, between two looks by the rule of three."""
    index = bisect_left(waits, at, key=lambda look: look[0])
    if index in (0, len(waits)):
        return waits[min(index, len(waits) - 1)][1]
    (earlier, less), (later, more) = waits[index - 1], waits[index]
    return less + (more - less) * (at - earlier) / (later - earlier)


def _reset(wire: Wire) -> None:
    """What the wire would see, and the peer, if what is below it had broken."""
    if isinstance(wire, WebSocketWire):
        transport = wire._transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    elif isinstance(wire, WebRtcWire):
        wire.closed("lost", "killed by the proof")
    elif isinstance(wire, RelayWire):
        wire._say_abort()
        wire.end(WireLoss(LossReason.RESET, "killed by the proof"))
    else:
        raise TypeError(f"no way to kill {wire!r}")
