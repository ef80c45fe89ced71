"""A bulk stream delays a signal by no more than the frame that is being written, and what the wire holds already.

Judged by counting: how much of the bulk is at the receiver when a signal comes, beside how much had left the sender
when the signal was accepted. Bulk that is in the log, in the window or in the hands of its writer never goes first.
"""

from __future__ import annotations

import asyncio

import pytest

from litz import PayloadType
from litz.message import Message
from tests.integration.stream_nodes import nothing_left, opened, two_nodes
from tests.integration.stream_users import Service
from tests.prove.percentiles import percentile

ENTRY = 64 << 10
FRAME = 256 << 10
"""The largest frame: see `bulk_frame` in docs/limits.md."""

GIB = 1 << 30


@pytest.mark.parametrize("size", [24 << 20, pytest.param(GIB, marks=[pytest.mark.prove, pytest.mark.limit(1200)])])
async def test_a_bulk_stream_lets_signals_go_first(size: int) -> None:
    async with two_nodes(ping_after=60.0, dead_after=60.0) as (alice, bob):
        service = Service(bob, "bulk")
        loop = asyncio.get_running_loop()
        behind: list[int] = []
        """For each signal: bytes of bulk that came before it and had not left when it was accepted."""
        seconds: list[float] = []
        left: dict[int, tuple[int, float]] = {}

        def took(message: Message) -> None:
            handed, accepted = left.pop(int(message.data))
            behind.append(service.users[0].size - handed)
            seconds.append(loop.time() - accepted)

        serving = asyncio.create_task(bob.serve(took))
        user = await opened(alice, service="bulk")
        (other,) = service.users

        async def signals() -> None:
            number = 0
            while not other.told["finished"]:
                # Where bulk stands is read in the turn of the loop in which the signal is accepted.
                left[number] = (user.sent - user.side.buffered, loop.time())
                alice.send_nowait("bob", b"%d" % number, payload_type=PayloadType.RPC_SIGNAL)
                number += 1
                await asyncio.sleep(0.005)

        entry = bytes(ENTRY)
        signalling = asyncio.create_task(signals())
        for _ in range(size // ENTRY):
            await user.write(entry)
            other.entries.clear()
        user.side.finish()
        await other.heard("finished", seconds=1100.0)
        await signalling
        await alice.drain()
        assert other.size == size
        assert len(behind) > 10
        assert max(behind) <= FRAME + ENTRY, f"{max(behind)} bytes of bulk overtook a signal"
        print(f"signals beside a stream: p50 {percentile(seconds, 50):.4f} s, p99 {percentile(seconds, 99):.4f} s")
        for each in (user, other):
            each.side.release()
        await nothing_left(alice, bob)
        serving.cancel()
        await asyncio.wait([serving])
