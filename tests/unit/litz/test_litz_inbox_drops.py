"""Dropping what waits in an inbox while somebody consumes it: nothing is handed out twice, whoever consumes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litz.inbox import Inbox
from litz.inbox_queue import InboxQueue
from litz.message import Message, Origin
from litz.payload import PayloadType


class Source:
    """Where the messages come from."""

    sender = "a"
    payload_type = PayloadType.STREAM_LATENCY_FIRST
    verified = False

    def origin(self, number: int) -> Origin:
        raise AssertionError("nobody asked")

    async def reply(self, message: Message, data: Any) -> None:
        raise AssertionError("nobody asked")

    async def fail(self, message: Message, error: BaseException) -> None:
        raise AssertionError("nobody asked")


def filled(inbox: Inbox) -> InboxQueue:
    """A batch of five payloads, and another that cannot be joined with it."""
    queue = inbox.queue("a", PayloadType.STREAM_LATENCY_FIRST)
    source = Source()
    queue.put_payloads([b"%d" % n for n in range(5)], 0, source, 5)
    queue.put_payloads([b"%d" % n for n in range(10, 15)], 10, source, 5)
    return queue


async def served(inbox: Inbox, queue: InboxQueue, *, concurrency: int | None = None) -> list[int]:
    numbers: list[int] = []

    def handler(message: Message) -> None:
        numbers.append(message.number)
        if message.number == 1:
            assert queue.drop_oldest()
        if message.number == 14:
            inbox.close()

    await inbox.serve(handler, concurrency=concurrency)
    return numbers


async def served_three_at_once(inbox: Inbox, queue: InboxQueue) -> list[int]:
    return await served(inbox, queue, concurrency=3)


async def iterated(inbox: Inbox, queue: InboxQueue) -> list[int]:
    numbers: list[int] = []
    async for message in inbox.messages():
        numbers.append(message.number)
        if message.number == 1:
            assert queue.drop_oldest()
        if message.number == 14:
            break
    return numbers


@pytest.mark.parametrize(
    ("consume", "dropped"), [(served, 2), (iterated, 2), (served_three_at_once, 3)], ids=["served", "iterated", "wide"]
)
async def test_a_drop_behind_a_consumer_doubles_and_loses_nothing_else(consume: Any, dropped: int) -> None:
    inbox = Inbox()
    queue = filled(inbox)
    async with asyncio.timeout(120):
        got = await consume(inbox, queue)
    assert got == [number for number in (*range(5), *range(10, 15)) if number != dropped]
    inbox.close()


async def test_what_a_consumer_has_begun_with_can_be_dropped_but_for_the_message_in_its_hands() -> None:
    inbox = Inbox()
    queue = filled(inbox)
    stream = inbox.messages()
    assert [(await anext(stream)).number for _ in range(3)] == [0, 1, 2]
    assert [queue.drop_oldest() for _ in range(8)] == [True] * 7 + [False]
    assert (queue.pending, queue.pending_bytes, inbox.pending_bytes) == (1, 1, 1)
    queue.put_payloads([b"new"], 15, Source(), 3)
    assert (queue.pending, queue.pending_bytes, inbox.pending_bytes) == (2, 4, 4)
    assert (await anext(stream)).number == 15
    assert (queue.pending, queue.pending_bytes) == (1, 3)
    await stream.aclose()
    assert (queue.pending, queue.pending_bytes, inbox.pending_bytes) == (0, 0, 0)


async def test_drops_behind_several_handlers_at_once_leave_no_bytes_behind() -> None:
    inbox = Inbox()
    queue = filled(inbox)
    started: asyncio.Queue[int] = asyncio.Queue()
    go_on = {number: asyncio.Event() for number in (0, 1, 15, 16, 17)}

    async def handler(message: Message) -> None:
        started.put_nowait(message.number)
        await go_on[message.number].wait()

    async with asyncio.timeout(120):
        serving = asyncio.create_task(inbox.serve(handler, concurrency=2))
        assert [await started.get() for _ in range(2)] == [0, 1]
        while queue.drop_oldest():
            pass
        assert (queue.pending, queue.pending_bytes) == (2, 2)
        # One handler runs at any time, so the worker itself goes on with what was left of the batch: nothing.
        for ends, begins in ((0, 15), (1, 16), (15, 17)):
            go_on[ends].set()
            queue.put_payloads([b"new"], begins, Source(), 3)
            assert await started.get() == begins
        # No more than two at once: so 0, 1 and 15 have ended.
        assert (queue.pending, queue.pending_bytes, inbox.pending_bytes) == (2, 6, 6)
        inbox.close()
        await serving


def test_what_nobody_has_begun_with_goes_oldest_first_until_there_is_none() -> None:
    queue = filled(Inbox())
    assert [queue.drop_oldest() for _ in range(11)] == [True] * 10 + [False]
    assert queue.pending == 0 and queue.pending_bytes == 0


async def test_a_drop_from_a_batch_that_a_signal_interrupted_doubles_nothing() -> None:
    inbox = Inbox()
    queue = filled(inbox)
    signals = inbox.queue("a", PayloadType.RPC_SIGNAL)
    stream = inbox.messages()
    assert [(await anext(stream)).number for _ in range(2)] == [0, 1]
    signals.put_payloads([b"s"], 100, Source(), 1)
    assert (await anext(stream)).number == 100
    assert queue.drop_oldest()
    assert [(await anext(stream)).number for _ in range(7)] == [3, 4, *range(10, 15)]
    await stream.aclose()
    assert (queue.pending, inbox.pending_bytes) == (0, 0)


@pytest.mark.parametrize("drops", [0, 1])
async def test_what_comes_later_is_for_whoever_claimed_the_sender(drops: int) -> None:
    """Also behind the message in the hands of the stream that had the sender before."""
    inbox = Inbox()
    queue, source = inbox.queue("a", PayloadType.STREAM_LATENCY_FIRST), Source()
    everybodys = inbox.messages()
    queue.put_payloads([b"0"], 0, source, 1)
    assert (await anext(everybodys)).number == 0
    of_a = inbox.messages(sender="a")
    queue.put_payloads([b"1"], 1, source, 1)
    queue.put_payloads([b"2"], 2, source, 1)
    assert [queue.drop_oldest() for _ in range(drops)] == [True] * drops
    waiting = asyncio.ensure_future(anext(everybodys))
    assert [(await anext(of_a)).number for _ in range(2 - drops)] == [1, 2][drops:]
    assert not waiting.done()
    inbox.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    await of_a.aclose()
    assert (queue.pending, inbox.pending_bytes) == (0, 0)


async def test_what_was_processed_behind_what_is_dropped_counts() -> None:
    """Of messages that handlers ran at once the later ones were finished when the first were given back and dropped."""
    inbox = Inbox()
    queue, source = inbox.queue("a", PayloadType.STREAM_LATENCY_FIRST), Source()
    queue.put_payloads([b"%d" % n for n in range(4)], 0, source, 4)
    behind = asyncio.Event()

    async def handler(message: Message) -> None:
        if message.number in {0, 1}:
            await asyncio.Event().wait()
        elif message.number == 3:
            behind.set()

    serving = asyncio.create_task(inbox.serve(handler, concurrency=4))
    async with asyncio.timeout(120):
        await behind.wait()
    serving.cancel()
    await asyncio.wait([serving])
    told: list[int] = []
    queue.watch(lambda: told.append(queue.processed))
    inbox.queue("a", PayloadType.STREAM_LATENCY_FIRST).put_payloads([b"of the next session"], 0, Source(), 1)
    assert [queue.drop_oldest() for _ in range(3)] == [True, True, False]
    assert (queue.processed, queue.pending, queue.pending_bytes) == (2, 0, 0)
    assert told == [2]
    inbox.close()
