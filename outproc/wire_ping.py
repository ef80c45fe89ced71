"""Pings every wire of a dest on its own, for people who want to know."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from litz.errors import ConnectError

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport
    from outproc.link import Link


@dataclass(frozen=True, slots=True)
class WirePing:
    """One ping on one wire. `wire` is its name, as in `WireSnapshot.wire`; `round_trip` in seconds, None: no answer."""

    wire: str
    round_trip: float | None


async def ping_wires(dest: str, transport: DestTransport | None, timeout: float) -> tuple[WirePing, ...]:
    """One ping on each wire that is up, all at once, and their answers within `timeout` seconds. What waits in a wire
    goes first, so a wire with traffic answers later. May be cancelled, and run beside others. Raises `ConnectError`
    without a session."""
    if transport is None or transport.session.pair is None:
        raise ConnectError(f"there is no session with {dest}; send to it first", dest=dest)
    node = transport.node
    waiting: list[tuple[Link, int, asyncio.Future[float]]] = []
    began = node.now()
    for link in transport.links:
        token = node.environment.rng.getrandbits(63)
        answer: asyncio.Future[float] = node.loop.create_future()
        link.pinged[token] = answer
        waiting.append((link, token, answer))
        transport.ping(link, token)
    try:
        if waiting:
            await asyncio.wait([answer for _, _, answer in waiting], timeout=timeout)
    finally:
        for link, token, _ in waiting:
            link.pinged.pop(token, None)
    return tuple(
        WirePing(repr(link.wire), answer.result() - began if answer.done() and not answer.cancelled() else None)
        for link, _, answer in waiting
    )
