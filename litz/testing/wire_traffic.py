"""What the contract of wires writes: frames of many sizes, and as much as a wire takes."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from litz.testing.recording import End

FILL_LIMIT: Final = 64 << 20
"""Bytes after which a wire whose peer does not read must have stopped being writable."""


def some_frames(wire_max: int, count: int, total: int, seed: int = 1) -> list[bytes]:
    """`count` different frames of many sizes up to `wire_max`, of about `total` bytes at most."""
    rng = random.Random(seed)
    largest = max(8, min(wire_max, 2 * total // count))
    return [index.to_bytes(4, "big") + rng.randbytes(rng.randint(0, largest - 4)) for index in range(count)]


async def fill(end: End) -> list[bytes]:
    """Write until the wire is not writable and stays so for a while. Return what was written."""
    size = min(end.wire.max_frame, 16 * 1024)
    written: list[bytes] = []
    block = bytes(size - 4)
    while not _full(end):
        while not _full(end):
            assert len(written) * size < FILL_LIMIT, f"still writable after {FILL_LIMIT} bytes nobody read"
            for _ in range(16):
                written.append(len(written).to_bytes(4, "big") + block)
                end.write(written[-1])
                if _full(end):
                    break
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)  # the system may take more
    return written


def _full(end: End) -> bool:
    return not end.wire.writable
