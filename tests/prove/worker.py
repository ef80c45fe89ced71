"""The inside of a worker process: `python -m tests.prove.worker FD LOOP module:function JSON`.

`function(control, **JSON)` runs in a new event loop (LOOP is `asyncio`, `uvloop` or `slow_clock`) with a `Control` over
the socket FD. It sets `control.commands`, emits `ready`, and returns or runs on; the process ends when the proof closes
the socket, or when the function raises.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
import sys
from collections.abc import Callable

from tests.prove.control import Control
from tests.prove.slow_clock import SlowClockLoop


async def work(descriptor: int, target: str, parameters: str) -> None:
    """Run the target until it is done *and* the proof has closed the control socket, or until that alone."""
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    control = await Control.open(socket.socket(fileno=descriptor))
    main = asyncio.get_running_loop().create_task(function(control, **json.loads(parameters)))
    gone = asyncio.get_running_loop().create_task(control.gone())
    try:
        await asyncio.wait([main, gone], return_when=asyncio.FIRST_COMPLETED)
        if main.done():
            main.result()
            await gone
    finally:
        main.cancel()
        gone.cancel()
        await asyncio.gather(main, gone, return_exceptions=True)
        await control.aclose()


def run(arguments: list[str]) -> None:
    """What `python -m` calls."""
    descriptor, loop_name, target, parameters = arguments
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if loop_name == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    elif loop_name == "slow_clock":
        factory = SlowClockLoop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work(int(descriptor), target, parameters))


if __name__ == "__main__":
    run(sys.argv[1:])
