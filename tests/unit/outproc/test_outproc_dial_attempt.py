"""One dial: a cancellation that is not ours is a failure like any other."""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import ConnectError
from tests.unit.outproc.town import Town, virtual


def test_a_builder_that_cancels_itself_costs_an_attempt_and_hangs_nobody() -> None:
    """Whatever task of its own it waits for may have been cancelled by others."""

    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice, town.manager("bob") as bob:
            town.builders["alice"].errors = {"memory:bob": asyncio.CancelledError()}
            with pytest.raises(ConnectError, match="cancelled"):
                await alice.send("bob", b"x", timeout=60)
            await alice.send("bob", b"x", when_down="queue")
            await asyncio.sleep(600)
            assert 10 <= len(town.builders["alice"].dials) <= 500, "again and again, after its backoff"
            town.builders["alice"].errors.clear()
            await bob.listen("memory:bob")
            await alice.wait_connected("bob", timeout=60)

    virtual(scenario)
