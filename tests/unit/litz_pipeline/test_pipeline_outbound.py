"""What goes out under a pipeline: turns, errors, admission, and who waits."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from litz.admission import Amount, Reject
from litz.errors import (
    AdmissionRefusedError,
    MessageTooLargeError,
    StreamAbortedError,
    StreamLostError,
)
from litz.order import Fifo, PerKey
from litz.pipeline import Flow, Outgoing, PipelineEnd, PipelineOptions, PipelineReport, Way
from litz.supervision import Failure
from tests.unit.litz_pipeline.line_pair import MemoryLine
from tests.unit.litz_pipeline.served import everything, failing, run


def test_outbound_errors_end_the_stream_or_only_their_message() -> None:
    def outgoing(message: Outgoing) -> Any:
        if message.data == "bad":
            raise ValueError("cannot be made")
        return message.data

    for fail_fast in (True, False):
        seen: list[Any] = []

        async def body(
            peer: MemoryLine,
            task: asyncio.Task[PipelineReport],
            flow: Flow,
            seen: list[Any] = seen,
            fail_fast: bool = fail_fast,
        ) -> None:
            await flow.send("one")
            with pytest.raises(ValueError, match="cannot be made"):
                await flow.send("bad")
            try:
                await flow.send("two")
            except StreamAbortedError as error:
                seen.append(type(error.__cause__))
            if not fail_fast:
                await peer.send_eof()

        report, _ = run(failing, body, PipelineOptions(fail_fast=fail_fast), outgoing=outgoing)
        assert seen == ([ValueError] if fail_fast else [])
        assert report.reason is (PipelineEnd.OUTBOUND_FAILED if fail_fast else PipelineEnd.COMPLETE)
        assert report.outbound.handled == (1 if fail_fast else 2)
        assert report.outbound.failures == {Failure.RAISED: 1}


def test_too_large_is_its_own_kind() -> None:
    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        peer.peer.limit = 0
        with pytest.raises(MessageTooLargeError):
            await flow.send("x")
        await peer.send_eof()

    report, _ = run(failing, body, PipelineOptions(fail_fast=False))
    assert report.outbound.failures == {Failure.TOO_LARGE: 1}


def test_what_admission_refuses_outbound_is_told_to_its_sender_only() -> None:
    async def slow(message: Outgoing) -> Any:
        await asyncio.sleep(1)
        return message.data

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        first = asyncio.ensure_future(flow.send("a", key="a"))
        await asyncio.sleep(0.1)
        with pytest.raises(AdmissionRefusedError):
            await flow.send("b", key="b")
        await first
        await peer.send_eof()
        assert await everything(peer) == ["a"]

    way = Way(order=PerKey(by=lambda message: message.key), admission=Reject(Amount(1)))
    report, _ = run(failing, body, PipelineOptions(outbound=way), outgoing=slow)
    assert report.reason is PipelineEnd.COMPLETE
    assert report.outbound.failures == {Failure.REFUSED: 1}


def test_outbound_keys_in_parallel_each_in_order_and_waiters_first_come_first_served() -> None:
    times = {"a1": 3.0, "a2": 0.0, "b1": 1.0, "b2": 0.0}

    async def outgoing(message: Outgoing) -> Any:
        await asyncio.sleep(times[message.data])
        return message.data

    got: list[Any] = []

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        sends = [asyncio.ensure_future(flow.send(data, key=data[0])) for data in times]
        await asyncio.wait(sends)
        await peer.send_eof()
        got.extend(await everything(peer))

    options = PipelineOptions(outbound=Way(order=PerKey(by=lambda message: message.key, messages=3)))
    run(failing, body, options, outgoing=outgoing)
    assert got == ["b1", "b2", "a1", "a2"]


def test_sends_keep_their_order_through_a_line_that_is_full() -> None:
    got: list[Any] = []

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        sends = [asyncio.ensure_future(flow.send(number)) for number in range(20)]
        await asyncio.sleep(1)
        for number in (5, 7, 11, 19):  # 5 is in line, the others wait for room
            sends[number].cancel()
        reading = asyncio.ensure_future(everything(peer))
        await asyncio.wait(sends)
        await peer.send_eof()
        got.extend(await reading)

    options = PipelineOptions(outbound=Way(order=Fifo(messages=2)))
    report, _ = run(failing, body, options)
    assert got == [number for number in range(20) if number not in (5, 7, 11, 19)]
    assert report.undelivered == 0


@pytest.mark.parametrize("seed", range(60))
def test_whenever_somebody_comes_nobody_is_overtaken(seed: int) -> None:
    """Senders that come in any turn of the loop, while others write, wait for their turn or for room."""
    rng = Random(seed)
    turns = [rng.randrange(14) for _ in range(14)]
    called: list[int] = []
    got: list[Any] = []

    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        async def sender(number: int) -> None:
            for _ in range(turns[number]):
                await asyncio.sleep(0)
            called.append(number)
            await flow.send(number)

        sends = [asyncio.ensure_future(sender(number)) for number in range(len(turns))]
        reading = asyncio.ensure_future(everything(peer))
        await asyncio.wait(sends)
        await peer.send_eof()
        got.extend(await reading)

    run(failing, body, PipelineOptions(outbound=Way(order=Fifo(messages=rng.choice((1, 2, 50))))))
    assert got == called


@pytest.mark.parametrize("late", [False, True])
def test_who_waits_to_send_is_told_of_the_end(late: bool) -> None:
    async def body(peer: MemoryLine, task: asyncio.Task[PipelineReport], flow: Flow) -> None:
        sends = [asyncio.ensure_future(flow.send(number)) for number in range(12)]
        await asyncio.sleep(1)
        peer.lose()
        await asyncio.wait(sends)
        failed = [send for send in sends if send.exception() is not None]
        assert len(failed) == 8
        assert {type(send.exception()) for send in failed} == {StreamLostError}
        if late:
            with pytest.raises(StreamLostError):
                await flow.send("later")

    options = PipelineOptions(outbound=Way(order=Fifo(messages=3)))
    report, _ = run(failing, body, options)
    assert (report.reason, report.undelivered) == (PipelineEnd.LOST, 3), "the others were never taken"
