"""Thousands of streams over one session, in processes of their own: what they cost, and that all of it comes back."""

from __future__ import annotations

import asyncio

import pytest

from tests.prove.processes import Worker
from tests.prove.stream_worker import Held

ENDS = "tests.prove.stream_worker"
MANY = 4_000
ROUNDS = 4
GROWTH = 8 << 20
"""Bytes of resident memory by which a later round may exceed the first one: the disorder of allocators, which keep what
they were given back. A stream that left 1 KiB behind would be found; one object that stays is found by their number."""
PAIRS = 6
"""A stream holds less memory than so many pairs of a StreamReader and a StreamWriter of asyncio."""


async def held(*workers: Worker) -> list[Held]:
    return [Held(**await each.control.call("held")) for each in workers]


async def one_pair(bare: Worker) -> float:
    """Bytes that one end of a bare connection holds, its StreamReader and StreamWriter."""
    first: int = await bare.control.call("begin", count=10)
    (before,) = await held(bare)
    last: int = await bare.control.call("begin", count=MANY)
    (after,) = await held(bare)
    return (after.memory - before.memory) / (last - first)


async def round_of(alice: Worker, bob: Worker, count: int) -> tuple[list[Held], list[Held]]:
    """Open so many, echo on each, and close: what both processes held when all stood, and afterwards."""
    await alice.control.call("begin", count=count)
    assert [await each.control.call("standing") for each in (alice, bob)] == [count, count]
    full = await held(alice, bob)
    assert await alice.control.call("finish") == 0, "not complete"
    for each in (alice, bob):
        while await each.control.call("standing"):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)
    return full, await held(alice, bob)


@pytest.mark.prove
@pytest.mark.limit(600)
async def test_four_thousand_streams_open_echo_and_close_in_bounded_memory() -> None:
    async with Worker(f"{ENDS}:bare") as bare:
        pair = await one_pair(bare)
    async with Worker(f"{ENDS}:echoes") as bob, Worker(f"{ENDS}:opens", url=bob.ready["url"]) as alice:
        _, base = await round_of(alice, bob, 1)
        rounds = [await round_of(alice, bob, MANY) for _ in range(ROUNDS)]
    for index, name in enumerate(("opens", "handles")):
        full, empty = ([each[when][index] for each in rounds] for when in (0, 1))
        before, each = base[index], (full[0].memory - base[index].memory) / MANY
        memory = ", ".join(f"{a.memory / 1e6:.1f}/{b.memory / 1e6:.1f}" for a, b in zip(full, empty, strict=True))
        print(
            f"the end that {name}: {before.memory / 1e6:.1f} MB before, then with {MANY} open/after {memory}; "
            f"{each:.0f} bytes a stream, {each / pair:.1f} of a StreamReader and StreamWriter ({pair:.0f}); "
            f"objects: {before.blocks}, {full[-1].blocks} open, {empty[-1].blocks} after"
        )
        assert each < PAIRS * pair
        assert max(later.memory for later in full) - full[0].memory < GROWTH
        assert max(later.memory for later in empty) - empty[0].memory < GROWTH
        # Not one object of a stream stays.
        assert all(later.blocks - before.blocks < MANY for later in empty)
        assert full[0].blocks - before.blocks > 10 * MANY, "objects were not counted"
