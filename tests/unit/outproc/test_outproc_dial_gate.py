"""Whose turn it is to dial, of all dests of a node: who waits goes first, and the rest keeps to the rate."""

from __future__ import annotations

import asyncio

from tests.unit.outproc.town import Town, virtual


def now() -> float:
    return asyncio.get_running_loop().time()


def test_one_user_does_not_wait_behind_a_thousand_dests_that_hang() -> None:
    """The other dials are in the background; a quarter of the places is kept for who waits."""

    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", max_dials=8) as alice, town.manager("bob") as bob:
            await bob.listen("memory:bob")
            builder = town.builders["alice"]
            for number in range(200):
                builder.errors[f"memory:d{number}"] = ConnectionRefusedError()
                await alice.send(f"d{number}", b"x", when_down="queue")
            await asyncio.sleep(60)
            builder.errors.clear()
            builder.gates = {f"memory:d{number}": asyncio.Event() for number in range(200)}
            await asyncio.sleep(60)
            assert alice.dest_count == 200
            began = now()
            await alice.send("bob", b"x")
            assert now() - began < 1.0

    virtual(scenario, max_time=100_000.0)


def test_dests_that_are_lost_at_once_are_redialled_at_the_rate_of_the_node() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", redial_rate=15.0) as alice:
            builder = town.builders["alice"]
            for number in range(300):
                builder.errors[f"memory:d{number}"] = ConnectionRefusedError()
                await alice.send(f"d{number}", b"x", when_down="queue")
            await asyncio.sleep(10)
            began = now()
            await asyncio.sleep(100)
            each = [address for address, at in builder.dials if at >= began]
            assert len(each) <= 15.0 * 101 + 1
            assert len(each) >= 15.0 * 100 / 1.5 - 15
            # Fair: nobody had to wait for two turns of the others.
            assert min(each.count(f"memory:d{number}") for number in range(300)) >= 2

    virtual(scenario, max_time=100_000.0)
