"""What the contract of wires asks of the urgent channel, where a wire has one."""

from __future__ import annotations

import asyncio
from typing import Final

from litz.testing.recording import MakePair, open_ends
from litz.testing.wire_traffic import fill, some_frames
from litz.wire import HIGH_WATER, LossReason, UrgentChannel


async def check_urgent_order(make_pair: MakePair) -> None:
    """On the urgent channel frames arrive whole and in order too, both ways at once, and are told from the others; what
    came before `start` waits for it; a frame over `max_frame` is a ValueError. Asked of wires that have one."""
    async with open_ends(make_pair) as ends:
        if ends[0].wire.urgent is None:
            return
        plans = [some_frames(end.wire.max_frame, 100, 256 * 1024, seed) for seed, end in enumerate(ends)]
        ends[0].start()
        for index in range(100):
            for end, plan in zip(ends, plans, strict=True):
                end.write(plan[index])
                end.write_urgent(memoryview(plan[index])[:3], memoryview(plan[index])[3:])
            if index == 50:
                ends[1].start()
            if index % 20 == 19:
                await asyncio.sleep(0)
        for end, plan in zip(ends, reversed(plans), strict=True):
            await end.receives(plan)
            await end.receives_urgent(plan)
            try:
                end.write_urgent(bytes(end.wire.max_frame), b"!")
            except ValueError:
                continue
            raise AssertionError(f"the urgent channel of the {end.name} took a frame over max_frame")


def _takes_more(urgent: UrgentChannel) -> bool:
    return urgent.writable


async def check_urgent_beside_a_full_wire(make_pair: MakePair) -> None:
    """Where the wire takes no more, its urgent channel still does; that fills earlier, and tells when it takes more."""
    async with open_ends(make_pair) as (dialler, acceptor):
        urgent = dialler.wire.urgent
        if urgent is None:
            return
        dialler.start()
        written = await fill(dialler)
        assert _takes_more(urgent), "the urgent channel is full because the wire is"
        frames: list[bytes] = []
        while _takes_more(urgent):
            assert sum(map(len, frames)) <= HIGH_WATER, "the urgent channel takes as much as the wire"
            frames.append(len(frames).to_bytes(4, "big") + bytes(1020))
            dialler.write_urgent(frames[-1])
        called = dialler.sink.writable_calls
        acceptor.start()
        await acceptor.receives_urgent(frames)
        await acceptor.receives(written)
        await dialler.sink.until(lambda: _takes_more(urgent) and dialler.wire.writable, "both take more")
        assert called < dialler.sink.writable_calls <= called + 2


async def check_urgent_ends_with_its_wire(make_pair: MakePair) -> None:
    """`close` flushes both ways; after an end writing on the urgent channel is silent, and nothing stays buffered."""
    async with open_ends(make_pair) as (dialler, acceptor):
        if dialler.wire.urgent is None:
            return
        dialler.start()
        acceptor.start()
        frames = some_frames(dialler.wire.max_frame, 50, 64 * 1024)
        for frame in frames:
            dialler.write(frame)
            dialler.write_urgent(frame)
        dialler.close()
        dialler.write_urgent(b"too late")
        assert (await dialler.closed()).reason is LossReason.LOCAL
        assert (await acceptor.closed()).reason is LossReason.REMOTE
        await acceptor.receives(frames)
        await acceptor.receives_urgent(frames)
        for end in (dialler, acceptor):
            end.write_urgent(b"into the void")
            assert end.wire.buffered_bytes == 0


URGENT_CHECKS: Final = {
    "urgent_order": check_urgent_order,
    "urgent_beside_a_full_wire": check_urgent_beside_a_full_wire,
    "urgent_ends_with_its_wire": check_urgent_ends_with_its_wire,
}
"""All of them by name; part of `WIRE_CHECKS`."""
