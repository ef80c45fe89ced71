"""One end of a conversation served on virtual time, and what must be true when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from litz.admission import Amount
from litz.pipeline import Flow, Item, Outgoing, Pipeline, PipelineOptions, PipelineReport
from litz.stream_lifecycle import StreamState
from litz.testing import SimLoop, run_simulation
from tests.unit.litz_pipeline.line_pair import MemoryLine, pair


def run(
    handler: Callable[[Item], Any],
    body: Callable[[MemoryLine, asyncio.Task[PipelineReport], Flow], Awaitable[None]],
    options: PipelineOptions | None = None,
    *,
    outgoing: Callable[[Outgoing], Any] | None = None,
    expect: type[BaseException] | None = None,
) -> tuple[PipelineReport, Pipeline]:
    """Serve one end with `handler`, be the peer with `body(peer's line, serving task, flow)`; the report of the server.
    Nothing may be left: tasks, timers, permits, keys."""

    async def main(loop: SimLoop) -> tuple[PipelineReport, Pipeline]:
        client, server = pair()
        made = Pipeline(handler, options or PipelineOptions(), outgoing=outgoing)
        flow = made.flow(server)
        task = loop.create_task(flow.run())
        await body(client, task, flow)
        await asyncio.wait([task])
        if expect is None:
            task.result()
        else:
            with pytest.raises(expect):
                task.result()
        assert flow.report is not None
        assert flow.state is StreamState.CLOSED
        for limiter in (made.inbound_limiter, made.outbound_limiter):
            assert limiter.used == limiter.queued == Amount(0, 0)
        assert made.flows == []
        assert list(made.reports) == [replace(flow.report, error=None)], "what is kept holds no frames"
        return flow.report, made

    return run_simulation(main, seed=1).value


async def everything(line: MemoryLine) -> list[Any]:
    """All that comes, to the end."""
    return [data async for data in line]


def sending(*data: Any) -> Callable[[MemoryLine, asyncio.Task[PipelineReport], Flow], Awaitable[None]]:
    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        for each in data:
            await peer.send(each)
        await peer.send_eof()

    return body


def failing(item: Item) -> None:
    if item.data == "bad":
        raise LookupError("no such thing")
