"""The manager contract of streams: how they end, and who is told what."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

from litz.errors import ManagerStateError, PeerClosedError, StreamAbortedError, StreamLostError
from litz.stream import Stream
from litz.stream_lifecycle import StreamEnd, StreamState
from litz.stream_options import Drain
from litz.stream_port import Abort
from litz.stream_report import StreamReport
from litz.testing.manager_case import Case, Check, end, expect, expect_now
from litz.testing.stream_case import (
    PATIENT,
    Caught,
    both_ends,
    echo,
    flood,
    patient,
    rest_of,
    service,
    told_to_the_loop,
    until,
)


def how(stream: Stream) -> tuple[StreamEnd, int | None, str] | None:
    """How it ended."""
    ending = stream.stats.ending
    return None if ending is None else (ending.how, ending.code, ending.reason)


async def aborted_with(stream: Stream, story: str) -> StreamAbortedError:
    """Receiving from it must say that it was aborted."""
    error = await expect(StreamAbortedError, stream.receive(), story)
    assert isinstance(error, StreamAbortedError)
    assert not isinstance(error, StreamLostError), f"{story}: {error!r}"
    return error


def says_that_it_left(error: BaseException) -> None:
    """The session of a peer that closed is over, by intention."""
    assert isinstance(error, StreamLostError), repr(error)
    assert isinstance(error.__cause__, PeerClosedError), repr(error.__cause__)


async def an_abort_comes_after_what_arrived_before(case: Case) -> None:
    for index in (0, 1):
        async with both_ends(case) as ends:
            aborting, told = ends[index], ends[1 - index]
            for number in range(3):
                await aborting.send(b"%d" % number)
            await aborting.drain()
            for code in (-1, 2**16):
                expect_now(ValueError, partial(aborting.abort, "no such code", code=code), f"aborted with {code}")
            assert how(aborting) is None
            aborting.abort("that will do")
            assert aborting.closed
            assert how(aborting) == (StreamEnd.ABORTED_HERE, Abort.CANCELLED, "that will do")
            await aborted_with(aborting, "received after the own abort")
            await expect(StreamAbortedError, aborting.send(b"x"), "sent after the own abort")
            assert [bytes(await told.receive()) for _ in range(3)] == [b"0", b"1", b"2"]
            error = await aborted_with(told, "the peer aborted")
            assert error.code == Abort.CANCELLED
            assert "that will do" in str(error), f"the reason is not told: {error}"
            await expect(StreamAbortedError, told.send(b"x"), "sent after the peer's abort")
            await expect(StreamAbortedError, told.drain(), "drained after the peer's abort")
            await aborted_with(told, "asked again")
            aborting.abort("once more")
            assert how(aborting) == (StreamEnd.ABORTED_HERE, Abort.CANCELLED, "that will do"), "the first reason wins"


async def who_waits_is_woken_by_an_abort(case: Case) -> None:
    loop = asyncio.get_running_loop()
    async with both_ends(case) as (here, there):
        tasks: list[asyncio.Task[Any]] = [loop.create_task(here.receive()), loop.create_task(flood(here))]
        await asyncio.sleep(0)
        there.abort("wake up")
        for task in tasks:
            await expect(StreamAbortedError, task, "waiting at the peer's abort")


async def leaving_the_block_brings_all_to_its_end(case: Case) -> None:
    got, reports = list[bytes](), list[StreamReport]()

    async def collect(stream: Stream) -> None:
        stream.on_closed(reports.append)
        got.extend(await rest_of(stream))

    async with service(case, collect) as listener:
        async with case.a.open_stream(case.to_b, "service", options=PATIENT) as stream:
            stream.on_closed(reports.append)
            for number in range(100):
                await stream.send(b"%d" % number)
        assert stream.closed
        await until(lambda: not listener.streams)
        assert got == [b"%d" % number for number in range(100)]
        await until(lambda: len(reports) >= 2)
        await asyncio.sleep(0)
        assert len(reports) == 2, "each end is told once"
        late = list[StreamReport]()
        stream.on_closed(late.append)
        await until(lambda: bool(late))
    for report in (*reports, *late):
        assert report.ending is not None
        assert report.ending.how is StreamEnd.COMPLETE, report
        assert report.state is StreamState.CLOSED
        assert max(report.messages_sent, report.messages_received) == 100
        assert report.duration >= 0
        assert report.unconfirmed == 0


async def an_exception_in_the_block_aborts(case: Case) -> None:
    caught = Caught()
    async with service(case, caught.handler):
        try:
            async with case.a.open_stream(case.to_b, "service", options=PATIENT) as stream:
                there = await caught.next()
                raise KeyError("secret")
        except KeyError:
            pass
        assert how(stream) == (StreamEnd.ABORTED_HERE, Abort.CANCELLED, "KeyError")
        error = await aborted_with(there, "the peer left by an exception")
        assert "KeyError" in str(error)
        assert "secret" not in str(error)
        caught.go.set()


async def who_leaves_while_the_peer_still_sends_tells_it(case: Case) -> None:
    ended = list[BaseException]()

    async def talk(stream: Stream) -> None:
        try:
            while True:
                await stream.send(bytes(1_000))
        except StreamAbortedError as error:
            ended.append(error)
            raise

    with told_to_the_loop() as told:
        async with service(case, talk) as listener:
            async with case.a.open_stream(case.to_b, "service", options=PATIENT) as stream:
                await stream.receive()
            assert stream.closed
            await until(lambda: not listener.streams)
    assert [type(error) for error in ended] == [StreamAbortedError]
    assert told == [], "that a stream was aborted is no failure of its handler"


async def a_handler_that_raises_aborts_and_is_told_once(case: Case) -> None:
    async def fail(stream: Stream) -> None:
        await stream.receive()
        raise LookupError("secret")

    with told_to_the_loop() as told:
        async with service(case, fail) as listener:
            stream = await case.a.open_stream(case.to_b, "service", options=PATIENT)
            await stream.send(b"go")
            error = await aborted_with(stream, "the handler raised")
            assert error.code == Abort.HANDLER_FAILED
            assert "LookupError" in str(error)
            assert "secret" not in str(error)
            await until(lambda: not listener.streams)
    assert [str(context["exception"]) for context in told] == ["secret"]
    assert case.to_a in told[0]["message"]


async def a_handler_that_cancels_itself_has_failed(case: Case) -> None:
    async def fail(stream: Stream) -> None:
        await stream.receive()
        raise asyncio.CancelledError

    with told_to_the_loop() as told:
        async with service(case, fail) as listener:
            stream = await case.a.open_stream(case.to_b, "service", options=PATIENT)
            await stream.send(b"go")
            error = await aborted_with(stream, "the handler cancelled itself")
            assert error.code == Abort.HANDLER_FAILED
            await until(lambda: not listener.streams)
            async with case.a.open_stream(case.to_b, "service", options=PATIENT) as another:
                another.abort("the service lives on")
    assert len(told) == 1


async def leaving_may_drop_or_drain_what_comes(case: Case) -> None:
    async def answer(stream: Stream) -> None:
        async for _ in stream:
            pass
        for _ in range(200):
            await stream.send(bytes(10_000))

    async with service(case, answer) as listener:
        options = patient(drain=Drain.BOTH)
        async with case.a.open_stream(case.to_b, "service", options=options) as stream:
            await stream.send(b"go")
        assert how(stream) == (StreamEnd.COMPLETE, None, "")
        await until(lambda: not listener.streams)
        assert stream.stats.bytes_received >= 200 * 10_000
        assert stream.stats.messages_received == 0
        options = patient(drain=Drain.NONE)
        async with case.a.open_stream(case.to_b, "service", options=options) as stream:
            pass
        found = how(stream)
        assert found is not None
        assert found[:2] == (StreamEnd.ABORTED_HERE, Abort.CANCELLED)


async def the_grace_period_bounds_leaving(case: Case) -> None:
    caught = Caught()
    async with service(case, caught.handler):
        try:
            async with case.a.open_stream(case.to_b, "service", options=patient(grace=0.05)) as stream:
                await stream.send(b"read or not")
                await stream.drain()
        except StreamAbortedError as error:  # on a slow machine not even our own end is confirmed by then
            assert "not over within" in str(error)
        assert stream.closed, "the peer never finishes, and leaving waits for it"
        caught.go.set()


async def one_side_may_follow_the_other_s_end(case: Case) -> None:
    async with both_ends(case, other=patient(finish_with_peer=True)) as (here, there):
        await there.send(b"before")
        await here.send_eof()
        assert await rest_of(here) == [b"before"]
        assert await rest_of(there) == []
        await until(lambda: here.closed and there.closed)
        assert how(here) == how(there) == (StreamEnd.COMPLETE, None, "")


async def a_stream_that_fails_fast_says_so_at_once(case: Case) -> None:
    """What came before an abort and was not read is dropped, and the handler is cancelled."""
    cancelled = list[bool]()
    ready = list[Stream]()

    async def wait(stream: Stream) -> None:
        ready.append(stream)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(stream.closed)
            raise

    async with service(case, wait, patient(fail_fast=True)) as listener:
        stream = await case.a.open_stream(case.to_b, "service", options=PATIENT)
        await until(lambda: bool(ready))
        await stream.send(b"unread")
        await stream.drain()
        stream.abort("failed")
        await until(lambda: not listener.streams)
        assert cancelled == [True]
        error = await aborted_with(ready[0], "failed fast")
        assert "failed" in str(error)


async def an_idle_stream_is_aborted(case: Case) -> None:
    async with both_ends(case, opener=patient(idle=0.05)) as (here, there):
        await until(lambda: here.closed and there.closed)
        for stream in (here, there):
            error = await aborted_with(stream, "idle")
            assert error.code == Abort.IDLE


async def closing_the_manager_ends_its_streams(case: Case) -> None:
    running = list[str]()

    async def wait(stream: Stream) -> None:
        running.append("began")
        try:
            await stream.receive()
        finally:
            try:
                await asyncio.sleep(0.005)  # it takes its time, and closing waits for it
            finally:
                running.append(f"ended, of {stream.dest}")

    async with service(case, wait), service(Case(case.b, case.a), wait, name="back"):
        stream = await case.a.open_stream(case.to_b, "service", options=PATIENT)
        back = await case.b.open_stream(case.to_a, "back", options=PATIENT)
        await until(lambda: running.count("began") == 2)
        await case.a.aclose()
        assert f"ended, of {case.to_b}" in running, "the manager is closed, and a handler runs"
        assert stream.closed
        error = await expect(StreamLostError, stream.receive(), "the own manager was closed")
        assert isinstance(error.__cause__, ManagerStateError), repr(error.__cause__)
        says_that_it_left(await expect(StreamAbortedError, back.receive(), "the peer's manager was closed"))
        await until(lambda: len(running) == 4)
        assert stream.stats.ending is not None
        assert stream.stats.ending.how is StreamEnd.LOST


async def closing_the_transport_loses_streams_at_both_ends(case: Case) -> None:
    loop = asyncio.get_running_loop()
    async with both_ends(case) as (here, there):
        await here.send(b"arrived")
        await here.drain()
        waiting = loop.create_task(here.receive())
        await asyncio.sleep(0)
        await case.b.close_transport(case.to_a, reason="enough")
        says_that_it_left(await expect(StreamAbortedError, waiting, "the peer closed its transport"))
        assert await there.receive() == b"arrived", "what came before a loss is received"
        await expect(StreamLostError, there.receive(), "its session ended")
        await expect(StreamLostError, there.send(b"x"), "its session ended")
    async with (
        service(case, echo, name="again"),
        case.a.open_stream(case.to_b, "again", options=PATIENT, reopen=True) as stream,
    ):
        await stream.send(b"x")
        assert await stream.receive() == b"x"


async def a_cancelled_block_aborts(case: Case) -> None:
    loop = asyncio.get_running_loop()
    caught = Caught()

    async def use() -> None:
        async with case.a.open_stream(case.to_b, "service", options=PATIENT) as stream:
            await stream.receive()

    async with service(case, caught.handler):
        task = loop.create_task(use())
        there = await caught.next()
        await end(task)
        error = await aborted_with(there, "the peer was cancelled")
        assert error.code == Abort.CANCELLED
        caught.go.set()


STREAM_END_CHECKS: Final[tuple[Check, ...]] = (
    an_abort_comes_after_what_arrived_before,
    who_waits_is_woken_by_an_abort,
    leaving_the_block_brings_all_to_its_end,
    an_exception_in_the_block_aborts,
    who_leaves_while_the_peer_still_sends_tells_it,
    a_handler_that_raises_aborts_and_is_told_once,
    a_handler_that_cancels_itself_has_failed,
    leaving_may_drop_or_drain_what_comes,
    the_grace_period_bounds_leaving,
    one_side_may_follow_the_other_s_end,
    a_stream_that_fails_fast_says_so_at_once,
    an_idle_stream_is_aborted,
    closing_the_manager_ends_its_streams,
    closing_the_transport_loses_streams_at_both_ends,
    a_cancelled_block_aborts,
)
