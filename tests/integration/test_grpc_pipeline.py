"""Pipelines over gRPC with a real server and a real client on loopback.

Covers `outproc.adapters.grpc_pipeline`, `outproc.adapters.grpc_lines`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from typing import Any

import grpc
import pytest

from litz.admission import Amount, SoftAllowSignal
from litz.backoff import Backoff
from litz.errors import StreamAbortedError
from litz.order import Fifo, PerKey
from litz.pipeline import Flow, Item, PipelineEnd, Way, pipeline
from litz.stream_options import Drain
from litz.supervision import Remedy, Supervise
from outproc.adapters.grpc_lines import ClientLine
from tests.integration.grpc_world import LONG, TALK, choices, gone, hangs, until, world

__all__ = ["gone"]  # a fixture that every test here has


async def test_both_ends_with_a_pipeline() -> None:
    answers: list[bytes] = []
    senders: set[str] = set()

    def handler(item: Item) -> bytes:
        senders.add(item.sender)
        return b"re " + bytes(item.data)

    served = pipeline(handler, choices())
    async with world(served) as here:
        async with here.talk(lambda item: answers.append(item.data)) as flow:
            for number in range(300):
                await flow.send(b"%d" % number)
        assert answers == [b"re %d" % number for number in range(300)]
        await until(lambda: bool(served.reports))
    assert senders == {"ipv4:127.0.0.1"}
    for report in (flow.report, served.reports[0]):
        assert report is not None
        assert report.graceful, str(report)
        assert (report.received, report.inbound.handled, report.outbound.handled) == (300, 300, 300)


async def test_a_plain_client_sees_order_retries_and_ok() -> None:
    attempts: list[tuple[bytes, int]] = []

    async def handler(item: Item) -> bytes:
        attempts.append((item.data, item.attempt))
        await asyncio.sleep(0)
        if item.data == b"b" and item.attempt == 1:
            raise ValueError
        return bytes(item.data)

    served = pipeline(handler, choices(supervise=Supervise(attempts=2, backoff=Backoff(0.001, 0.001))))
    async with world(served) as here:
        call = here.call()
        for data in (b"a", b"b", b"c"):
            await call.write(data)
        await call.done_writing()
        assert [await call.read() for _ in range(3)] == [b"a", b"b", b"c"]
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
    assert attempts == [(b"a", 1), (b"b", 1), (b"b", 2), (b"c", 1)]


async def test_who_cancels_the_call_cancels_its_handlers() -> None:
    cancelled: list[bytes] = []

    async def handler(item: Item) -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            cancelled.append(item.data)

    served = pipeline(handler, choices(inbound=Way(order=Fifo(messages=1))))
    async with world(served) as here:
        with pytest.raises(StreamAbortedError):
            async with here.talk() as flow:
                await flow.send(b"x")
                await until(lambda: bool(served.flows) and served.flows[0].inbound.received == 1)
                flow.begin_drain(Drain.NONE)
                assert (await flow.ended()).reason is PipelineEnd.ABORTED
        await until(lambda: bool(served.reports))
    assert cancelled == [b"x"]
    assert served.reports[0].reason is PipelineEnd.ABORTED_BY_PEER
    assert served.reports[0].outstanding == (0,)


async def test_a_deadline_of_the_client_ends_the_pipeline_of_the_server() -> None:
    served = pipeline(hangs, choices())
    async with world(served) as here:
        for seconds in (0.3, 3, 30):  # a slow machine may not even have begun by then
            call = here.channel.stream_stream(TALK)(timeout=seconds)
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call.write(b"x")
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await until(lambda: not served.flows)
            if served.reports:
                break
    assert served.reports[0].reason is PipelineEnd.ABORTED_BY_PEER


async def test_what_is_escalated_can_be_waited_for() -> None:
    problem = LookupError("the original")

    def handler(item: Item) -> None:
        raise problem

    served = pipeline(handler, choices(supervise=Supervise(then=Remedy.ESCALATE)))
    async with world(served) as here:
        waiting = asyncio.ensure_future(here.interceptor.escalation())
        call = here.call()
        await call.write(b"x")
        assert await call.code() is grpc.StatusCode.INTERNAL
        with pytest.raises(LookupError) as caught:
            await waiting
        assert caught.value is problem
        with pytest.raises(LookupError):
            await here.interceptor.escalation()


async def test_a_server_that_drains_finishes_what_it_has() -> None:
    gate = asyncio.Event()
    answers: list[bytes] = []

    async def handler(item: Item) -> bytes:
        await gate.wait()
        return bytes(item.data)

    served = pipeline(handler, choices())
    async with world(served) as here:
        async with here.talk(lambda item: answers.append(item.data)) as flow:
            for number in range(5):
                await flow.send(b"%d" % number)
            await until(lambda: bool(served.flows) and served.flows[0].inbound.received == 5)
            draining = asyncio.ensure_future(served.drain())
            await asyncio.sleep(0)
            gate.set()
            (report,) = await draining
            assert (report.reason, report.inbound.handled) == (PipelineEnd.DRAINED, 5)
            assert (await flow.ended()).reason is PipelineEnd.COMPLETE
        assert answers == [b"%d" % number for number in range(5)]


async def test_nobody_reads_further_than_the_line() -> None:
    gate = asyncio.Event()

    async def handler(item: Item) -> None:
        await gate.wait()

    served = pipeline(handler, choices(inbound=Way(order=Fifo(messages=3))))
    sent = 0

    async def pour(flow: Flow) -> None:
        nonlocal sent
        for _ in range(200):
            await flow.send(bytes(65_536))
            sent += 1

    async with world(served) as here:
        async with here.talk() as flow:
            pouring = asyncio.ensure_future(pour(flow))
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.2)
            await until(lambda: bool(served.flows) and served.flows[0].inbound.received >= 4)
            assert served.flows[0].inbound.received == 4, "three in line and one in hand"
            assert sent < 200
            gate.set()
            await pouring
        await until(lambda: bool(served.reports))
    assert served.reports[0].inbound.handled == 200


async def test_admission_with_a_signal_stops_reading() -> None:
    gate = asyncio.Event()

    async def handler(item: Item) -> None:
        await gate.wait()

    way = Way(
        order=PerKey(by=lambda item: item.number),
        admission=SoftAllowSignal(Amount(2), Amount(1000), Amount(1)),
        parallel=1000,
    )
    served = pipeline(handler, choices(inbound=way))
    async with world(served) as here:
        async with here.talk() as flow:
            for _ in range(50):
                await flow.send(b"x")
            await until(lambda: bool(served.flows) and served.flows[0].inbound.received >= 3)
            await asyncio.sleep(0.2)
            assert served.flows[0].inbound.received < 10
            gate.set()
        await until(lambda: bool(served.reports))
    assert served.reports[0].inbound.handled == 50


async def test_the_cancel_of_one_sender_does_not_cancel_the_call() -> None:
    gate = asyncio.Event()

    async def handler(item: Item) -> None:
        await gate.wait()

    served = pipeline(handler, choices(inbound=Way(order=Fifo(messages=1))))
    sent = 0

    async def pour(flow: Flow) -> None:
        nonlocal sent
        while True:
            await flow.send(bytes(65_536))
            sent += 1

    async with world(served) as here:
        async with here.talk() as flow:
            for _ in range(3):
                pouring = asyncio.ensure_future(pour(flow))
                before = -1
                while before != sent:
                    before = sent
                    await asyncio.sleep(0.1)
                pouring.cancel()
                await asyncio.wait([pouring])
            gate.set()
            await flow.send(b"last")
        await until(lambda: bool(served.reports))
    assert flow.report is not None
    assert flow.report.graceful
    assert served.reports[0].reason is PipelineEnd.COMPLETE
    assert sent + 1 <= served.reports[0].inbound.handled <= sent + 4, "wholly or not at all"


async def test_the_failure_of_a_write_whose_sender_was_cancelled_disturbs_nobody() -> None:
    """asyncio told of it as an exception that was never retrieved, once the next message was sent."""
    async with world(pipeline(lambda item: item.data, choices())) as here:
        line = ClientLine(here.call(), "server", TALK)
        sending = asyncio.create_task(line.send("no bytes, which gRPC finds out later"))
        await asyncio.sleep(0)  # it waits for the call to begin
        sending.cancel()
        await asyncio.wait([sending])
        assert sending.cancelled()
        await line.send(b"well")
        assert await anext(aiter(line)) == b"well"
        gc.collect()  # a task tells of its exception when it goes
        await line.send_eof()
        assert [data async for data in line] == []
        await line.close()


async def test_a_method_of_the_server_keeps_its_serializers_and_others_are_left_alone() -> None:
    async def untouched(_: Any, context: Any) -> None:
        await context.write(["plain"])

    async def never(_: Any, context: Any) -> None:
        raise AssertionError("the pipeline is called instead")

    def method(behaviour: Any) -> Any:
        return grpc.stream_stream_rpc_method_handler(
            behaviour, request_deserializer=json.loads, response_serializer=lambda data: json.dumps(data).encode()
        )

    handlers = grpc.method_handlers_generic_handler("demo.Chat", {"Talk": method(never), "Other": method(untouched)})
    async with world(pipeline(lambda item: item.data[::-1], choices()), handlers) as here:
        call = here.call()
        await call.write(b"[1, 2]")
        assert await call.read() == b"[2, 1]"
        await call.done_writing()
        assert await here.channel.stream_stream("/demo.Chat/Other")().read() == b'["plain"]'


async def test_a_method_of_another_kind_cannot_have_a_pipeline() -> None:
    async def unary(request: bytes, context: Any) -> bytes:
        return request

    method: Any = grpc.unary_unary_rpc_method_handler(unary)
    handlers = grpc.method_handlers_generic_handler("demo.Chat", {"Talk": method})
    async with world(pipeline(lambda item: None, choices()), handlers) as here:
        with pytest.raises(grpc.aio.AioRpcError):
            await here.channel.unary_unary(TALK)(b"x")


async def test_a_server_that_stops_ends_the_pipelines_of_both_sides() -> None:
    served = pipeline(hangs, choices())
    async with world(served) as here:
        with pytest.raises(StreamAbortedError):
            async with here.talk() as flow:
                await flow.send(b"x")
                await until(lambda: bool(served.flows) and served.flows[0].inbound.received == 1)
                await here.server.stop(None)
                await flow.ended()
    assert [report.reason for report in served.reports] == [PipelineEnd.ABORTED_BY_PEER]


async def test_the_client_can_leave_outbound_only() -> None:
    async def handler(item: Item) -> None:
        await asyncio.sleep(0.05)

    served = pipeline(handler, choices())
    async with world(served) as here:
        async with here.talk(drain=Drain.OUTBOUND) as flow:
            for _ in range(5):
                await flow.send(b"x")
        await until(lambda: bool(served.reports))
    assert flow.report is not None
    assert flow.report.reason is PipelineEnd.DRAINED
    assert (served.reports[0].reason, served.reports[0].inbound.handled) == (PipelineEnd.COMPLETE, 5)


async def test_what_comes_after_leaving_outbound_is_noticed() -> None:
    async def behaviour(_: Any, context: Any) -> None:
        while await context.read() is not grpc.aio.EOF:
            pass
        await context.write(b"late")

    method: Any = grpc.stream_stream_rpc_method_handler(behaviour)
    handlers = grpc.method_handlers_generic_handler("demo.Chat", {"Talk": method})
    async with world(None, handlers) as here, here.talk(drain=Drain.OUTBOUND) as flow:
        await flow.send(b"x")
        await asyncio.sleep(0.05)  # so that a read is under way, most often
    assert flow.report is not None
    assert (flow.report.reason, flow.report.outstanding) == (PipelineEnd.DRAINED, (0,))
