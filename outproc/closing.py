"""Closing a node: goodbye to everybody, then everything freed, in bounded time (P7)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from litz.wire import WireBuilder, WireListener
from outproc.dest_table import DestTable
from outproc.local_node import LocalNode
from outproc.reception import Reception

WORK = 0.6
GRACE = 0.05
"""Parts of `close_timeout`. Seven graces are given at most, three of them to tasks such as dials."""

TURNS = 10
"""Turns of the loop that a task has beyond its grace: a process that was stopped meanwhile sees first that all time is
over, and then what came in time."""


async def close_node(
    node: LocalNode,
    dests: DestTable,
    reception: Reception,
    listeners: list[WireListener],
    builders: Iterable[WireBuilder],
    *,
    returning_in: float | None = None,
) -> None:
    """Close what is there, for good or to be back after `returning_in` seconds, in less than `close_timeout`: nothing
    is begun after `WORK` of it, and what does not heed its cancellation then gets `GRACE` of it each time. The rest is
    for the handlers of `serve`. Late connects find a closed reception and are aborted."""
    whole, leaving = node.options.close_timeout, node.leaving
    if leaving is not None and returning_in is None:
        returning_in = leaving.returning_in
    reason = leaving.reason if leaving is not None and leaving.reason else "closing"
    deadline, grace = node.now() + whole * WORK, whole * GRACE
    reception.close()
    dests.closed = True
    # Nothing new comes in while the goodbyes go out.
    await _within(deadline, [_quietly(listener.aclose()) for listener in listeners], grace)
    listeners.clear()
    await _say_goodbyes(dests, deadline, grace, (reason, returning_in))
    await node.health.stop()
    await node.rights.close()
    for link in list(node.links):
        link.close()
    await _until_closed(node, min(deadline, node.now() + 1.0))
    for link in list(node.links):
        link.abort()
    tasks = [task for task in node.tasks if task is not asyncio.current_task()]
    await _cancelled(tasks, max(3 * grace, deadline - node.now()))
    await _until_closed(node, max(deadline, node.now() + grace))
    await _within(deadline, [_quietly(builder.aclose()) for builder in builders], grace)
    if node.network is not None:
        node.network.close()
    node.timers.close()
    node.strangers.finish()


async def _say_goodbyes(dests: DestTable, deadline: float, grace: float, why: tuple[str, float | None]) -> None:
    """Close all transports. What is said through a relay needs the session with the relay, so that one goes later."""
    transports = dests.transports()
    relayed = [each for each in transports if any(link.wire.path.route == "relay" for link in each.links)]
    goodbyes = [_quietly(transport.close(*why)) for transport in relayed]
    if goodbyes:
        await asyncio.wait(goodbyes, timeout=max(0.0, deadline - asyncio.get_running_loop().time()) / 2)
    direct = [each for each in transports if each not in relayed]
    goodbyes += [_quietly(transport.close(*why)) for transport in direct]
    await _within(deadline, goodbyes, grace)


async def _until_closed(node: LocalNode, deadline: float) -> None:
    """Until every link has heard that its wire is dead."""
    try:
        async with asyncio.timeout_at(deadline):
            while node.links:
                await next(iter(node.links)).closed.wait()
    except TimeoutError:
        return


async def _within(deadline: float, work: list[asyncio.Task[None]], grace: float) -> None:
    if not work:
        return
    loop = asyncio.get_running_loop()
    _, late = await asyncio.wait(work, timeout=max(0.0, deadline - loop.time()))
    await _cancelled([task for task in work if task in late], grace)


async def _cancelled(tasks: Sequence[asyncio.Task[Any]], patience: float) -> None:
    """Cancel tasks and wait at most `patience` seconds for their end."""
    for task in tasks:
        task.cancel()
    if not tasks:
        return
    await asyncio.wait(tasks, timeout=patience)
    for _ in range(TURNS):
        if all(task.done() for task in tasks):
            return
        await asyncio.sleep(0)
    for task in tasks:
        if not task.done():
            # Code of the user (a builder, listener, directory, authenticator) that does not heed it: say so, and go on.
            task.get_loop().call_exception_handler(
                {"message": f"litz: {task.get_name()!r} did not end when it was cancelled", "task": task}
            )


def _quietly(awaitable: object) -> asyncio.Task[None]:
    async def run() -> None:
        await awaitable  # type: ignore[misc]  # any awaitable of the parts that are closed

    name = f"litz close {getattr(awaitable, '__qualname__', type(awaitable).__name__)}"
    task = asyncio.get_running_loop().create_task(run(), name=name)
    task.add_done_callback(_retrieve)
    return task


def _retrieve(task: asyncio.Task[None]) -> None:
    """A part that fails to close must not keep the others open; the loop's handler hears of it."""
    if not task.cancelled() and task.exception() is not None:
        task.get_loop().call_exception_handler(
            {"message": "litz: an error while closing", "exception": task.exception(), "task": task}
        )
