"""Both ends of the memory benchmark: one manager that keeps many dests, and processes full of managers to be killed."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack

from litz import DestState
from outproc import OutprocTransportManager, TransportOptions
from outproc.wires.websocket import WebSocketWireBuilder
from tests.prove.control import Control

AT_ONCE = 6
"""Handshakes at once: below the limit of unauthenticated connections per address."""


async def keeper(control: Control) -> None:
    """Listens and keeps every dest. Commands `states` (how many dests in which state) and `collect`."""
    async with OutprocTransportManager(
        "keeper", options=TransportOptions(session_kept=3600.0), builders=[WebSocketWireBuilder()]
    ) as manager:
        await manager.listen("ws://127.0.0.1:0")

        async def states() -> dict[str, int]:
            found = [manager.has_dest(dest) for dest in manager.list_dests()]
            return {state.value: found.count(state) for state in DestState}

        async def collect() -> None:
            gc.collect()

        control.commands["states"] = states
        control.commands["collect"] = collect
        control.emit("ready", url=manager.endpoints[0])
        async for _ in manager.messages():
            pass


async def crowd(control: Control, *, url: str, first: int, count: int) -> None:
    """`count` managers, each with one confirmed message to the keeper. Meant to be killed: no goodbyes."""
    turn = asyncio.Semaphore(AT_ONCE)
    async with AsyncExitStack() as stack:

        async def join(number: int) -> None:
            manager = OutprocTransportManager(
                f"peer-{number}", directory={"keeper": [url]}, builders=[WebSocketWireBuilder()]
            )
            await stack.enter_async_context(manager)
            async with turn:
                await manager.send("keeper", b"hello", confirm="received", timeout=60)

        await asyncio.gather(*(join(number) for number in range(first, first + count)))
        control.emit("ready")
        await control.gone()
