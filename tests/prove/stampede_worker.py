"""The two processes of a stampede: a server that counts who comes, and many clients that are managers of their own.

Worker("tests.prove.stampede_worker:server", loop="slow_clock", port=8400)
Worker("tests.prove.stampede_worker:clients", loop="slow_clock", url="ws://127.0.0.1:8400", first=0, count=500)
"""

from __future__ import annotations

import asyncio
import resource
import time
from contextlib import AsyncExitStack
from typing import Any

from litz.errors import BusyError, ConnectError
from litz.events import ConnectFailed, Event
from litz.wire import AcceptWire, Endpoint, Wire, WireListener
from outproc import OutprocTransportManager, TransportOptions
from outproc.wires.websocket import WebSocketWireBuilder
from tests.prove.control import Control
from tests.prove.slow_clock import SlowClockLoop

STARTED_AT_ONCE = 50


class CountingBuilder(WebSocketWireBuilder):
    """Notes when each connection became a wire. Clocks of one machine are the same in all processes."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[float] = []

    async def listen(self, endpoint: Endpoint, accept: AcceptWire, **options: Any) -> WireListener:
        def noted(wire: Wire) -> None:
            self.came.append(time.monotonic())
            accept(wire)

        return await super().listen(endpoint, noted, **options)


def _many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def slow(slowness: float) -> None:
    """The clock of this process goes as slowly from now on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SlowClockLoop)
    loop.slow(slowness)


async def server(control: Control, *, port: int, options: dict[str, Any]) -> None:
    """Listens when it is told, until it is killed."""
    _many_files()
    builder = CountingBuilder()
    async with OutprocTransportManager("server", builders=[builder], options=TransportOptions(**options)) as manager:

        async def came() -> list[float]:
            return builder.came

        async def connected() -> int:
            return sum(manager.is_connected(dest) for dest in manager.list_dests())

        async def listen() -> float:
            """When it began to."""
            await manager.listen(f"ws://127.0.0.1:{port}")
            return time.monotonic()

        control.commands |= {"came": came, "connected": connected, "listen": listen, "slow": slow}
        control.emit("ready")
        await control.gone()


async def clients(control: Control, *, url: str, first: int, count: int, options: dict[str, Any]) -> None:
    """Many managers, each of which knows the server and nobody else."""
    _many_files()
    async with AsyncExitStack() as stack:
        managers = [
            OutprocTransportManager(
                f"client{number}",
                directory={"server": [url]},
                builders=[WebSocketWireBuilder()],
                options=TransportOptions(**options),
            )
            for number in range(first, first + count)
        ]
        for manager in managers:
            await stack.enter_async_context(manager)
        room = asyncio.Semaphore(STARTED_AT_ONCE)
        causes: dict[str, int] = {}

        async def follow(manager: OutprocTransportManager) -> None:
            async for _, event in manager.events():
                for cause in _causes(event):
                    causes[cause] = causes.get(cause, 0) + 1

        async def connect(manager: OutprocTransportManager) -> None:
            async with room:
                await manager.send("server", b"hello", confirm="received", timeout=120)

        async def connect_all() -> None:
            await asyncio.gather(*map(connect, managers))

        async def state() -> dict[str, Any]:
            slots = [slot for each in managers for dest in each.snapshot().dests for slot in dest.slots]
            return {
                "connected": sum(each.is_connected("server") for each in managers),
                "dials": [slot.dials for slot in slots],
                "causes": causes,
            }

        followers = [asyncio.create_task(follow(manager)) for manager in managers]
        stack.push_async_callback(_stop, followers)
        control.commands |= {"connect_all": connect_all, "state": state, "slow": slow}
        control.emit("ready")
        await control.gone()


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _causes(event: Event) -> list[str]:
    """In a word, why each attempt of a dial failed."""
    if not isinstance(event, ConnectFailed) or not isinstance(event.error, ConnectError):
        return []
    return [_cause(each.error) for each in event.error.attempts]


def _cause(error: BaseException) -> str:
    match error:
        case BusyError():
            return "busy"
        case ConnectionRefusedError():
            return "nobody listened"
        case ConnectionResetError():
            return "reset while it was killed"
    return f"{type(error).__name__}: {error}"[:100]
