"""Sessions that come and go while nobody reads: what they leave in the inbox is bounded too (P5)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from litz.errors import ConnectError
from outproc import OutprocTransportManager
from outproc.local_node import MAX_LEFT
from tests.unit.outproc.town import Town, take, virtual


async def cycle(alice: OutprocTransportManager, size: int, sessions: int) -> int:
    """Begin a session, send a message, say goodbye; again and again. Returns how many were accepted."""
    accepted = 0
    for _ in range(sessions):
        with suppress(ConnectError):
            await alice.send("bob", bytes(size), confirm="received", timeout=5)
            accepted += 1
            await alice.close_transport("bob")
    return accepted


@pytest.mark.parametrize(
    ("size", "most"), [(1, MAX_LEFT), (100_000, 15)], ids=["many sessions", "many bytes while the inbox is full"]
)
def test_what_ended_sessions_leave_unread_is_bounded_and_reading_makes_room(size: int, most: int) -> None:
    async def scenario() -> None:
        town = Town()
        small: dict[str, Any] = {
            "window_size": 1 << 20, "session_window_size": 1 << 20, "process_window_size": 1 << 20,
            "max_message": 1 << 18,
        }  # fmt: skip
        async with town.manager("bob", **small) as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            accepted = await cycle(alice, size, 4 * MAX_LEFT)
            assert accepted <= most
            assert bob._running().node.inbox.pending_bytes == accepted * size
            assert len(await take(bob, accepted)) == accepted
            await asyncio.sleep(10)
            assert await cycle(alice, size, 3) == 3, "what was read is forgotten"

    virtual(scenario)
