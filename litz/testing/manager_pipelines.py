"""The manager contract of pipelines: a handler of messages over the streams of any manager."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from litz.admission import Amount, SoftAllowSignal
from litz.backoff import Backoff
from litz.errors import RemoteError, StreamAbortedError
from litz.message import Message
from litz.order import Fifo, PerKey
from litz.pipeline import Flow, Item, Pipeline, PipelineEnd, PipelineOptions, Way, open_pipeline, pipeline
from litz.stream_options import Drain
from litz.stream_port import Abort
from litz.supervised_serving import supervised
from litz.supervision import Failure, Remedy, Supervise
from litz.testing.manager_case import Case, Check, end, expect, take
from litz.testing.stream_case import LONG, patient, service, until

BY_FIRST_BYTE: Final = PerKey(by=lambda item: bytes(item.data[:1]))
GRACE: Final = LONG


def choices(**options: Any) -> PipelineOptions:
    """These choices, and no hurry."""
    return PipelineOptions(**{"grace": GRACE, **options})


@asynccontextmanager
async def talking(
    case: Case,
    served: Pipeline,
    options: PipelineOptions | None = None,
    handler: Callable[[Item], Any] | None = None,
) -> AsyncIterator[Flow]:
    """`b` serves with a pipeline, `a` has one over a stream to it."""
    async with service(case, served):
        async with (
            case.a.open_stream(case.to_b, "service", options=patient()) as stream,
            open_pipeline(stream, options or choices(), handler=handler) as flow,
        ):
            yield flow
        await until(lambda: not served.flows)


async def every_message_is_handled_once_in_order_and_answered(case: Case) -> None:
    handled: list[bytes] = []
    answers: list[bytes] = []

    async def handler(item: Item) -> bytes:
        handled.append(bytes(item.data))
        await asyncio.sleep(0)
        return b"re " + bytes(item.data)

    served = pipeline(handler, choices())
    async with talking(case, served, handler=lambda item: answers.append(bytes(item.data))) as flow:
        for number in range(300):
            await flow.send(b"%d" % number)
    assert handled == [b"%d" % number for number in range(300)]
    assert answers == [b"re %d" % number for number in range(300)], "leaving waits for the answers"
    await until(lambda: bool(served.reports))
    for report in (flow.report, served.reports[0]):
        assert report is not None
        assert report.graceful, str(report)
        assert (report.received, report.inbound.handled, report.outbound.handled) == (300, 300, 300)
        assert report.outstanding == ()


async def keys_run_side_by_side(case: Case) -> None:
    begun: list[bytes] = []
    gate = asyncio.Event()

    async def handler(item: Item) -> None:
        begun.append(bytes(item.data))
        await gate.wait()

    served = pipeline(handler, choices(inbound=Way(order=BY_FIRST_BYTE)))
    async with talking(case, served) as flow:
        for data in (b"a1", b"a2", b"b1", b"b2", b"c1"):
            await flow.send(data)
        await until(lambda: len(begun) == 3)
        assert begun == [b"a1", b"b1", b"c1"]
        gate.set()
    await until(lambda: bool(served.reports))
    assert served.reports[0].inbound.handled == 5


async def what_fails_is_tried_again_then_kept_for_the_user(case: Case) -> None:
    attempts: list[tuple[bytes, int]] = []

    def handler(item: Item) -> None:
        attempts.append((bytes(item.data), item.attempt))
        if item.data == b"bad" or (item.data == b"shy" and item.attempt == 1):
            raise LookupError(item.data)

    served = pipeline(handler, choices(supervise=Supervise(attempts=2, backoff=Backoff(0.001, 0.001))))
    async with talking(case, served) as flow:
        for data in (b"shy", b"bad", b"good"):
            await flow.send(data)
    assert attempts == [(b"shy", 1), (b"shy", 2), (b"bad", 1), (b"bad", 2), (b"good", 1)]
    (letter,) = served.dead_letters.take()
    assert (letter.sender, bytes(letter.data), letter.failure, letter.attempts) == (
        case.to_a,
        b"bad",
        Failure.RAISED,
        2,
    )
    assert "LookupError" in letter.traceback


async def a_parked_key_goes_on_when_it_is_told(case: Case) -> None:
    handled: list[bytes] = []
    fixed = False

    def handler(item: Item) -> None:
        if item.data[:1] == b"a" and not fixed:
            raise ValueError("not yet")
        handled.append(bytes(item.data))

    options = choices(inbound=Way(order=BY_FIRST_BYTE), supervise=Supervise(then=Remedy.PARK_KEY))
    served = pipeline(handler, options)
    async with talking(case, served) as flow:
        for data in (b"a1", b"a2", b"b1"):
            await flow.send(data)
        await until(lambda: handled == [b"b1"])
        (serving,) = served.flows
        assert [bytes(item.data) for item in serving.parked] == [b"a1"]
        fixed = True
        serving.unpark(b"a")
        await until(lambda: len(handled) == 3)
    assert handled == [b"b1", b"a1", b"a2"]


async def a_message_that_closes_its_stream_closes_no_other(case: Case) -> None:
    handled: list[bytes] = []

    def handler(item: Item) -> None:
        handled.append(bytes(item.data))
        if item.data == b"bad":
            raise LookupError("secret")

    served = pipeline(handler, choices(supervise=Supervise(then=Remedy.CLOSE)))
    async with service(case, served), case.a.open_stream(case.to_b, "service", options=patient()) as other:
        stream = await case.a.open_stream(case.to_b, "service", options=patient())
        async with open_pipeline(other, choices()) as fine:
            await stream.send(b"bad")
            error = await expect(StreamAbortedError, stream.receive(), "its message was given up")
            assert isinstance(error, StreamAbortedError)
            assert error.code == Abort.HANDLER_FAILED
            assert "raised" in str(error)
            assert "secret" not in str(error), "what a handler says is not for the peer"
            await fine.send(b"fine")
        await until(lambda: not served.flows)
    assert handled == [b"bad", b"fine"]
    assert sorted(report.reason.value for report in served.reports) == ["complete", "handler failed"]


async def what_is_escalated_leaves_the_serving_call(case: Case) -> None:
    problem = LookupError("the original")

    def handler(item: Item) -> None:
        raise problem

    served = pipeline(handler, choices(supervise=Supervise(then=Remedy.ESCALATE)))
    serving = asyncio.get_running_loop().create_task(served.serve_on(case.b, "service", options=patient()))
    await asyncio.sleep(0)
    stream = await case.a.open_stream(case.to_b, "service", options=patient())
    await stream.send(b"x")
    await expect(StreamAbortedError, stream.receive(), "the service is over")
    await asyncio.wait([serving])
    assert serving.exception() is problem
    assert served.reports[0].reason is PipelineEnd.ESCALATED


async def draining_a_service_finishes_what_it_has(case: Case) -> None:
    gate = asyncio.Event()
    answers: list[bytes] = []

    async def handler(item: Item) -> bytes:
        await gate.wait()
        return bytes(item.data)

    served = pipeline(handler, choices())
    async with talking(case, served, handler=lambda item: answers.append(bytes(item.data))) as flow:
        for number in range(5):
            await flow.send(b"%d" % number)
        await until(lambda: bool(served.flows) and served.flows[0].inbound.received == 5)
        draining = asyncio.get_running_loop().create_task(served.drain())
        await asyncio.sleep(0)
        gate.set()
        (report,) = await draining
        assert (report.reason, report.inbound.handled) == (PipelineEnd.DRAINED, 5)
        assert (await flow.ended()).reason is PipelineEnd.COMPLETE
    assert answers == [b"%d" % number for number in range(5)]


async def an_abort_cancels_what_runs_for_it_although_nobody_reads(case: Case) -> None:
    cancelled: list[bytes] = []

    async def handler(item: Item) -> None:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            cancelled.append(bytes(item.data))
            raise

    served = pipeline(handler, choices(inbound=Way(order=Fifo(messages=1))))
    async with service(case, served):
        stream = await case.a.open_stream(case.to_b, "service", options=patient())
        for _ in range(10):
            await stream.send(b"x")
        await stream.drain()
        await until(lambda: bool(served.flows) and served.flows[0].inbound.received == 2)
        stream.abort("enough")
        await until(lambda: bool(served.reports))
    (report,) = served.reports
    assert cancelled == [b"x"]
    assert (report.reason, report.outstanding, report.interrupted) == (PipelineEnd.ABORTED_BY_PEER, (0, 1), 1)
    assert report.unread >= 1


async def leaving_in_every_way_ends_both(case: Case) -> None:
    gate = asyncio.Event()

    async def handler(item: Item) -> None:
        await gate.wait()

    for what in (Drain.NONE, Drain.OUTBOUND, Drain.INBOUND, Drain.BOTH):
        gate.clear()
        served = pipeline(handler, choices())
        async with service(case, served):
            stream = await case.a.open_stream(case.to_b, "service", options=patient())
            flow = pipeline(handler, choices()).flow_of(stream)
            running = asyncio.get_running_loop().create_task(flow.run())
            await flow.send(b"x")
            await until(lambda served=served: bool(served.flows) and served.flows[0].inbound.received == 1)  # type: ignore[misc]  # binds the loop's variable
            flow.begin_drain(what)
            gate.set()
            await until(lambda served=served: bool(served.reports))  # type: ignore[misc]  # binds the loop's variable
            report = await flow.ended()
            await asyncio.wait([running])
            due = PipelineEnd.ABORTED if what is Drain.NONE else PipelineEnd.DRAINED
            assert report.reason is due, f"{what}: {report} {report.error}"
            complete = what in (Drain.OUTBOUND, Drain.BOTH)
            assert served.reports[0].graceful == complete, f"{what}: {served.reports[0]}"


async def a_manager_that_closes_ends_its_pipelines(case: Case) -> None:
    cancelled: list[bytes] = []

    async def handler(item: Item) -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            cancelled.append(bytes(item.data))

    served = pipeline(handler, choices())
    case.b.listen_streams("service", served, options=patient())
    stream = await case.a.open_stream(case.to_b, "service", options=patient())
    flow = pipeline(handler, choices()).flow_of(stream)
    running = asyncio.get_running_loop().create_task(flow.run())
    await flow.send(b"x")
    await until(lambda: bool(served.flows) and served.flows[0].inbound.received == 1)
    await case.b.aclose()
    assert cancelled == [b"x"]
    assert served.reports[0].reason in (PipelineEnd.CANCELLED, PipelineEnd.LOST)
    await until(lambda: flow.report is not None)
    assert flow.report is not None
    assert flow.report.reason in (PipelineEnd.ABORTED_BY_PEER, PipelineEnd.LOST)
    await end(running)


async def admission_with_a_signal_stops_the_peer_and_lets_it_go_on(case: Case) -> None:
    gate = asyncio.Event()
    size = 32_768

    async def handler(item: Item) -> None:
        await gate.wait()

    way = Way(
        order=PerKey(by=lambda item: item.number),
        admission=SoftAllowSignal(Amount(2), Amount(1000), Amount(1)),
        parallel=1000,
    )
    served = pipeline(handler, choices(inbound=way))
    count = 0

    async def pour(flow: Flow) -> None:
        nonlocal count
        for _ in range(400):
            await flow.send(bytes(size))
            count += 1

    async with talking(case, served) as flow:
        pouring = asyncio.get_running_loop().create_task(pour(flow))
        before = -1
        while before != count:
            before = count
            await asyncio.sleep(0.05)
        assert count < 400, "the peer was not narrowed"
        gate.set()
        await pouring
    await until(lambda: bool(served.reports))
    assert served.reports[0].inbound.handled == 400


async def serve_is_supervised_too(case: Case) -> None:
    tries: list[bytes] = []

    def handler(message: Message) -> bytes | None:
        tries.append(bytes(message.data))
        if message.data == b"shy" and tries.count(b"shy") < 3:
            raise ConnectionError
        if message.data in (b"bad", b"ask"):
            raise LookupError("no")
        return None

    policy = Supervise(attempts=3, retry=(ConnectionError,), backoff=Backoff(0.001, 0.001))
    jobs = supervised(handler, policy)
    serving = asyncio.get_running_loop().create_task(jobs.serve_on(case.b))
    for data in (b"one", b"shy", b"bad", b"two"):
        await case.a.send(case.to_b, data, confirm="processed" if data == b"two" else None)
    assert tries == [b"one", b"shy", b"shy", b"shy", b"bad", b"two"], "what is tried again keeps its place"
    assert [bytes(letter.data) for letter in jobs.dead_letters.take()] == [b"bad"]
    await expect(RemoteError, case.a.request(case.to_b, b"ask"), "a request that is given up")
    await end(serving)


async def what_serve_escalates_is_delivered_again(case: Case) -> None:
    problem = LookupError("the original")

    def handler(message: Message) -> None:
        if message.data == b"bad":
            raise problem

    jobs = supervised(handler, Supervise(then=Remedy.ESCALATE))
    serving = asyncio.get_running_loop().create_task(jobs.serve_on(case.b))
    for data in (b"fine", b"bad", b"later"):
        await case.a.send(case.to_b, data)
    await asyncio.wait([serving])
    assert serving.exception() is problem
    rest = await take(case.b, 2)
    assert [(bytes(message.data), message.redelivered) for message in rest] == [(b"bad", True), (b"later", False)]


PIPELINE_CHECKS: Final[tuple[Check, ...]] = (
    every_message_is_handled_once_in_order_and_answered,
    keys_run_side_by_side,
    what_fails_is_tried_again_then_kept_for_the_user,
    a_parked_key_goes_on_when_it_is_told,
    a_message_that_closes_its_stream_closes_no_other,
    what_is_escalated_leaves_the_serving_call,
    draining_a_service_finishes_what_it_has,
    an_abort_cancels_what_runs_for_it_although_nobody_reads,
    leaving_in_every_way_ends_both,
    a_manager_that_closes_ends_its_pipelines,
    admission_with_a_signal_stops_the_peer_and_lets_it_go_on,
    serve_is_supervised_too,
    what_serve_escalates_is_delivered_again,
)
"""Each is an async function of one `Case`; its name says what must hold."""
