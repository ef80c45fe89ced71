"""Checks of the manager contract: requests, consumers and handlers."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litz.errors import ConsumerConflictError, OutcomeUnknownError, RemoteError, RequestTimeoutError
from litz.message import Message
from litz.payload import PayloadType
from litz.testing.manager_case import Case, Check, end, expect, expect_now, serving, take, texts


async def requests_are_answered_each_its_own(case: Case) -> None:
    async def handler(message: Message) -> bytes | None:
        await asyncio.sleep(0)
        return None if message.data == b"none" else b"re:" + bytes(message.data)

    async with serving(case.b, handler, concurrency=8):
        replies = await asyncio.gather(*(case.a.request(case.to_b, b"%d" % n) for n in range(200)))
        assert [bytes(r) for r in replies] == [b"re:%d" % n for n in range(200)], "replies went to others"
        assert await case.a.request(case.to_b, b"none") in (b"", None), "None was not the empty reply"
    async with serving(case.b, lambda message: bytes(message.data).upper()):
        assert bytes(await case.a.request(case.to_b, b"sync")) == b"SYNC", "a sync handler was not used"


async def a_handlers_exception_comes_back_typed(case: Case) -> None:
    def handler(message: Message) -> bytes:
        if message.data == b"bad":
            raise LookupError("no such thing")
        return b"ok"

    async with serving(case.b, handler):
        error = await expect(RemoteError, case.a.request(case.to_b, b"bad"), "a raising handler")
        assert isinstance(error, RemoteError)
        found = (error.kind, error.detail, error.dest)
        assert found == ("LookupError", "no such thing", case.to_b), f"the error came back as {found}"
        assert bytes(await case.a.request(case.to_b, b"good")) == b"ok", "one exception ended serve"


async def a_timeout_and_a_cancel_reach_the_handler(case: Case) -> None:
    events: asyncio.Queue[str] = asyncio.Queue()

    async def handler(message: Message) -> bytes:
        if message.data == b"quick":
            return b"quick"
        await events.put("begun")
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await events.put("cancelled")
            raise
        return b"never"

    async with serving(case.b, handler):
        # Connected first: a dial is not to eat up the timeout, for then the handler never begins.
        assert bytes(await case.a.request(case.to_b, b"quick")) == b"quick", "a request was answered wrongly"
        for timeout in (0.05, 1.0, 20.0):
            request = case.a.request(case.to_b, b"slow", timeout=timeout)
            await expect(RequestTimeoutError, request, "a request over its timeout")
            # One sender's messages are handled in turn: by now the handler has begun, or it never will, because on a
            # busy machine the cancel was there first.
            assert bytes(await case.a.request(case.to_b, b"quick")) == b"quick", "a request was answered wrongly"
            if not events.empty():
                break
        assert [await events.get(), await events.get()] == ["begun", "cancelled"]
        task = asyncio.get_running_loop().create_task(case.a.request(case.to_b, b"slow"))
        assert await events.get() == "begun"
        await end(task)
        assert task.cancelled(), "a cancelled request did something else"
        assert await events.get() == "cancelled", "the handler was not cancelled with its request"
        assert bytes(await case.a.request(case.to_b, b"quick")) == b"quick", "a late reply answered another"


async def a_reply_by_hand_counts_once(case: Case) -> None:
    asking = asyncio.get_running_loop().create_task(case.a.request(case.to_b, b"?"))
    (message,) = await take(case.b, 1)
    assert message.is_request, "a request does not say that it is one"
    await message.reply(b"first")
    await message.reply(b"second")
    assert bytes(await asking) == b"first", "the first reply was not the one that counts"
    again = asyncio.get_running_loop().create_task(case.a.request(case.to_b, b"!"))
    (message,) = await take(case.b, 1)
    await message.reply(b"third")
    assert bytes(await again) == b"third", "an answer went to the wrong request"


async def handlers_may_ask_back(case: Case) -> None:
    async def ask_back(message: Message) -> bytes:
        return b"<" + bytes(await case.b.request(case.to_a, message.data)) + b">"

    async with serving(case.a, lambda message: bytes(message.data) * 2), serving(case.b, ask_back):
        assert bytes(await case.a.request(case.to_b, b"x")) == b"<xx>", "a nested request was answered wrongly"


async def a_lost_peer_leaves_the_outcome_unknown(case: Case) -> None:
    asking = asyncio.get_running_loop().create_task(case.a.request(case.to_b, b"?"))
    await take(case.b, 1)
    await case.b.aclose()
    await expect(OutcomeUnknownError, asking, "the peer closed before it replied")


async def consumers_exclude_each_other(case: Case) -> None:
    stream = case.b.messages()
    expect_now(ConsumerConflictError, case.b.messages, "a second general stream")
    await expect(ConsumerConflictError, case.b.serve(lambda m: None), "serve beside messages")
    await stream.aclose()
    async with case.b.messages(sender=case.to_a):
        story = "a second stream of one sender"
        expect_now(ConsumerConflictError, lambda: case.b.messages(sender=case.to_a), story)
        async with case.b.messages():
            pass
    async with serving(case.b, lambda m: None):
        expect_now(ConsumerConflictError, case.b.messages, "messages beside serve")
        await expect(ConsumerConflictError, case.b.serve(lambda m: None), "serve beside serve")
    await case.a.send(case.to_b, b"free")
    assert texts(await take(case.b, 1)) == [b"free"], "the slot was not free after serve ended"


async def an_exception_redelivers_the_message_in_hand(case: Case) -> None:
    for number in range(4):
        await case.a.send(case.to_b, b"%d" % number)

    async def fail() -> None:
        async with case.b.messages() as stream:
            await stream.__anext__()
            await stream.__anext__()
            raise LookupError

    await expect(LookupError, fail(), "an exception in the block")
    got = await take(case.b, 3)
    found = [(bytes(m.data), m.redelivered) for m in got]
    assert found == [(b"1", True), (b"2", False), (b"3", False)], f"after an exception came {found}"


async def a_break_processes_the_last_and_frees_the_slot(case: Case) -> None:
    for number in range(6):
        await case.a.send(case.to_b, b"%d" % number)
    got = []
    for _ in range(3):
        got += await take(case.b, 2)
    found = [(bytes(m.data), m.redelivered) for m in got]
    assert found == [(b"%d" % n, False) for n in range(6)], f"after breaks came {found}"
    await case.a.send(case.to_b, b"", confirm="received")


async def cancelling_a_consumer_loses_nothing(case: Case) -> None:
    await case.meet()
    loop = asyncio.get_running_loop()
    got: list[bytes] = []
    stream = case.b.messages()

    async def consume() -> None:
        async for message in stream:
            got.append(bytes(message.data))
            if len(got) == 40:
                return

    for step in range(40):
        task = loop.create_task(consume())
        for _ in range(step % 4):
            await asyncio.sleep(0)
        await case.a.send(case.to_b, b"%d" % step)
        for _ in range(step % 3):
            await asyncio.sleep(0)
        if task.done():
            break
        await end(task)
    await consume()
    await stream.aclose()
    assert got == [b"%d" % n for n in range(40)], f"cancelled consumers got {got}"


async def one_senders_stream_is_apart(case: Case) -> None:
    await case.meet()
    for number in range(3):
        await case.a.send(case.to_b, b"%d" % number)
    async with case.b.messages() as general:
        first = await general.__anext__()
        async with case.b.peer(case.to_a).messages() as mine:
            rest = [await mine.__anext__() for _ in range(2)]
            await case.a.send(case.to_b, b"3", confirm="received")
        last = await general.__anext__()
    found = texts([first, *rest, last])
    assert found == [b"0", b"1", b"2", b"3"], f"between the two streams came {found}"


async def serve_keeps_the_order_of_a_sender(case: Case) -> None:
    running: list[int] = []
    done: list[bytes] = []
    complete = asyncio.Event()

    async def handler(message: Message) -> None:
        running.append(message.number)
        assert len(running) == 1, f"messages {running} of one sender ran at once"
        await asyncio.sleep(0)
        running.clear()
        done.append(bytes(message.data))
        if len(done) == 100:
            complete.set()
        if message.number % 10 == 3:
            raise LookupError("on purpose; serve goes on")

    async with serving(case.b, handler):
        for number in range(100):
            await case.a.send(case.to_b, b"%d" % number)
        await complete.wait()
    assert done == [b"%d" % n for n in range(100)], f"serve ran them as {done}"


async def concurrency_runs_that_many_at_once(case: Case) -> None:
    gate, full = asyncio.Event(), asyncio.Event()
    begun: list[int] = []

    async def handler(message: Message) -> None:
        begun.append(message.number)
        if len(begun) == 4:
            full.set()
        await gate.wait()

    async with serving(case.b, handler, concurrency=4):
        sending = [case.a.send(case.to_b, b"", confirm="processed") for _ in range(12)]
        all_sent = asyncio.ensure_future(asyncio.gather(*sending))
        await full.wait()
        await case.round_trip_without_signals()
        assert len(begun) == 4, f"concurrency=4 ran {len(begun)} handlers"
        gate.set()
        await all_sent
    assert sorted(begun) == list(range(12)), f"handlers ran for {begun}"


async def a_cancelled_serve_redelivers_what_it_had_not_finished(case: Case) -> None:
    entered = asyncio.Event()

    async def handler(message: Message) -> None:
        if message.number == 1:
            entered.set()
            await asyncio.get_running_loop().create_future()

    async with serving(case.b, handler):
        for number in range(3):
            await case.a.send(case.to_b, b"%d" % number)
        await entered.wait()
    found = [(bytes(m.data), m.redelivered) for m in await take(case.b, 2)]
    assert found == [(b"1", True), (b"2", False)], f"after a cancelled serve came {found}"


async def a_handlers_own_cancel_does_not_end_serve(case: Case) -> None:
    def handler(message: Message) -> Any:
        if message.data == b"cancel":
            raise asyncio.CancelledError
        return b"ok"

    async with serving(case.b, handler):
        error = await expect(RemoteError, case.a.request(case.to_b, b"cancel"), "a handler that cancels itself")
        assert isinstance(error, RemoteError)
        assert error.kind == "CancelledError", f"it came back as {error.kind}"
        await case.a.send(case.to_b, b"cancel", payload_type=PayloadType.STREAM_RELIABLE)
        assert bytes(await case.a.request(case.to_b, b"go on")) == b"ok", "serve ended"


RECEIVING_CHECKS: Final[tuple[Check, ...]] = (
    requests_are_answered_each_its_own,
    a_handlers_exception_comes_back_typed,
    a_timeout_and_a_cancel_reach_the_handler,
    a_reply_by_hand_counts_once,
    handlers_may_ask_back,
    a_lost_peer_leaves_the_outcome_unknown,
    consumers_exclude_each_other,
    an_exception_redelivers_the_message_in_hand,
    a_break_processes_the_last_and_frees_the_slot,
    cancelling_a_consumer_loses_nothing,
    one_senders_stream_is_apart,
    serve_keeps_the_order_of_a_sender,
    concurrency_runs_that_many_at_once,
    a_cancelled_serve_redelivers_what_it_had_not_finished,
    a_handlers_own_cancel_does_not_end_serve,
)
