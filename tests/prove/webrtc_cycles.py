"""Opens and closes WebRTC wires in a process of its own, and says what the process held meanwhile.

python -m tests.prove.webrtc_cycles ENGINE CYCLES      # one line of JSON for each tenth of the cycles
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from litz.testing.recording import RecordingSink
from outproc.wires.webrtc.engine import Engine
from outproc.wires.webrtc.engines import EngineName, make_engine
from tests.unit.outproc_webrtc.webrtc_kit import wire_pair

PATIENCE = 60.0
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Held:
    """What the process held after so many cycles."""

    cycles: int
    descriptors: int
    threads: int
    python_threads: int
    tasks: int
    memory: int


def held(cycles: int) -> Held:
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    return Held(
        cycles,
        len(list(Path("/proc/self/fd").iterdir())),
        len(list(Path("/proc/self/task").iterdir())),
        threading.active_count(),
        len(asyncio.all_tasks()),
        resident,
    )


async def quiet() -> None:
    """Until what ends by itself has ended; what does not is measured."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and (  # noqa: ASYNC110 - a thread of the library has no event for this
        len(asyncio.all_tasks()) > 1 or threading.active_count() > 1
    ):
        await asyncio.sleep(0.01)


async def cycle(engine: Engine, number: int) -> None:
    """Open a pair, carry a frame each way, and end it in one of three ways."""
    async with wire_pair(engine) as (one, two):
        ours, theirs = RecordingSink(), RecordingSink()
        one.start(ours)
        two.start(theirs)
        one.write([b"there"])
        await theirs.until(lambda: bool(theirs.frames), "a frame there")
        two.write([b"and back"])
        await ours.until(lambda: bool(ours.frames), "a frame back")
        if number % 3 == 0:
            one.close()
            await theirs.until(lambda: theirs.loss is not None, "the news of the end")
        elif number % 3 == 1:
            two.abort()
            await ours.until(lambda: ours.loss is not None, "the news of the end")


async def main(engine_name: EngineName, cycles: int) -> None:
    engine = make_engine(engine_name)
    for number in range(1, cycles + 1):
        await cycle(engine, number)
        if number % (cycles // 10) == 0:
            await quiet()
            print(json.dumps(asdict(held(number))), flush=True)
    await engine.aclose()


if __name__ == "__main__":
    asyncio.run(main(cast(EngineName, sys.argv[1]), int(sys.argv[2])))
