"""A process with one manager that tells when each of its events happened, and whose machine "sleeps" when it is told.

    Worker("tests.prove.timing_worker:serve", prefix=a.prefix, name="a", key="...", trusted={...}, options={...})

Times are of the monotonic clock of the machine, the same in all processes.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from litz.event_words import words_of
from outproc import OutprocTransportManager, TransportOptions
from outproc.local_node import system_environment
from outproc.security import Ed25519Authenticator
from outproc.wake_watch import SleepClocks
from outproc.wires.websocket import WebSocketWireBuilder
from tests.prove.control import Control

TICK = 0.01


class Clock:
    """The boot-time clock of a machine that sleeps when a test says so. How late this process's loop was, beside."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self.latest = 0.0

    def going(self) -> float:
        return time.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> float:
        """The machine has just slept for so long. Returns when it woke."""
        self._ahead += seconds
        return time.monotonic()

    async def measure(self) -> None:
        while True:
            due = time.monotonic() + TICK
            await asyncio.sleep(TICK)
            self.latest = max(self.latest, time.monotonic() - due)

    async def lag(self) -> float:
        """The most that this loop was late since it was asked last."""
        latest, self.latest = self.latest, 0.0
        return latest


async def serve(
    control: Control, *, name: str, key: str, trusted: dict[str, str], options: dict[str, Any], listen: str
) -> None:
    """Run until the control socket closes."""
    clock = Clock()
    keys = {peer: bytes.fromhex(public) for peer, public in trusted.items()}
    environment = replace(system_environment(), clocks=SleepClocks(time.monotonic, clock.going))
    events: list[tuple[float, str, str]] = []
    async with OutprocTransportManager(
        name,
        authenticator=Ed25519Authenticator(bytes.fromhex(key), keys),
        builders=[WebSocketWireBuilder()],
        options=TransportOptions(**options),
        environment=environment,
    ) as manager:

        async def follow() -> None:
            async for _, event in manager.events():
                events.append((time.monotonic(), type(event).__name__, str(words_of(event))))

        async def hint(dest: str, urls: list[str]) -> None:
            manager.add_endpoints(dest, urls)

        async def send(dest: str) -> float:
            """A message, and when it was confirmed."""
            await manager.send(dest, b"x", confirm="received", timeout=120)
            return time.monotonic()

        async def want(dest: str) -> None:
            """Dial in the background."""
            await manager.send(dest, b"x", when_down="queue")

        async def told(since: float) -> list[tuple[float, str, str]]:
            return [event for event in events if event[0] >= since]

        async def dials(dest: str) -> int:
            return sum(s.dials for each in manager.snapshot().dests if each.dest == dest for s in each.slots)

        await manager.listen(listen)
        control.commands |= {"hint": hint, "send": send, "want": want, "told": told, "dials": dials}
        control.commands |= {"sleep": clock.sleep, "lag": clock.lag}
        tasks = [asyncio.create_task(each) for each in (follow(), clock.measure(), _swallow(manager))]
        control.emit("ready")
        try:
            await control.gone()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _swallow(manager: OutprocTransportManager) -> None:
    async for _ in manager.messages():
        pass
