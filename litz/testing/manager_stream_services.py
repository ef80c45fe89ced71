"""The manager contract of streams: opening them, refusing them, and the services that take them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final, cast

from litz.errors import (
    ConsumerConflictError,
    DrainingError,
    InvalidDestError,
    PeerDrainingError,
    StreamAbortedError,
    StreamRefusedError,
)
from litz.stream import Stream
from litz.stream_listener import AcceptStream
from litz.stream_port import Abort, Offer, Refusal
from litz.testing.manager_case import Case, Check, end, expect, expect_now
from litz.testing.stream_case import LONG, PATIENT, Caught, echo, patient, rest_of, service, told_to_the_loop, until


async def refused(case: Case, name: str, story: str, **arguments: Any) -> StreamRefusedError:
    """Opening it must be refused."""

    async def try_it() -> Stream:
        return await case.a.open_stream(case.to_b, name, **{"options": PATIENT, **arguments})

    error = await expect(StreamRefusedError, try_it(), story)
    assert isinstance(error, StreamRefusedError)
    assert isinstance(error, OSError)
    assert case.to_b in str(error)
    return error


async def what_nobody_serves_is_refused(case: Case) -> None:
    assert (await refused(case, "nothing", "no such service")).why == Refusal.REFUSED
    async with service(case, echo) as listener:
        assert (await refused(case, "servic", "no such service")).why == Refusal.REFUSED
        await listener.stop()
        assert (await refused(case, "service", "a stopped service")).why == Refusal.REFUSED


async def a_service_may_say_no(case: Case) -> None:
    offers = list[Offer]()

    def accept(offer: Offer) -> str | None:
        offers.append(offer)
        if offer.metadata == b"raise":
            raise LookupError("secret")
        return None if offer.metadata == b"please" else "say please"

    async with service(case, echo, accept=accept):
        error = await refused(case, "service", "accept says no", metadata=b"now")
        assert error.why == Refusal.REJECTED
        assert "say please" in str(error)
        with told_to_the_loop() as told:
            error = await refused(case, "service", "accept raises", metadata=b"raise")
        assert error.why == Refusal.REJECTED
        assert "secret" not in str(error)
        assert [str(context["exception"]) for context in told] == ["secret"]
        async with case.a.open_stream(case.to_b, "service", metadata=b"please", options=PATIENT) as stream:
            await stream.send(b"x")
            assert await stream.receive() == b"x"
    assert [(offer.sender, offer.service, offer.metadata) for offer in offers] == [
        (case.to_a, "service", metadata) for metadata in (b"now", b"raise", b"please")
    ]


async def an_accept_that_gives_no_answer_refuses(case: Case) -> None:
    async def later(offer: Offer) -> None:
        raise AssertionError("awaited")

    for accept in (later, lambda _offer: True):
        async with service(case, echo, accept=cast(AcceptStream, accept)) as listener:
            with told_to_the_loop() as told:
                error = await refused(case, "service", "accept gives no answer")
            assert error.why == Refusal.REJECTED
            assert [type(context["exception"]) for context in told] == [TypeError]
            assert listener.streams == []


async def opens_wait_until_the_service_starts(case: Case) -> None:
    loop = asyncio.get_running_loop()

    async def open_one() -> Stream:
        return await case.a.open_stream(case.to_b, "service", options=PATIENT)

    async with service(case, echo, patient(waiting_opens=2), start=False) as listener:
        tasks = [loop.create_task(open_one()) for _ in range(2)]
        await until(lambda: listener.waiting == 2)
        busy = await refused(case, "service", "more than waiting_opens")
        assert busy.why == Refusal.BUSY
        assert busy.retry_after is not None
        assert not any(task.done() for task in tasks)
        await end(tasks.pop())
        await until(lambda: listener.waiting == 1)
        listener.start()
        async with await tasks[0] as stream:
            await stream.send(b"x")
            assert await stream.receive() == b"x"
        async with case.a.open_stream(case.to_b, "service", options=PATIENT) as stream:
            pass


async def _open(case: Case, *, timeout: float | None, name: str = "service") -> Stream:
    return await case.a.open_stream(case.to_b, name, options=PATIENT, timeout=timeout)


async def an_open_waits_no_longer_than_its_timeout(case: Case) -> None:
    await case.meet()
    async with service(case, echo, start=False) as listener:
        error = await expect(TimeoutError, _open(case, timeout=0.05), "nobody answers")
        assert case.to_b in str(error)
        await until(lambda: listener.waiting == 0)
        listener.start()
        assert listener.streams == [], "who has gone was taken"
        async with await _open(case, timeout=None) as stream:
            await stream.send(b"x")
            assert await stream.receive() == b"x"


async def a_service_that_never_starts_refuses_who_waits(case: Case) -> None:
    loop = asyncio.get_running_loop()
    async with service(case, echo, start=False) as listener:
        waiting = loop.create_task(_open(case, timeout=None))
        await until(lambda: listener.waiting == 1)
        await listener.stop()
        error = await expect(StreamRefusedError, waiting, "stopped before it started")
        assert isinstance(error, StreamRefusedError)
        assert error.why == Refusal.REFUSED
        expect_now(RuntimeError, listener.start, "started after it was stopped")


async def an_open_cancelled_at_any_step_leaves_nothing(case: Case) -> None:
    await case.meet()
    loop, ended = asyncio.get_running_loop(), list[type[BaseException]]()

    async def handler(stream: Stream) -> None:
        try:
            await rest_of(stream)
        except StreamAbortedError as error:
            ended.append(type(error))
            raise

    async with service(case, handler) as listener:
        opened = 0
        for steps in range(25):
            task = loop.create_task(_open(case, timeout=None))
            for step in range(steps):
                await asyncio.sleep(0 if step % 5 else 0.001)
            await end(task)
            if not task.cancelled():
                opened += 1
                await task.result().aclose()
        await until(lambda: not listener.streams)
        await case.round_trip()
        assert listener.streams == []
        assert opened, "never opened: nothing was tested"
        async with await _open(case, timeout=None) as stream:
            await stream.send(b"x")


async def a_service_has_a_limit_of_streams(case: Case) -> None:
    caught = Caught()
    async with service(case, caught.handler, patient(max_streams=3)) as listener:
        streams = [await _open(case, timeout=None) for _ in range(3)]
        error = await refused(case, "service", "over max_streams")
        assert error.why == Refusal.BUSY
        assert error.retry_after is not None
        assert "later" in str(error) or "again in" in str(error), f"the cure is not named: {error}"
        caught.go.set()
        for stream in streams:
            await stream.aclose()
        await until(lambda: not listener.streams)
        await (await _open(case, timeout=None)).aclose()


async def a_service_is_taken_once_and_free_after_it(case: Case) -> None:
    async with service(case, echo):
        story = "the service is taken"
        expect_now(ConsumerConflictError, partial(case.b.listen_streams, "service", echo), story)
    async with service(case, echo), await _open(case, timeout=None) as stream:
        await stream.send(b"x")
        assert await stream.receive() == b"x"


async def a_stopped_service_lets_streams_live_or_ends_them(case: Case) -> None:
    for choice in ("live", "drain", "abort"):
        caught = Caught()
        async with service(case, caught.handler, patient(grace=LONG)) as listener:
            stream = await _open(case, timeout=None)
            there = await caught.next()
            if choice == "live":
                await listener.stop("live")
                await stream.send(b"still")
                assert await there.receive() == b"still"
                caught.go.set()
                await stream.aclose()
            elif choice == "drain":
                stopping = asyncio.get_running_loop().create_task(listener.stop("drain"))
                await stream.send(b"still")
                assert await there.receive() == b"still"
                assert not stopping.done(), "a handler runs, and the service has drained"
                caught.go.set()
                await stream.aclose()
                await stopping
                assert listener.streams == []
            else:
                await listener.stop("drain", timeout=0.01)
                assert listener.streams == []
                error = await expect(StreamAbortedError, stream.receive(), "the service was stopped")
                assert isinstance(error, StreamAbortedError)
                assert error.code == Abort.LEAVING


async def wrong_arguments_are_told_apart(case: Case) -> None:
    a, b = case.a, case.b
    names: list[Any] = ["", "two words", "x" * 256, "new\nline", 7]
    text: Any = "text"
    for name in names:
        expect_now(ValueError, partial(a.open_stream, case.to_b, name), f"service {name!r}")
        expect_now(ValueError, partial(b.listen_streams, name, echo), f"service {name!r}")
    expect_now(InvalidDestError, partial(a.open_stream, "not a dest", "service"), "a dest with spaces")
    expect_now(ValueError, partial(a.open_stream, case.to_b, "service", metadata=bytes(4_097)), "metadata too long")
    expect_now(ValueError, partial(a.open_stream, case.to_b, "service", metadata=text), "metadata of text")


async def a_node_that_leaves_opens_and_takes_no_new_streams(case: Case) -> None:
    loop = asyncio.get_running_loop()
    await case.meet()
    caught = Caught()
    async with service(case, caught.handler):
        stream = await _open(case, timeout=None)
        there = await caught.next()
        leaving = loop.create_task(case.b.drain(final=True, timeout=LONG))
        await until(lambda: any(dest.draining for dest in case.a.snapshot().dests))
        await expect(PeerDrainingError, _open(case, timeout=None), "opened to a peer that leaves")

        async def open_back() -> Stream:
            return await case.b.open_stream(case.to_a, "service")

        await expect(DrainingError, open_back(), "opened by a node that leaves")
        await stream.send(b"goes on")
        assert await there.receive() == b"goes on"
        assert not leaving.done(), "a stream stands, and the drain is over"
        caught.go.set()
        await stream.aclose()
        assert await leaving == ()


STREAM_SERVICE_CHECKS: Final[tuple[Check, ...]] = (
    what_nobody_serves_is_refused,
    a_service_may_say_no,
    an_accept_that_gives_no_answer_refuses,
    opens_wait_until_the_service_starts,
    an_open_waits_no_longer_than_its_timeout,
    a_service_that_never_starts_refuses_who_waits,
    an_open_cancelled_at_any_step_leaves_nothing,
    a_service_has_a_limit_of_streams,
    a_service_is_taken_once_and_free_after_it,
    a_stopped_service_lets_streams_live_or_ends_them,
    wrong_arguments_are_told_apart,
    a_node_that_leaves_opens_and_takes_no_new_streams,
)
