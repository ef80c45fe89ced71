"""The inbox as its two users see it: a session that puts and counts, a consumer that takes.
Covers `litz.inbox_queue`, `litz.message_stream`, `litz.turns`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litz import ConsumerConflictError, ManagerStateError, Message, Origin, PayloadType
from litz.inbox import Inbox, InboxQueue
from litz.message_stream import InboxStream
from litz.turns import Batch

BULK = PayloadType.RPC_RELIABLE
SIGNAL = PayloadType.RPC_SIGNAL


class FakeSource:
    verified = True

    def __init__(self, sender: str, payload_type: PayloadType) -> None:
        self.sender, self.payload_type = sender, payload_type

    def origin(self, number: int) -> Origin:
        return Origin("a life", 1, int(self.payload_type), number)

    def reply(self, message: Message, data: Any) -> Awaitable[None]:
        raise AssertionError("nobody asked")

    fail = reply


class Feeder:
    """What a session does: numbers messages and puts them in batches."""

    def __init__(self, inbox: Inbox, sender: str, payload_type: PayloadType = BULK) -> None:
        self.queue: InboxQueue = inbox.queue(sender, payload_type)
        self.source = FakeSource(sender, payload_type)
        self.next = 0

    def put(self, count: int, size: int = 100_000) -> None:
        numbers = range(self.next, self.next + count)
        self.next += count
        self.queue.put([Message((f"{self.source.sender}{n}", n, self.source, None)) for n in numbers], size)


async def take(stream: InboxStream, count: int) -> list[str]:
    return [(await stream.__anext__()).data for _ in range(count)]


async def test_senders_take_turns_by_batches_and_a_queue_is_fifo() -> None:
    inbox = Inbox()
    a, b = Feeder(inbox, "a"), Feeder(inbox, "b")
    a.put(2)
    a.put(2)
    b.put(2)
    assert await take(inbox.messages(), 6) == ["a0", "a1", "b0", "b1", "a2", "a3"]


async def test_small_batches_are_joined_and_stay_in_order() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a")
    stream = inbox.messages()
    for _ in range(3):
        a.put(1, size=1)
    assert await take(stream, 3) == ["a0", "a1", "a2"]
    a.put(1, size=1)
    assert await take(stream, 1) == ["a3"]
    assert a.queue.processed == 3


async def test_a_signal_is_handed_out_next_and_the_batch_goes_on_after_it() -> None:
    inbox = Inbox()
    a, b = Feeder(inbox, "a"), Feeder(inbox, "b")
    signal = Feeder(inbox, "b", SIGNAL)
    stream = inbox.messages()
    a.put(4)
    b.put(1)
    got = await take(stream, 2)
    signal.put(2)
    assert a.queue.processed == 1
    got += await take(stream, 1)
    assert a.queue.processed == 2
    got += await take(stream, 4)
    assert got == ["a0", "a1", "b0", "b1", "a2", "a3", "b0"]


async def test_a_message_counts_when_the_next_is_asked_for() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a")
    stream = inbox.messages()
    a.put(3, size=300_000)
    a.put(2, size=200_000)
    assert (a.queue.processed, a.queue.pending, a.queue.last_processed_number) == (0, 5, -1)
    await take(stream, 1)
    assert (a.queue.processed, a.queue.last_processed_number) == (0, -1)
    await take(stream, 2)
    assert (a.queue.processed, a.queue.last_processed_number, a.queue.processed_bytes) == (2, 1, 0)
    await take(stream, 1)
    assert (a.queue.processed, a.queue.pending, a.queue.processed_bytes) == (3, 2, 300_000)
    assert inbox.pending_bytes == a.queue.pending_bytes == 200_000
    await take(stream, 1)
    await stream.aclose()
    assert (a.queue.processed, a.queue.pending, inbox.pending_bytes) == (5, 0, 0)


async def test_watch_calls_once_at_the_next_progress() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a")
    stream = inbox.messages()
    a.put(5)
    await take(stream, 2)
    seen: list[int] = []
    a.queue.watch(lambda: seen.append(a.queue.processed))
    assert seen == []
    await take(stream, 1)
    assert seen == [2]
    await take(stream, 2)
    assert seen == [2]


async def test_watch_sees_the_last_message_when_the_stream_is_left() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a")
    stream = inbox.messages()
    a.put(1)
    await take(stream, 1)
    seen: list[int] = []
    a.queue.watch(lambda: seen.append(a.queue.processed))
    await stream.aclose()
    assert seen == [1]


async def test_on_drained_may_put_more() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a")
    a.queue.on_drained = lambda: a.put(1) if a.next < 4 else None
    a.put(1)
    assert await take(inbox.messages(), 4) == ["a0", "a1", "a2", "a3"]


async def test_break_out_of_a_bare_for_frees_the_slot_and_processes_the_last() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a")
    a.put(3)
    gc.disable()
    try:
        async for message in inbox.messages():
            if message.number == 1:
                break
        assert a.queue.processed == 2
        async for message in inbox.messages():
            assert (message.number, message.redelivered) == (2, False)
            break
    finally:
        gc.enable()


async def test_an_exception_out_of_async_with_redelivers_the_last() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a")
    a.put(3)
    with pytest.raises(KeyError):
        async with inbox.messages() as stream:
            await take(stream, 2)
            raise KeyError
    assert a.queue.processed == 1
    async with inbox.messages() as stream:
        got = [await stream.__anext__() for _ in range(2)]
    assert [(m.data, m.redelivered) for m in got] == [("a1", True), ("a2", False)]
    assert (a.queue.processed, a.queue.pending, inbox.pending_bytes) == (3, 0, 0)


async def test_cancelling_a_waiting_consumer_loses_nothing() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a")
    stream = inbox.messages()
    waiting = asyncio.ensure_future(take(stream, 1))
    await asyncio.sleep(0)
    a.put(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await take(stream, 1) == ["a0"]


async def test_a_claimed_sender_leaves_the_general_stream_and_comes_back() -> None:
    inbox = Inbox()
    a, b = Feeder(inbox, "a"), Feeder(inbox, "b")
    general = inbox.messages()
    a.put(4)
    b.put(1)
    assert await take(general, 1) == ["a0"]
    claimed = inbox.messages(sender="a")
    with pytest.raises(ConsumerConflictError):
        inbox.messages(sender="a")
    assert await take(claimed, 2) == ["a1", "a2"]
    assert a.queue.processed == 0, "a0 is still in hand"
    assert await take(general, 1) == ["b0"]
    assert a.queue.processed == 2
    await claimed.aclose()
    assert await take(general, 1) == ["a3"]


async def test_conflicts_are_refused_and_left_streams_say_so() -> None:
    inbox = Inbox()
    stream = inbox.messages()
    with pytest.raises(ConsumerConflictError):
        inbox.messages()
    with pytest.raises(ConsumerConflictError):
        await inbox.serve(print)
    await stream.aclose()
    with pytest.raises(ManagerStateError):
        await stream.__anext__()
    second = inbox.messages()
    waiting = asyncio.ensure_future(second.__anext__())
    await asyncio.sleep(0)
    with pytest.raises(ManagerStateError, match="one at a time"):
        await second.__anext__()
    inbox.close()
    await asyncio.wait([waiting])
    assert isinstance(waiting.exception(), (StopAsyncIteration, RuntimeError))
    with pytest.raises(StopAsyncIteration):
        await second.__anext__()


async def test_close_ends_a_stream_in_the_middle_of_a_batch() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a")
    a.put(3)
    got = []
    async for message in inbox.messages():
        got.append(message.number)
        inbox.close()
    assert got == [0]


async def test_drop_discards_one_sender_only() -> None:
    inbox = Inbox()
    a, b = Feeder(inbox, "a"), Feeder(inbox, "b")
    stream = inbox.messages()
    a.put(3)
    b.put(1)
    await take(stream, 1)
    inbox.drop("a")
    a.put(1)
    assert await take(stream, 1) == ["b0"]
    await stream.aclose()
    assert inbox.pending_bytes == 0


async def test_a_later_session_comes_after_what_the_earlier_left() -> None:
    inbox = Inbox()
    first = Feeder(inbox, "a")
    first.put(2)
    first.queue.close()
    second = Feeder(inbox, "a")
    second.put(1)
    stream = inbox.messages()
    assert [(await stream.__anext__()).number for _ in range(3)] == [0, 1, 0]
    assert (first.queue.processed, second.queue.processed) == (2, 0)


async def test_drop_oldest_spares_what_was_handed_out() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a", PayloadType.STREAM_LATENCY_FIRST)
    stream = inbox.messages()
    a.put(3, size=6)
    await take(stream, 1)
    assert a.queue.drop_oldest()
    assert a.queue.pending == 2
    assert await take(stream, 1) == ["a2"]
    assert not a.queue.drop_oldest()
    await stream.aclose()
    assert (a.queue.processed, a.queue.pending, inbox.pending_bytes) == (2, 0, 0)


async def test_dropping_a_whole_batch_leaves_nothing_behind() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a", PayloadType.STREAM_LATENCY_FIRST)
    a.put(2, size=4)
    assert a.queue.drop_oldest()
    assert a.queue.drop_oldest()
    stream = inbox.messages()
    waiting = asyncio.ensure_future(take(stream, 1))
    await asyncio.sleep(0)
    assert (a.queue.pending, inbox.pending_bytes) == (0, 0)
    a.put(1)
    assert await waiting == ["a2"]


async def test_drops_that_nobody_consumes_pile_up_nothing() -> None:
    inbox = Inbox()
    a = Feeder(inbox, "a", PayloadType.STREAM_LATENCY_FIRST)
    for _ in range(500):
        a.put(1)  # too large to be joined: each is a batch of its own
        while a.queue.pending > 2:
            assert a.queue.drop_oldest()
    assert sum(type(thing) is Batch for thing in gc.get_objects()) < 10
    stream = inbox.messages()
    assert await take(stream, 2) == ["a498", "a499"]
    a.put(1)
    assert await take(stream, 1) == ["a500"]
    await stream.aclose()
    assert (a.queue.pending, inbox.pending_bytes) == (0, 0)


async def test_idle_senders_are_forgotten() -> None:
    inbox = Inbox()
    stream = inbox.messages()
    for index in range(100):
        feeder = Feeder(inbox, f"s{index}")
        feeder.put(1)
        await take(stream, 1)
        feeder.queue.close()
    await stream.aclose()
    assert repr(inbox) == "<inbox: 0 senders, 0 bytes>"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.booleans(), st.integers(1, 5)),
        st.tuples(st.just("take"), st.just(""), st.booleans(), st.integers(1, 4)),
        st.tuples(st.just("leave"), st.just(""), st.booleans(), st.just(0)),
        st.tuples(st.just("claim"), st.sampled_from("abc"), st.booleans(), st.integers(0, 3)),
        st.tuples(st.just("watch"), st.sampled_from("abc"), st.booleans(), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=150)
@given(STEPS)
def test_any_walk_hands_out_each_message_once_in_order(steps: list[tuple[str, str, bool, int]]) -> None:
    asyncio.run(walk(steps))


async def walk(steps: list[tuple[str, str, bool, int]]) -> None:
    inbox = Inbox()
    feeders = {(s, t): Feeder(inbox, s, t) for s in "abc" for t in (BULK, SIGNAL)}
    seen: dict[tuple[str, PayloadType], list[int]] = {key: [] for key in feeders}
    stream = inbox.messages()
    watched: list[int] = []
    expected_watched = 0

    def note(message: Message) -> None:
        numbers = seen[message.sender, message.payload_type]
        if message.redelivered:
            assert numbers[-1] == message.number
        else:
            assert len(numbers) == message.number
            numbers.append(message.number)

    def progress(queue: InboxQueue, before: int) -> None:
        watched.append(queue.processed - before)

    async def drain_some(source: InboxStream, count: int, sender: str = "") -> None:
        for _ in range(count):
            if not any(f.queue.pending for (s, _), f in feeders.items() if not sender or s == sender):
                return
            try:
                async with asyncio.timeout(0):
                    note(await source.__anext__())
            except TimeoutError:
                return

    for verb, sender, flag, count in steps:
        if verb == "put":
            feeders[sender, SIGNAL if flag else BULK].put(count, 1 if flag else 100_000)
        elif verb == "take":
            await drain_some(stream, count)
        elif verb == "leave":
            if flag:
                await stream.__aexit__(KeyError, KeyError(), None)
            else:
                await stream.aclose()
            stream = inbox.messages()
        elif verb == "claim":
            await stream.aclose()
            stream = inbox.messages()
            async with inbox.messages(sender=sender) as claimed:
                await drain_some(claimed, count, sender)
        else:
            queue = feeders[sender, SIGNAL if flag else BULK].queue
            expected_watched += 1
            queue.watch(partial(progress, queue, queue.processed))
    await drain_some(stream, 1000)
    await stream.aclose()
    for key, feeder in feeders.items():
        assert seen[key] == list(range(feeder.next))
        assert (feeder.queue.processed, feeder.queue.pending) == (feeder.next, 0)
    assert inbox.pending_bytes == 0
    assert all(progress > 0 for progress in watched)
