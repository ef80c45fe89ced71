"""`serve` as a handler and the peers of its node see it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from litz import ConsumerConflictError, Message, PayloadError, PayloadType
from litz.inbox import Inbox
from litz.message import Detail, Origin

BULK = PayloadType.RPC_RELIABLE
SIGNAL = PayloadType.RPC_SIGNAL


class Caller:
    """A sender whose requests and their answers are recorded."""

    verified = True

    def __init__(self, inbox: Inbox, sender: str, payload_type: PayloadType = BULK) -> None:
        self.sender = sender
        self.payload_type = payload_type
        self.queue = inbox.queue(sender, payload_type)
        self.next = 0
        self.answers: list[tuple[int, str, Any]] = []

    def put(self, *data: Any, request: bool = False, size: int = 100_000) -> None:
        messages = []
        for item in data:
            messages.append(Message((item, self.next, self, Detail(request_id=self.next) if request else None)))
            self.next += 1
        self.queue.put(messages, size)

    def origin(self, number: int) -> Origin:
        raise AssertionError("nobody asked")

    async def reply(self, message: Message, data: Any) -> None:
        if data == "unsendable":
            raise PayloadError("no codec")
        self.answers.append((message.number, "reply", data))

    async def fail(self, message: Message, error: BaseException) -> None:
        self.answers.append((message.number, "error", type(error).__name__))


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def stop(serving: asyncio.Task[None]) -> None:
    serving.cancel()
    await asyncio.wait([serving])
    assert len(asyncio.all_tasks()) == 1


def start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(coroutine)


async def test_serial_per_sender_and_parallel_across() -> None:
    inbox = Inbox()
    a, b = Caller(inbox, "a"), Caller(inbox, "b")
    gates = {"a": asyncio.Event(), "b": asyncio.Event()}
    begun: list[tuple[str, int]] = []

    async def handler(message: Message) -> None:
        begun.append((message.sender, message.number))
        await gates[message.sender].wait()

    serving = start(inbox.serve(handler))
    a.put(1, 2)
    b.put(1)
    await turns()
    assert begun == [("a", 0), ("b", 0)]
    assert (a.queue.processed, b.queue.processed) == (0, 0)
    gates["a"].set()
    await turns()
    assert begun[2:] == [("a", 1)]
    assert (a.queue.processed, a.queue.pending, b.queue.processed) == (2, 0, 0)
    await stop(serving)


async def test_signals_of_a_sender_overtake_its_bulk() -> None:
    inbox = Inbox()
    a, signal = Caller(inbox, "a"), Caller(inbox, "a", SIGNAL)
    got: list[Any] = []

    async def handler(message: Message) -> None:
        got.append(message.data)
        if message.data == 1:
            signal.put("now")
        await asyncio.sleep(0)

    serving = start(inbox.serve(handler))
    a.put(1, 2, 3)
    await turns(20)
    assert got == [1, "now", 2, 3]
    await stop(serving)


async def test_workers_are_bounded_and_everybody_is_served() -> None:
    inbox = Inbox()
    running = 0
    most = 0
    done: list[str] = []

    async def handler(message: Message) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(message.sender)

    serving = start(inbox.serve(handler, workers=3))
    await turns()
    callers = [Caller(inbox, f"s{index}") for index in range(10)]
    for caller in callers:
        caller.put(1)
        caller.put(2)
    await turns(100)
    assert most == 3
    assert sorted(done) == sorted([f"s{index}" for index in range(10)] * 2)
    assert len(asyncio.all_tasks()) == 2, "idle workers end"
    await stop(serving)


async def test_requests_are_answered_typed(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox()
    a = Caller(inbox, "a")

    def handler(message: Message) -> Any:
        if message.data == "bad":
            raise KeyError("x")
        return message.data

    serving = start(inbox.serve(handler))
    a.put("one", "bad", None, "unsendable", request=True)
    with caplog.at_level(logging.ERROR):
        a.put("bad", request=False)
        a.put("last", request=True)
        await turns()
    assert a.answers == [
        (0, "reply", "one"),
        (1, "error", "KeyError"),
        (2, "reply", None),
        (3, "error", "PayloadError"),
        (5, "reply", "last"),
    ]
    assert "the handler raised" in caplog.text
    await stop(serving)


async def test_a_handlers_own_cancel_is_an_error_of_its_message() -> None:
    inbox = Inbox()
    a = Caller(inbox, "a")

    async def handler(message: Message) -> str:
        if message.data == "cancel":
            raise asyncio.CancelledError
        return "fine"

    serving = start(inbox.serve(handler))
    a.put("cancel", "x", request=True)
    a.put("cancel")
    a.put("y", request=True)
    await turns()
    assert a.answers == [(0, "error", "CancelledError"), (1, "reply", "fine"), (3, "reply", "fine")]
    await stop(serving)


@pytest.mark.parametrize("concurrency", [None, 4])
async def test_a_cancelled_request_reaches_its_handler_and_no_other(concurrency: int | None) -> None:
    inbox = Inbox()
    a = Caller(inbox, "a")
    ended: list[tuple[Any, str]] = []

    async def handler(message: Message) -> str:
        try:
            async with asyncio.timeout(1000):
                await asyncio.sleep(0 if message.data == "quick" else 1000)
        except asyncio.CancelledError:
            ended.append((message.data, "cancelled"))
            raise
        return "done"

    serving = start(inbox.serve(handler, concurrency=concurrency))
    a.put("slow", "never", "quick", request=True)
    inbox.cancel_request("a", 1)
    await turns()
    inbox.cancel_request("a", 0)
    inbox.cancel_request("a", 0)
    await turns(20)
    assert ended == [("slow", "cancelled")]
    assert a.answers == [(2, "reply", "done")]
    assert a.queue.processed == 3
    inbox.cancel_request("a", 2)
    inbox.cancel_request("nobody", 2)
    a.put("quick", request=True)
    await turns(20)
    assert a.answers[-1] == (3, "reply", "done")
    await stop(serving)


async def test_a_handler_that_swallows_the_cancel_gives_no_answer_and_work_goes_on() -> None:
    inbox = Inbox()
    a = Caller(inbox, "a")

    async def handler(message: Message) -> str:
        if message.data == "stubborn":
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                return "too late"
        await asyncio.sleep(0)
        return "fine"

    serving = start(inbox.serve(handler))
    a.put("stubborn", "next", request=True)
    await turns()
    inbox.cancel_request("a", 0)
    await turns()
    assert a.answers == [(1, "reply", "fine")]
    await stop(serving)


@pytest.mark.parametrize("started", [True, False])
async def test_a_cancelled_serve_redelivers_what_was_not_finished(started: bool) -> None:
    inbox = Inbox()
    a = Caller(inbox, "a")

    async def handler(message: Message) -> None:
        if message.number == 1:
            await asyncio.sleep(1000)

    serving = start(inbox.serve(handler))
    await turns()
    if not started:
        serving.cancel()  # on its way out it takes nothing more
    a.put("0", "1", "2")
    if started:
        await turns()
    await stop(serving)
    assert a.queue.processed == (1 if started else 0)
    async with inbox.messages() as stream:
        got = [await stream.__anext__() for _ in range(2 if started else 3)]
    expected = [(1, True), (2, False)] if started else [(0, False), (1, False), (2, False)]
    assert [(m.number, m.redelivered) for m in got] == expected
    assert (a.queue.processed, a.queue.pending, inbox.pending_bytes) == (3, 0, 0)


async def test_concurrency_runs_n_counts_cumulatively_and_redelivers_the_unfinished() -> None:
    inbox = Inbox()
    a = Caller(inbox, "a")
    gates = [asyncio.Event() for _ in range(8)]
    begun: list[int] = []

    async def handler(message: Message) -> None:
        begun.append(message.number)
        await gates[message.number].wait()

    serving = start(inbox.serve(handler, concurrency=3))
    a.put(0, 1)
    await turns()
    a.put(2, 3, 4, size=1)
    a.put(5, 6, 7)
    await turns()
    assert begun == [0, 1, 2]
    gates[1].set()
    gates[2].set()
    await turns()
    assert begun == [0, 1, 2, 3, 4]
    assert a.queue.processed == 0
    gates[4].set()
    await turns()
    gates[0].set()
    await turns()
    assert begun == [0, 1, 2, 3, 4, 5, 6]
    assert (a.queue.processed, a.queue.last_processed_number) == (3, 2)
    gates[6].set()
    await turns()
    await stop(serving)
    async with inbox.messages() as stream:
        got = [await stream.__anext__() for _ in range(3)]
    assert [(m.number, m.redelivered) for m in got] == [(3, True), (5, True), (7, True)]
    assert (a.queue.processed, a.queue.pending, inbox.pending_bytes) == (8, 0, 0)


async def test_watch_fires_under_serve() -> None:
    inbox = Inbox()
    a = Caller(inbox, "a")
    seen: list[int] = []

    async def handler(message: Message) -> None:
        if message.number == 0:
            a.queue.watch(lambda: seen.append(a.queue.processed))
        await asyncio.sleep(0)

    serving = start(inbox.serve(handler))
    a.put(0, 1, 2)
    await turns()
    assert seen == [1]
    await stop(serving)


async def test_close_cancels_handlers_and_serve_returns() -> None:
    inbox = Inbox()
    a = Caller(inbox, "a")
    ended: list[str] = []

    async def handler(message: Message) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("handler")

    serving = start(inbox.serve(handler))
    a.put(1)
    await turns()
    with pytest.raises(ConsumerConflictError):
        inbox.messages()
    with pytest.raises(ConsumerConflictError):
        await inbox.serve(handler)
    inbox.close()
    await inbox.wait_served()
    assert ended == ["handler"]
    await serving


async def test_sync_handlers_do_not_starve_the_loop() -> None:
    inbox = Inbox()
    a = Caller(inbox, "a")
    processed: list[int] = []
    at_turn: list[int] = []
    serving = start(inbox.serve(lambda message: processed.append(message.number)))
    for _ in range(10):
        a.put(1, 2, 3)
    for _ in range(4):
        await asyncio.sleep(0)
        at_turn.append(len(processed))
    assert 0 < at_turn[2] < 30
    await turns(30)
    assert processed == list(range(30))
    await stop(serving)
