"""Pipelines over bidirectional-streaming methods of gRPC (`grpc.aio`): `pip install 'litz[grpc]'`.

The same handler, options and report as over a litz stream (docs/pipeline.md); what differs is in docs/grpc.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any

from litz.errors import StreamAbortedError
from litz.pipeline import Flow, Item, Pipeline, PipelineOptions
from litz.pipeline.options import DEFAULT_OPTIONS
from litz.pipeline.report import GRACEFUL, PipelineReport
from litz.pipeline.service import OpenPipeline, OutgoingHandler, drop
from litz.stream_port import Abort
from outproc.adapters.grpc_lines import ClientLine, ServerLine
from outproc.adapters.grpc_status import grpc, status_of

Handlers = Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]]


class PipelineInterceptor(grpc.aio.ServerInterceptor):
    """A server interceptor that serves methods by pipelines: `{"/package.Service/Method": pipeline(handler)}`.

    A method that the server has keeps its (de)serializers, and its pipeline is called instead of its code; it must be
    a bidirectional-streaming one (TypeError in the first call otherwise). One that the server does not have is of
    bytes. All other methods are left alone.

    dest  who a client is, from the context of its call: for `item.sender` and the budget of retries. Default: its host
    """

    def __init__(
        self,
        pipelines: Mapping[str, Pipeline],
        *,
        dest: Callable[[grpc.aio.ServicerContext[Any, Any]], str] | None = None,
    ) -> None:
        self._pipelines = dict(pipelines)
        self._dest = dest or host_of
        self._escalated: asyncio.Future[None] | None = None
        self._problem: Exception | None = None

    async def intercept_service(
        self, continuation: Handlers, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """For gRPC."""
        method = str(handler_call_details.method)
        found = await continuation(handler_call_details)
        served = self._pipelines.get(method)
        if served is None:
            return found
        if found is not None and not (found.request_streaming and found.response_streaming):
            raise TypeError(f"a pipeline serves bidirectional-streaming methods; {method} is none")

        async def behaviour(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            await self._serve(served, ServerLine(context, self._dest(context), method), context)

        return grpc.stream_stream_rpc_method_handler(
            behaviour,
            request_deserializer=found.request_deserializer if found is not None else None,
            response_serializer=found.response_serializer if found is not None else None,
        )

    async def escalation(self) -> None:
        """Wait until something is escalated, and raise it: the original exception. Run it beside the server, and stop
        that when it raises."""
        if self._problem is not None:
            raise self._problem
        if self._escalated is None:
            self._escalated = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._escalated)

    async def _serve(self, served: Pipeline, line: ServerLine, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        flow = served.flow(line)
        running = asyncio.get_running_loop().create_task(flow.run(), name="litz gRPC pipeline")
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            # The client cancelled, its deadline is over, or the server was stopped: the call is over in any case.
            line.fail(StreamAbortedError("the call was cancelled", code=Abort.CANCELLED))
            await _ended(running)
            raise
        finally:
            self._note(running)
            await line.close()
        report = flow.report
        if report is None:
            await context.abort(grpc.StatusCode.INTERNAL, "the pipeline did not run")
        elif report.reason not in GRACEFUL:
            await context.abort(status_of(report.reason, line.said), line.said or report.reason.value)

    def _note(self, running: asyncio.Task[PipelineReport]) -> None:
        """Tell who waits for what is escalated."""
        if not running.done() or running.cancelled():
            return
        problem = running.exception()
        if isinstance(problem, Exception) and self._problem is None:
            self._problem = problem
            if self._escalated is not None and not self._escalated.done():
                self._escalated.set_exception(problem)


def host_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """The host of a client, without its port: `ipv4:192.0.2.1`."""
    peer = str(context.peer())
    return peer.rpartition(":")[0] if peer.startswith(("ipv4:", "ipv6:")) else peer


class OpenGrpcPipeline:
    """What `open_grpc_pipeline` returns: `async with` it."""

    def __init__(self, owner: Pipeline, line: ClientLine) -> None:
        self._line = line
        self._open = OpenPipeline(owner, line)

    async def __aenter__(self) -> Flow:
        return await self._open.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._open.__aexit__(kind, error, traceback)
        finally:
            await self._line.close()


def open_grpc_pipeline(
    call: grpc.aio.StreamStreamCall[Any, Any],
    options: PipelineOptions = DEFAULT_OPTIONS,
    *,
    handler: Callable[[Item], Any] | None = None,
    outgoing: OutgoingHandler | None = None,
    dest: str = "server",
    method: str = "call",
) -> OpenGrpcPipeline:
    """The pipeline of a call that this side has begun: `async with open_grpc_pipeline(stub.Method()) as flow`. As
    `litz.pipeline.open_pipeline`. The call is the pipeline's alone. `dest` and `method` are for reports."""
    return OpenGrpcPipeline(Pipeline(handler or drop, options, outgoing=outgoing), ClientLine(call, dest, method))


async def _ended(task: asyncio.Task[Any]) -> None:
    """Wait for a task that ends by itself, whoever else is cancelled meanwhile."""
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            continue
