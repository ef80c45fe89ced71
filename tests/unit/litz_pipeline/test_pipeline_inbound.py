"""What comes in under a pipeline: turns, retries, remedies, parked keys, admission."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litz.admission import Amount, Reject, SoftAllowSignal
from litz.backoff import Backoff
from litz.errors import (
    OrderBrokenError,
    StreamAbortedError,
)
from litz.order import PerKey
from litz.pipeline import Flow, Item, Pipeline, PipelineEnd, PipelineOptions, PipelineReport, Way
from litz.stream_port import Abort
from litz.supervision import Failure, Remedy, Supervise
from litz.testing import SimLoop, run_simulation
from tests.unit.litz_pipeline.line_pair import MemoryLine, pair
from tests.unit.litz_pipeline.served import everything, failing, run, sending


def test_every_message_is_handled_in_order_and_replies_go_out() -> None:
    got: list[Any] = []

    async def handler(item: Item) -> bytes:
        await asyncio.sleep(1)
        reply: bytes = b"re: " + item.data
        return reply

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        reading = asyncio.ensure_future(everything(peer))
        for number in range(9):
            await peer.send(b"%d" % number)
        await peer.send_eof()
        got.extend(await reading)

    report, _ = run(handler, body)
    assert got == [b"re: %d" % number for number in range(9)]
    assert report.reason is PipelineEnd.COMPLETE
    assert (report.received, report.inbound.handled, report.outbound.handled) == (9, 9, 9)
    assert (report.outstanding, report.error, report.graceful) == ((), None, True)
    assert report.duration == pytest.approx(9, abs=0.5)


def test_keys_run_in_parallel_and_each_in_order() -> None:
    begun: list[Any] = []
    ended: list[Any] = []

    async def handler(item: Item) -> None:
        begun.append(item.data)
        await asyncio.sleep(1)
        ended.append(item.data)

    options = PipelineOptions(inbound=Way(order=PerKey(by=lambda item: item.data[0])))
    report, _ = run(handler, sending("a1", "a2", "b1", "c1", "b2"), options)
    assert begun[:3] == ["a1", "b1", "c1"]
    assert sorted(begun[3:]) == ["a2", "b2"]
    assert report.duration == pytest.approx(2, abs=0.1)
    assert report.inbound.handled == 5


def test_a_retry_keeps_the_turn_of_its_key_and_no_capacity() -> None:
    log: list[tuple[str, int]] = []

    def handler(item: Item) -> None:
        log.append((item.data, item.attempt))
        if item.data == "a1" and item.attempt < 3:
            raise ValueError(item.data)

    options = PipelineOptions(
        inbound=Way(order=PerKey(by=lambda item: item.data[0]), parallel=1),
        supervise=Supervise(attempts=3, backoff=Backoff(1, 1)),
    )
    report, _ = run(handler, sending("a1", "a2", "b1", "b2"), options)
    assert log == [("a1", 1), ("b1", 1), ("b2", 1), ("a1", 2), ("a1", 3), ("a2", 1)]
    assert (report.inbound.retried, report.inbound.failures) == (2, {Failure.RAISED: 2})


def test_drop_goes_on_and_counts() -> None:
    options = PipelineOptions(supervise=Supervise(then=Remedy.DROP), sizes=True)
    report, made = run(failing, sending("ok", "bad", "ok"), options)
    assert report.reason is PipelineEnd.COMPLETE
    assert (report.inbound.handled, report.inbound.remedies) == (2, {Remedy.DROP: 1})
    assert (report.inbound.handled_size, report.inbound.failed_size) == (4, {Failure.RAISED: 3})
    assert len(made.dead_letters) == 0


def test_dead_letters_can_be_taken_out() -> None:
    report, made = run(failing, sending("ok", "bad", "ok"))
    assert report.dead_letters == 1
    (letter,) = made.dead_letters.take()
    assert (letter.sender, letter.service, letter.number, letter.data) == ("client", "jobs", 1, "bad")
    assert "no such thing" in letter.traceback


def test_a_full_box_of_dead_letters_closes_the_stream() -> None:
    report, made = run(failing, sending("bad", "bad", "ok"), PipelineOptions(supervise=Supervise(dead_letters=1)))
    assert report.reason is PipelineEnd.HANDLER_FAILED
    assert report.inbound.remedies == {Remedy.DEAD_LETTER: 1, Remedy.CLOSE: 1}
    assert (len(made.dead_letters), made.dead_letters.refused) == (1, 1)
    assert report.outstanding[0] == 1, "what closed the stream is not finished"


def test_close_tells_the_peer_the_kind_and_not_the_text() -> None:
    lines: list[MemoryLine] = []

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        await peer.send("bad")
        with pytest.raises(StreamAbortedError):
            await everything(peer)
        lines.append(peer.peer)

    report, _ = run(failing, body, PipelineOptions(supervise=Supervise(then=Remedy.CLOSE)))
    assert report.reason is PipelineEnd.HANDLER_FAILED
    assert isinstance(report.error, LookupError)
    assert lines[0].aborts == [(Abort.HANDLER_FAILED, "raised")]


def test_escalation_leaves_the_serving_call_with_the_original() -> None:
    report, _ = run(
        failing, sending("bad"), PipelineOptions(supervise=Supervise(then=Remedy.ESCALATE)), expect=LookupError
    )
    assert report.reason is PipelineEnd.ESCALATED
    assert report.outstanding == (0,)


def test_an_escalated_cancel_of_the_handlers_own_is_no_cancel() -> None:
    def handler(item: Item) -> None:
        raise asyncio.CancelledError

    options = PipelineOptions(supervise=Supervise(then=Remedy.ESCALATE))
    report, _ = run(handler, sending("x"), options, expect=StreamAbortedError)
    assert report.inbound.failures == {Failure.CANCELLED_ITSELF: 1}


def test_a_parked_key_waits_and_others_go_on() -> None:
    log: list[Any] = []
    fixed: list[str] = []

    def handler(item: Item) -> None:
        log.append(item.data)
        if item.data == "a1" and not fixed:
            raise ValueError

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        for data in ("a1", "a2", "b1"):
            await peer.send(data)
        await asyncio.sleep(5)
        assert log == ["a1", "b1"]
        assert [item.data for item in flow.parked] == ["a1"]
        with pytest.raises(LookupError):
            flow.unpark("b")
        fixed.append("now")
        flow.unpark("a")
        await asyncio.sleep(5)
        assert flow.parked == []
        await peer.send_eof()

    options = PipelineOptions(
        inbound=Way(order=PerKey(by=lambda item: item.data[0])), supervise=Supervise(then=Remedy.PARK_KEY)
    )
    report, _ = run(handler, body, options)
    assert log == ["a1", "b1", "a1", "a2"]
    assert (report.inbound.handled, report.inbound.remedies) == (3, {Remedy.PARK_KEY: 1})


@pytest.mark.parametrize("skip", [True, False])
def test_what_is_parked_at_the_end_becomes_dead_letters(skip: bool) -> None:
    def handler(item: Item) -> None:
        if item.data[0] == "a":
            raise ValueError(item.data)

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        for data in ("a1", "a2", "b1", "a3"):
            await peer.send(data)
        await asyncio.sleep(5)
        if skip:
            flow.unpark("a", skip=True)
            await asyncio.sleep(5)
        await peer.send_eof()

    options = PipelineOptions(
        inbound=Way(order=PerKey(by=lambda item: item.data[0])), supervise=Supervise(then=Remedy.PARK_KEY)
    )
    report, made = run(handler, body, options)
    left = ["a2", "a3"] if skip else ["a1", "a2", "a3"]
    assert [letter.data for letter in made.dead_letters] == left
    assert [letter.attempts for letter in made.dead_letters] == [1] + [0] * (len(left) - 1)
    assert (report.reason, report.outstanding, report.dead_letters) == (PipelineEnd.COMPLETE, (), len(left))


def test_a_key_that_cannot_be_made_breaks_the_order() -> None:
    options = PipelineOptions(inbound=Way(order=PerKey(by=lambda item: item.data["key"])))
    report, _ = run(failing, sending("no dict"), options)
    assert report.reason is PipelineEnd.ORDER_BROKEN
    assert isinstance(report.error, OrderBrokenError)
    assert report.inbound.failures == {Failure.ORDER_BROKEN: 1}


def test_a_broken_order_can_be_escalated() -> None:
    options = PipelineOptions(
        inbound=Way(order=PerKey(by=lambda item: item.data["key"])),
        supervise=Supervise(remedies={Failure.ORDER_BROKEN: Remedy.ESCALATE}),
    )
    run(failing, sending("no dict"), options, expect=OrderBrokenError)


def test_admission_rejects_and_the_policy_says_what_then() -> None:
    async def handler(item: Item) -> None:
        await asyncio.sleep(10)

    way = Way(order=PerKey(by=lambda item: item.data), admission=Reject(Amount(2)))
    report, made = run(handler, sending("a", "b", "c"), PipelineOptions(inbound=way))
    assert report.inbound.failures == {Failure.REFUSED: 1}
    assert [letter.data for letter in made.dead_letters] == ["c"]
    assert report.inbound.handled == 2


def test_admission_with_a_signal_narrows_the_peer() -> None:
    paused: list[int] = []

    async def handler(item: Item) -> None:
        await asyncio.sleep(1)

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        server = peer.peer
        for data in "abc":
            await peer.send(data)
        await asyncio.sleep(0.5)
        paused.append(server.paused)
        await asyncio.sleep(2)
        paused.append(server.paused)
        await peer.send("d")
        await peer.send_eof()

    way = Way(order=PerKey(by=lambda item: item.data), admission=SoftAllowSignal(Amount(2), Amount(9), Amount(1)))
    run(handler, body, PipelineOptions(inbound=way))
    assert paused == [1, 0]


def test_a_policy_that_raises_is_a_bug_that_leaves_the_serving_call() -> None:
    def retry(error: BaseException) -> bool:
        raise ZeroDivisionError

    options = PipelineOptions(supervise=Supervise(attempts=2, retry=retry))
    report, _ = run(failing, sending("bad"), options, expect=ZeroDivisionError)
    assert report.reason is PipelineEnd.TASK_FAILED


def test_what_is_to_end_the_process_is_no_failure_of_a_message() -> None:
    class Stop(BaseException):
        """As KeyboardInterrupt, which would also stop the loop."""

    def handler(item: Item) -> None:
        raise Stop

    report, _ = run(handler, sending("x"), PipelineOptions(supervise=Supervise(attempts=3)))
    assert report.reason is PipelineEnd.CANCELLED
    assert (report.inbound.failures, report.inbound.handled) == ({}, 0)


def test_a_stream_that_begins_while_it_is_high_is_narrowed_too() -> None:
    async def main(loop: SimLoop) -> None:
        gate = asyncio.Event()

        async def handler(item: Item) -> None:
            await gate.wait()

        way = Way(order=PerKey(by=lambda item: item.data), admission=SoftAllowSignal(Amount(1), Amount(9), Amount(0)))
        made = Pipeline(handler, PipelineOptions(inbound=way))
        (first, one), (second, two) = pair(), pair()
        tasks = [loop.create_task(made.serve(one))]
        await first.send("a")
        await first.send("b")
        await asyncio.sleep(1)
        tasks.append(loop.create_task(made.serve(two)))
        await asyncio.sleep(1)
        assert (one.paused, two.paused) == (1, 1)
        gate.set()
        await asyncio.sleep(1)
        assert (one.paused, two.paused) == (0, 0)
        for line in (first, second):
            await line.send_eof()
        await asyncio.wait(tasks)

    run_simulation(main, seed=1)
