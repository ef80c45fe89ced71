"""A pipeline: one handler and one set of options for all streams of a service, or for one stream of a client."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any

from litz.admission import SoftAllowSignal
from litz.dead_letters import DeadLetters
from litz.limiter import Limiter
from litz.pipeline.flow import Flow
from litz.pipeline.item import Item, Outgoing
from litz.pipeline.line import Line, StreamLine
from litz.pipeline.options import DEFAULT_OPTIONS, PipelineOptions
from litz.pipeline.report import PipelineReport
from litz.seldom import OF_HANDLER, Seldom
from litz.supervised import Supervisor
from litz.supervision import Tally

if TYPE_CHECKING:
    from litz.stream import Stream
    from litz.stream_listener import AcceptStream
    from litz.stream_options import StreamOptions
    from litz.stream_verbs import StreamVerbs

log = logging.getLogger("litz.pipeline")

ItemHandler = Callable[[Item], Any]
"""Called for each message, sync or async. A result other than None is sent to the peer."""

OutgoingHandler = Callable[[Outgoing], Any]
"""Called for each message that goes out, sync or async: makes of it what is sent."""


class Pipeline:
    """A handler of streams, for `listen_streams`: `await manager.listen_streams("jobs", pipeline(handler, options))`.

    Streams share its admission, its budgets of retries and its dead letters; each has its own order and its own end.
    Belongs to one loop's thread.
    """

    def __init__(
        self,
        handler: ItemHandler,
        options: PipelineOptions = DEFAULT_OPTIONS,
        *,
        outgoing: OutgoingHandler | None = None,
        on_report: Callable[[PipelineReport], object] | None = None,
        rng: Random | None = None,
    ) -> None:
        if not callable(handler):
            raise TypeError(f"a pipeline takes a function of one message, not a {type(handler).__name__}")
        self.handler = handler
        self.outgoing = outgoing
        self.options = options
        self.supervisor = Supervisor(options.supervise, rng=rng)
        self.inbound_limiter = Limiter(options.inbound.admission, name="inbound of the pipeline")
        self.outbound_limiter = Limiter(options.outbound.admission, name="outbound of the pipeline")
        self.reports: deque[PipelineReport] = deque(maxlen=options.reports)
        """Of the latest streams that ended, oldest first; without their exceptions."""
        self.told = Seldom(first=OF_HANDLER)
        """Which of the troubles that peers can make again and again are told. The tallies have all."""
        self._on_report = on_report
        self._flows: dict[Flow, None] = {}
        self._past = (Tally(sizes=options.sizes), Tally(sizes=options.sizes))
        if isinstance(options.inbound.admission, SoftAllowSignal):
            self.inbound_limiter.watch(self._narrow)

    @property
    def dead_letters(self) -> DeadLetters:
        """Messages that nobody could handle. Take them out: `take`."""
        return self.supervisor.letters

    @property
    def flows(self) -> list[Flow]:
        """The streams that are served now, oldest first."""
        return list(self._flows)

    @property
    def totals(self) -> tuple[Tally, Tally]:
        """Counts of all streams so far, inbound and outbound. Costs what there are streams: read it at scrape time."""
        totals = (Tally(sizes=self.options.sizes), Tally(sizes=self.options.sizes))
        for total, past in zip(totals, self._past, strict=True):
            total.add(past)
        for flow in self._flows:
            totals[0].add(flow.inbound.tally)
            totals[1].add(flow.outbound.tally)
        return totals

    async def __call__(self, stream: Stream) -> None:
        """Serve one stream to its end. Raises what its supervision escalates."""
        await self.serve(StreamLine(stream))

    async def serve(self, line: Line) -> PipelineReport:
        """The same over any `Line`."""
        return await self.flow(line).run()

    def flow(self, line: Line) -> Flow:
        """A flow that is not running yet: `Flow.run` it."""
        return Flow(self, line)

    async def serve_on(
        self,
        manager: StreamVerbs,
        service: str,
        *,
        options: StreamOptions | None = None,
        accept: AcceptStream | None = None,
    ) -> None:
        """Take the streams that peers of `manager` open to `service`, until this call is cancelled. What supervision
        escalates leaves it: the original exception, once all streams have been aborted. Cancelled: the same. For a
        graceful end `drain` first. Raises what `listen_streams` raises."""
        escalated: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def one(stream: Stream) -> None:
            try:
                await self(stream)
            except Exception as error:
                if escalated.done():
                    raise
                escalated.set_exception(error)

        listener = manager.listen_streams(service, one, options=options, accept=accept)
        try:
            await escalated
        finally:
            await listener.stop("abort")

    def flow_of(self, stream: Stream) -> Flow:
        """The same for a stream: `await flow.run()`, in a task of yours."""
        return self.flow(StreamLine(stream))

    async def drain(self, *, grace: float | None = None) -> list[PipelineReport]:
        """Leave all streams gracefully, at once; returns when all are over. New ones are not refused by this."""
        flows = self.flows
        for flow in flows:
            flow.begin_drain(grace=grace)
        return [await flow.ended() for flow in flows]

    def began(self, flow: Flow) -> None:
        """For `Flow`: it runs."""
        self._flows[flow] = None
        if self.inbound_limiter.high:
            flow.narrow(True)

    def _narrow(self, high: bool) -> None:
        for flow in self._flows:
            flow.narrow(high)

    def over(self, flow: Flow) -> None:
        """For `Flow`: it has ended."""
        self._flows.pop(flow, None)
        self._past[0].add(flow.inbound.tally)
        self._past[1].add(flow.outbound.tally)
        report = flow.report
        assert report is not None
        self.reports.append(replace(report, error=None))
        log.log(logging.DEBUG if report.graceful else logging.INFO, "%s", report)
        if self._on_report is not None:
            try:
                self._on_report(report)
            except Exception as error:
                more = self.told.words(asyncio.get_running_loop().time(), flow.dest, error)
                if more is not None:
                    log.error("what is told of reports raised%s", more, exc_info=error)


def pipeline(
    handler: ItemHandler,
    options: PipelineOptions = DEFAULT_OPTIONS,
    *,
    outgoing: OutgoingHandler | None = None,
    on_report: Callable[[PipelineReport], object] | None = None,
) -> Pipeline:
    """A handler for `listen_streams` that runs `handler(item)` for each message under `options`.

    outgoing   makes of each outgoing message what is sent (sync or async), under the same supervision
    on_report  called with the report of each stream that ended
    """
    return Pipeline(handler, options, outgoing=outgoing, on_report=on_report)


class OpenPipeline:
    """What `open_pipeline` returns: `async with` it."""

    def __init__(self, owner: Pipeline, line: Line) -> None:
        self._pipeline = owner
        self._line = line
        self._flow: Flow | None = None
        self._task: asyncio.Task[PipelineReport] | None = None

    async def __aenter__(self) -> Flow:
        flow = self._flow = self._pipeline.flow(self._line)
        self._task = asyncio.get_running_loop().create_task(flow.run(), name="litz pipeline")
        return flow

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        flow, task = self._flow, self._task
        assert flow is not None
        assert task is not None
        if kind is None:
            flow.begin_drain()
        else:
            flow.abort(kind.__name__)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            flow.abort("cancelled")
            await _ends(task)
            raise
        if not task.cancelled() and task.exception() is not None and kind is None:
            task.result()
        report = flow.report
        if kind is None and report is not None and report.error is not None:
            raise report.error


async def _ends(task: asyncio.Task[Any]) -> None:
    """Wait for a task that ends by itself, whoever else is cancelled meanwhile."""
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            continue


def open_pipeline(
    stream: Stream,
    options: PipelineOptions = DEFAULT_OPTIONS,
    *,
    handler: ItemHandler | None = None,
    outgoing: OutgoingHandler | None = None,
) -> OpenPipeline:
    """The pipeline of one stream that this side opened: `async with open_pipeline(stream, options) as flow`.

    `handler` is called for each message that the peer sends; without one they are dropped (and counted). Left without
    an exception it drains as `options` say, and raises what ended the stream otherwise, or what was escalated. Left by
    an exception it is aborted.
    """
    return OpenPipeline(Pipeline(handler or drop, options, outgoing=outgoing), StreamLine(stream))


def drop(item: Item) -> None:
    """A handler for what nobody wants."""
