"""Asking where a dest is: nothing that is said meanwhile is missed, and nobody's cancellation is taken for ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from litz.errors import ConnectError
from tests.unit.outproc.town import Town, virtual


class Slow:
    """A directory that takes its time and knows nobody."""

    async def look_up(self, dest: str) -> Sequence[str]:
        await asyncio.sleep(5)
        return []


class Cancels:
    """A directory that waits for a task of its own that was cancelled."""

    async def look_up(self, dest: str) -> Sequence[str]:
        raise asyncio.CancelledError


def test_endpoints_named_while_it_is_asked_count() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", knows=Slow()) as alice, town.manager("bob") as bob:
            await bob.listen("memory:bob")
            sending = asyncio.ensure_future(alice.send("bob", b"x", confirm="received"))
            await asyncio.sleep(1)
            alice.add_endpoints("bob", ["memory:bob"])
            async with asyncio.timeout(10):
                await sending

    virtual(scenario)


def test_a_directory_that_cancels_itself_hangs_nobody() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", knows=Cancels()) as alice:
            with pytest.raises(ConnectError, match="cancelled"):
                await alice.send("bob", b"x", timeout=60)

    virtual(scenario)
