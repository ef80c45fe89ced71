"""A process with one `OutprocTransportManager`, told what to do by the proof.

    Worker("tests.prove.manager_worker:serve", name="a", options={...})

Commands: see the methods of `Desk`. It emits `ready` once it is entered and listens.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from litz.errors import BackpressureError
from litz.events import SessionEnded, WireDown
from litz.payload import PayloadType
from litz.wire import WireBuilder
from outproc import OutprocTransportManager, RelayOptions, TransportOptions
from outproc.security import Ed25519Authenticator
from outproc.wires.relay.builder import RelayWireBuilder
from outproc.wires.webrtc.builder import WebRtcWireBuilder
from outproc.wires.webrtc.engine import IceServer
from outproc.wires.webrtc.options import WebRtcOptions
from outproc.wires.websocket import WebSocketWireBuilder
from tests.prove.control import Control
from tests.prove.traffic import Checker, Pattern, lane_of

VERBS = (
    "where",
    "hint",
    "connect",
    "connected",
    "send",
    "expect",
    "progress",
    "consume",
    "pause",
    "swallow",
    "press",
    "drain",
    "state",
    "ping",
    "answer",
)


async def serve(
    control: Control,
    *,
    name: str,
    options: dict[str, Any],
    listen: str = "ws://127.0.0.1:0",
    key: str = "",
    trusted: dict[str, str] | None = None,
    webrtc: dict[str, Any] | None = None,
    via: list[str] | None = None,
    hub: bool = False,
) -> None:
    """Run until the control socket closes. `key` is a private key in hex, `trusted` public ones by id. `webrtc` are
    `WebRtcOptions`, and mean that there are WebRTC wires too; `via` are hubs, and mean relay wires; a `hub` relays."""
    authenticator = None
    if key:
        keys = {peer: bytes.fromhex(public) for peer, public in (trusted or {}).items()}
        authenticator = Ed25519Authenticator(bytes.fromhex(key), keys)
    builders: list[WireBuilder] = [WebSocketWireBuilder()]
    if webrtc is not None:
        servers = tuple(IceServer(*server) for server in webrtc.pop("ice_servers", ()))
        builders.append(WebRtcWireBuilder(WebRtcOptions(ice_servers=servers, **webrtc)))
    if via is not None or hub:
        builders.append(RelayWireBuilder(via=via))
    made = OutprocTransportManager(
        name,
        options=TransportOptions(**options),
        authenticator=authenticator,
        builders=builders,
        relay=RelayOptions() if hub else None,
    )
    async with made as manager:
        await manager.listen(listen)
        desk = Desk(manager)
        for verb in VERBS:
            control.commands[verb] = getattr(desk, verb)
        watching = asyncio.create_task(desk.watch())
        control.emit("ready")
        try:
            await control.gone()
        finally:
            await desk.stop(watching)


class Desk:
    """What a proof can ask of the manager."""

    def __init__(self, manager: OutprocTransportManager) -> None:
        self._manager = manager
        self._pattern = Pattern()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._checkers: dict[str, Checker] = {}
        self._sent: dict[str, int] = {}
        self._ended: list[str] = []
        self._downs = 0
        self._gap = 0.0

    async def stop(self, *others: asyncio.Task[None]) -> None:
        tasks = [*self._tasks.values(), *others]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def watch(self) -> None:
        """Remember every session that ended, and count wires that went down."""
        async for _, event in self._manager.events():
            if isinstance(event, SessionEnded):
                self._ended.append(f"{event.dest}: {event.reason.value} ({event.detail}), {len(event.lost)} lost")
            self._downs += isinstance(event, WireDown)

    async def where(self) -> list[str]:
        return self._manager.endpoints

    async def hint(self, dest: str, urls: list[str]) -> None:
        self._manager.add_endpoints(dest, urls)

    async def connect(self, dest: str) -> None:
        """Return once a session with `dest` is up."""
        await self._manager.get_or_create_transport(dest)

    async def connected(self, dest: str) -> None:
        """Return once `dest` has connected, or has been connected to."""
        await self._manager.wait_connected(dest, timeout=120)

    # -- checked streams ----------------------------------------------------------------------------

    async def expect(self, sender: str, count: int) -> None:
        """From now on check what `sender` sends: `count` messages of the pattern."""
        self._checkers[sender] = Checker(self._pattern, count)

    async def consume(self) -> None:
        """Take messages, and check them, until `pause`."""
        self._tasks["consume"] = asyncio.create_task(self._consume())

    async def pause(self) -> None:
        """Take no more messages."""
        task = self._tasks.pop("consume")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def swallow(self) -> None:
        """Take messages of any content; only their numbers are checked."""
        self._tasks["swallow"] = asyncio.create_task(self._swallow())

    async def _swallow(self) -> None:
        due: dict[tuple[str, PayloadType], int] = {}
        async for message in self._manager.messages():
            lane = (message.sender, message.payload_type)
            number = due.get(lane, 0)
            if message.number != number:
                raise AssertionError(f"{lane}: number {message.number} came, {number} was due")
            due[lane] = number + 1

    async def _consume(self) -> None:
        turn = 0
        async with self._manager.messages() as stream:
            async for message in stream:
                self._checkers[message.sender].take(message)
                turn += 1
                if turn % 256 == 0:
                    await asyncio.sleep(0)

    async def send(self, dest: str, count: int, gap: float = 0.0) -> None:
        """Begin to send `count` messages of the pattern, with a pause of `gap` seconds after each 20."""
        self._gap = gap
        self._sent[dest] = 0
        self._tasks[f"send {dest}"] = asyncio.create_task(self._send(dest, count))

    async def _send(self, dest: str, count: int) -> None:
        for number in range(count):
            await self._manager.send(dest, self._pattern.message(number), payload_type=lane_of(number))
            self._sent[dest] = number + 1
            if self._gap and number % 20 == 19:
                await asyncio.sleep(self._gap)

    async def progress(self) -> dict[str, Any]:
        """How far everything is."""
        for name, task in self._tasks.items():
            if task.done() and not task.cancelled() and task.exception() is not None:
                raise RuntimeError(f"{name} failed") from task.exception()
        return {
            "sent": self._sent,
            "received": {sender: checker.received for sender, checker in self._checkers.items()},
            "bytes": {sender: checker.bytes for sender, checker in self._checkers.items()},
            "wrong": [text for checker in self._checkers.values() for text in checker.wrong],
            "ended": self._ended,
            "downs": self._downs,
        }

    async def drain(self, dest: str, timeout: float) -> None:
        await self._manager.drain(dest, timeout=timeout)

    # -- overload -----------------------------------------------------------------------------------

    async def press(self, dest: str, size: int, seconds: float) -> dict[str, int]:
        """Send as much as is accepted for so long, by `send_nowait` on every reliable lane, patiently when refused."""
        accepted = refused = 0
        end = time.monotonic() + seconds
        others = (PayloadType.MEDIA, PayloadType.RPC_DURABLE)
        lanes = [lane for lane in PayloadType if lane.reliable and lane not in others]
        while time.monotonic() < end:
            full = 0
            for lane in lanes:
                try:
                    # A buffer of its own for each, as a program would have: shared ones would hide what is kept.
                    self._manager.send_nowait(dest, bytes(size), payload_type=lane)
                    accepted += 1
                except BackpressureError:
                    refused += 1
                    full += 1
            if full == len(lanes):
                await asyncio.sleep(0.005)
            elif accepted % 64 == 0:
                await asyncio.sleep(0)
        return {"accepted": accepted, "refused": refused}

    # -- latency ------------------------------------------------------------------------------------

    async def answer(self) -> None:
        """Answer requests with their own data, instead of `consume`."""
        self._tasks["answer"] = asyncio.create_task(self._manager.serve(lambda message: message.data))

    async def ping(self, dest: str, seconds: float, gap: float) -> list[float]:
        """Round trips of requests for so long, `gap` seconds apart; each in seconds."""
        found = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.perf_counter()
            await self._manager.request(dest, b"x" * 64, timeout=120)
            found.append(time.perf_counter() - begun)
            await asyncio.sleep(gap)
        return found

    async def state(self) -> dict[str, Any]:
        """The snapshot in short."""
        snapshot = self._manager.snapshot()
        running = self._manager._running()
        return {
            "logged": snapshot.logged_bytes,
            "inbox": snapshot.inbox_bytes,
            "links": len(running.node.links),
            "tasks": len(asyncio.all_tasks()),
            "dests": {
                dest.dest: {
                    "state": dest.state.value,
                    "session": dest.session,
                    "heals": dest.heals,
                    "replayed": dest.replayed,
                    "duplicates": dest.duplicates_dropped,
                    "wires": len(dest.wires),
                    "paths": [f"{wire.kind} {wire.path}" for wire in dest.wires],
                    "carried": {wire.kind: wire.bytes_out for wire in dest.wires},
                    "dials": [slot.dials for slot in dest.slots],
                    "dials_of": {slot.endpoint: slot.dials for slot in dest.slots},
                    "received": sum(lane.received for lane in dest.lanes),
                }
                for dest in snapshot.dests
            },
        }
