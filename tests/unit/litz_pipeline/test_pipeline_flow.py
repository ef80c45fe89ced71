"""The life of a pipeline over one line: drains, ends, tasks; and `litz.pipeline.service`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from litz.errors import (
    DrainingError,
    StreamAbortedError,
)
from litz.pipeline import Flow, Item, Pipeline, PipelineEnd, PipelineOptions, PipelineReport
from litz.pipeline.service import OpenPipeline
from litz.stream_lifecycle import StreamState
from litz.stream_options import Drain
from litz.stream_port import Abort
from litz.supervision import Failure, Remedy, Supervise
from litz.testing import SimLoop, run_simulation
from tests.unit.litz_pipeline.line_pair import MemoryLine, pair
from tests.unit.litz_pipeline.served import everything, failing, run, sending


def test_drain_both_loses_nothing() -> None:
    handled: list[Any] = []

    async def handler(item: Item) -> Any:
        await asyncio.sleep(1)
        handled.append(item.data)
        return item.data

    replies: list[Any] = []

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        for data in ("a", "b"):
            await peer.send(data)
        await asyncio.sleep(0.5)
        flow.begin_drain()
        assert flow.state is StreamState.DRAINING
        with pytest.raises(DrainingError):
            await flow.send("new")
        await peer.send("c")
        replies.extend(await everything(peer))
        await peer.send("d")
        await peer.send_eof()

    report, _ = run(handler, body)
    assert handled == ["a", "b", "c", "d"]
    assert replies == ["a", "b"], (
        "what came after the drain began is handled, and the end of sending waits for none of it"
    )
    assert report.reason is PipelineEnd.DRAINED
    assert report.outbound.failures == {Failure.UNDELIVERED: 2}
    assert 0 < report.draining < report.duration


def test_drain_outbound_delivers_and_cancels_handlers() -> None:
    ended: list[str] = []

    async def handler(item: Item) -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        await peer.send("x")
        await peer.send("y")
        sends = [asyncio.ensure_future(flow.send(number)) for number in range(6)]
        await asyncio.sleep(1)
        flow.begin_drain(Drain.OUTBOUND)
        assert [await anext(aiter(peer)) for _ in range(6)] == list(range(6))
        await asyncio.wait(sends)

    report, _ = run(handler, body)
    assert ended == ["cancelled"]
    assert (report.reason, report.outbound.handled) == (PipelineEnd.DRAINED, 6)
    assert (report.outstanding, report.interrupted) == ((0, 1), 1)


def test_drain_outbound_waits_for_the_peers_end_and_aborts_if_it_says_more() -> None:
    for more in (False, True):

        async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow, more: bool = more) -> None:
            flow.begin_drain(Drain.OUTBOUND)
            assert await everything(peer) == []
            await asyncio.sleep(3)
            assert flow.report is None
            if more:
                await peer.send("more")
            else:
                await peer.send_eof()
            await asyncio.wait([task])
            assert bool(peer.peer.aborts) == more

        report, _ = run(failing, body)
        assert (report.reason, report.outstanding) == (PipelineEnd.DRAINED, (0,) if more else ())


@pytest.mark.parametrize("what", [Drain.BOTH, Drain.OUTBOUND])
def test_it_is_over_when_all_has_arrived(what: Drain) -> None:
    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        peer.peer.far = 7.0
        await peer.send_eof()

    report, _ = run(failing, body, PipelineOptions(half_close=what))
    assert report.duration == pytest.approx(7, abs=0.1)


def test_drain_inbound_handles_what_came_and_aborts() -> None:
    async def handler(item: Item) -> Any:
        await asyncio.sleep(1)
        return item.data

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        await peer.send("x")
        await peer.send("y")
        await asyncio.sleep(0.5)
        flow.begin_drain(Drain.INBOUND)
        with pytest.raises(StreamAbortedError):
            await everything(peer)

    report, _ = run(handler, body)
    assert (report.reason, report.inbound.handled, report.outstanding) == (PipelineEnd.DRAINED, 2, ())


def test_drain_none_cuts_everything_off() -> None:
    async def handler(item: Item) -> None:
        await asyncio.sleep(100)

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        await peer.send("x")
        await asyncio.sleep(0.5)
        report = await flow.drain(Drain.NONE)
        assert report is flow.report

    report, _ = run(handler, body)
    assert (report.reason, report.outstanding, report.interrupted) == (PipelineEnd.ABORTED, (0,), 1)
    assert report.duration == pytest.approx(0.5, abs=0.1)


def test_the_shortest_grace_counts() -> None:
    async def handler(item: Item) -> None:
        await asyncio.sleep(100)

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        await peer.send("x")
        await asyncio.sleep(1)
        flow.begin_drain(grace=20)
        flow.begin_drain(grace=3)
        flow.begin_drain(grace=50)

    report, _ = run(handler, body)
    assert report.reason is PipelineEnd.GRACE_OVER
    assert report.duration == pytest.approx(4, abs=0.1)
    assert (report.outstanding, report.interrupted) == ((0,), 1)
    assert isinstance(report.error, StreamAbortedError)


def test_the_peers_half_close_has_no_grace_for_handlers() -> None:
    async def handler(item: Item) -> None:
        await asyncio.sleep(500)

    report, _ = run(handler, sending("x"), PipelineOptions(grace=1))
    assert (report.reason, report.inbound.handled) == (PipelineEnd.COMPLETE, 1)


def test_without_half_close_this_side_goes_on() -> None:
    got: list[Any] = []

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        await peer.send_eof()
        await asyncio.sleep(1)
        assert flow.state is StreamState.REMOTE_CLOSED
        await flow.send("still here")
        flow.begin_drain()
        got.extend(await everything(peer))

    report, _ = run(failing, body, PipelineOptions(half_close=None))
    assert (got, report.reason) == (["still here"], PipelineEnd.DRAINED)


def test_the_first_reason_wins() -> None:
    async def handler(item: Item) -> None:
        await asyncio.sleep(100)

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        await peer.send("x")
        await asyncio.sleep(1)
        peer.lose()
        flow.abort("too late")  # before the loss was read: this is the first
        flow.begin_drain()

    report, _ = run(handler, body)
    assert report.reason is PipelineEnd.ABORTED


def test_everything_started_for_a_stream_ends_with_it() -> None:
    ended: list[str] = []

    async def forever(name: str) -> None:
        try:
            await asyncio.sleep(10_000)
        finally:
            ended.append(name)

    def handler(item: Item) -> None:
        item.flow.start(forever(item.data))

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        await peer.send("one")
        await peer.send("two")
        await peer.send_eof()
        await flow.ended()
        assert sorted(ended) == ["one", "two"]
        with pytest.raises(StreamAbortedError):
            flow.start(forever("three"))

    run(handler, body)


def test_a_task_that_fails_leaves_the_serving_call() -> None:
    async def fails() -> None:
        raise KeyError("mine")

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        flow.start(fails())
        await asyncio.wait([task])

    report, _ = run(failing, body, expect=KeyError)
    assert report.reason is PipelineEnd.TASK_FAILED


def test_an_observer_that_raises_harms_nobody() -> None:
    async def main(loop: SimLoop) -> None:
        def observer(report: PipelineReport) -> None:
            raise RuntimeError

        client, server = pair()
        made = Pipeline(failing, on_report=observer)
        task = loop.create_task(made.serve(server))
        await client.send_eof()
        assert (await task).graceful

    run_simulation(main, seed=1)


def test_drain_of_all_streams() -> None:
    async def main(loop: SimLoop) -> None:
        async def handler(item: Item) -> None:
            await asyncio.sleep(1)

        made = Pipeline(handler)
        pairs = [pair() for _ in range(3)]
        tasks = [loop.create_task(made.serve(server)) for _, server in pairs]
        for client, _ in pairs:
            await client.send("x")
        await asyncio.sleep(1.5)
        assert made.totals[0].handled == 3, "living ones count"
        draining = loop.create_task(made.drain(grace=5))
        for client, _ in pairs:
            await everything(client)
            await client.send_eof()
        assert [report.reason for report in await draining] == [PipelineEnd.DRAINED] * 3
        assert [report.inbound.handled for report in made.reports] == [1] * 3
        assert [total.handled for total in made.totals] == [3, 0]
        await asyncio.wait(tasks)

    run_simulation(main, seed=1)


def opened(line: MemoryLine, handler: Callable[[Item], Any], options: PipelineOptions | None = None) -> OpenPipeline:
    return OpenPipeline(Pipeline(handler, options or PipelineOptions()), line)


def test_two_pipelines_talk() -> None:
    async def main(loop: SimLoop) -> None:
        got: list[Any] = []
        client, server = pair()
        serving = loop.create_task(Pipeline(lambda item: item.data * 2).serve(server))
        async with opened(client, lambda item: got.append(item.data)) as flow:
            for number in range(20):
                await flow.send(number)
        assert got == [number * 2 for number in range(20)]
        assert flow.report is not None
        assert flow.report.graceful
        assert (await serving).reason is PipelineEnd.COMPLETE

    run_simulation(main, seed=1)


def test_leaving_raises_what_ended_it() -> None:
    async def main(loop: SimLoop) -> None:
        client, server = pair()
        options = PipelineOptions(supervise=Supervise(then=Remedy.CLOSE))
        serving = loop.create_task(Pipeline(failing, options).serve(server))
        with pytest.raises(StreamAbortedError, match="raised"):
            async with opened(client, failing) as flow:
                await flow.send("bad")
                await flow.ended()
        await serving

        client, server = pair()
        with pytest.raises(ValueError, match="of the body"):
            async with opened(client, failing) as flow:
                raise ValueError("of the body")
        assert client.aborts == [(Abort.CANCELLED, "ValueError")]

        client, server = pair()
        escalate = PipelineOptions(supervise=Supervise(then=Remedy.ESCALATE))
        await server.send("bad")
        with pytest.raises(LookupError):
            async with opened(client, failing, escalate) as flow:
                await flow.ended()

    run_simulation(main, seed=1)


@pytest.mark.parametrize("turns", range(12))
def test_leaving_may_be_cancelled_in_any_step(turns: int) -> None:
    async def main(loop: SimLoop) -> None:
        client, server = pair()

        async def slow(item: Item) -> None:
            await asyncio.sleep(3)

        async def body() -> None:
            async with opened(client, slow):
                await server.send("x")

        task = loop.create_task(body())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert turns < 1 or client.aborts

    run_simulation(main, seed=1, shuffle=False)
