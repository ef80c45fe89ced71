"""Workers of `serve` that begin with what is dropped, end late, or are cancelled twice: nothing of it stays behind."""

from __future__ import annotations

import asyncio

import pytest

from litz.inbox import Inbox
from litz.message import Message
from litz.order import Order, PerKey
from litz.payload import PayloadType
from tests.unit.litz.test_litz_inbox_drops import Source

LOSSY, BULK, SIGNAL = PayloadType.STREAM_LATENCY_FIRST, PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL
wide_and_keyed = pytest.mark.parametrize(
    "order", [None, PerKey(by=lambda message: message.data)], ids=["wide", "keyed"]
)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


@wide_and_keyed
@pytest.mark.parametrize("served", ["before", "after"])
async def test_what_was_dropped_before_a_worker_began_holds_nothing_up(order: Order | None, served: str) -> None:
    """Also where the worker goes on for long with something else."""
    inbox = Inbox()
    queue, other, source = inbox.queue("a", LOSSY), inbox.queue("a", BULK), Source()

    async def handler(message: Message) -> None:
        if message.data == b"long":
            await asyncio.Event().wait()

    async def serve() -> asyncio.Task[None]:
        serving = asyncio.create_task(inbox.serve(handler, concurrency=4, order=order))
        await asyncio.sleep(0)
        return serving

    serving = await serve() if served == "before" else None
    queue.put_payloads([b"0"], 0, source, 1)
    assert queue.drop_oldest()
    serving = serving or await serve()
    other.put_payloads([b"long"], 0, source, 4)
    for number in range(1, 31):
        queue.put_payloads([b"x"], number, source, 1)
        await turns()
    assert (queue.processed, queue.pending, queue.pending_bytes) == (30, 0, 0)
    await cancelled(serving)


async def test_what_is_finished_behind_what_is_dropped_leaves_no_bytes() -> None:
    inbox = Inbox()
    old = inbox.queue("a", LOSSY)
    old.put_payloads([b"old"], 0, Source(), 3)
    old.close()
    queue = inbox.queue("a", LOSSY)
    queue.put_payloads([b"first"], 0, Source(), 5)
    queue.put_payloads([b"last"], 1, Source(), 4)

    async def handler(message: Message) -> None:
        if message.data != b"last":
            await asyncio.Event().wait()

    serving = asyncio.create_task(inbox.serve(handler, concurrency=4))
    await turns()
    await cancelled(serving)
    told: list[int] = []
    queue.watch(lambda: told.append(queue.processed))
    assert queue.drop_oldest()
    assert (queue.processed, queue.pending_bytes, told) == (1, 0, [1])
    queue.close()
    stream = inbox.messages()
    assert (await anext(stream)).data == b"old"
    await stream.aclose()
    assert inbox.pending_bytes == 0
    assert not inbox._senders


@wide_and_keyed
async def test_a_sender_whose_session_ends_before_its_last_handler_is_forgotten(order: Order | None) -> None:
    inbox, go_on = Inbox(), asyncio.Event()

    async def handler(message: Message) -> None:
        await go_on.wait()

    serving = asyncio.create_task(inbox.serve(handler, concurrency=4, order=order))
    for number in range(10):
        queue = inbox.queue(f"peer {number}", BULK)
        queue.put_payloads([b"1", b"2"], 0, Source(), 2)
        await turns()
        queue.close()
    assert len(inbox._senders) == 10
    go_on.set()
    await turns()
    assert not inbox._senders
    await cancelled(serving)


async def test_a_sender_whose_worker_gives_back_several_batches_has_one_worker_again() -> None:
    """Its handlers were cancelled from inside, and `serve` goes on."""
    inbox, queue_of = Inbox(), {}
    running: list[int] = []
    most = 0

    async def handler(message: Message) -> None:
        nonlocal most
        running.append(message.number)
        most = max(most, len(running))
        try:
            task = asyncio.current_task()
            if not message.redelivered and task is not None:
                task.cancel()
            await turns(3)
        finally:
            running.remove(message.number)

    queue_of["a"] = inbox.queue("a", BULK)
    queue_of["a"].put_payloads([b"0", b"1"], 0, Source(), 2)
    queue_of["a"].put_payloads([b"2", b"3"], 2, Source(), 2)
    serving = asyncio.create_task(inbox.serve(handler, concurrency=2))
    await turns(200)
    assert most <= 2
    assert (queue_of["a"].processed, queue_of["a"].pending) == (4, 0)
    await cancelled(serving)


async def test_what_a_stream_has_processed_comes_not_again_when_a_worker_never_began() -> None:
    inbox, source = Inbox(), Source()
    queue, signals = inbox.queue("a", BULK), inbox.queue("a", SIGNAL)
    queue.put_payloads([b"%d" % number for number in range(4)], 0, source, 4)
    stream = inbox.messages()
    got = [(await anext(stream)).number for _ in range(2)]
    signals.put_payloads([b"s"], 100, source, 1)
    got.append((await anext(stream)).number)
    await stream.aclose()

    def handler(message: Message) -> None:
        got.append(message.number)

    serving = asyncio.create_task(inbox.serve(handler))
    await asyncio.sleep(0)
    (worker,) = [task for task in asyncio.all_tasks() if task.get_name() == "litz serve"]
    worker.cancel()  # before its first step
    await turns()
    assert got == [0, 1, 100, 2, 3]
    await cancelled(serving)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_serve_ends_after_its_handlers_however_often_it_is_cancelled(concurrency: int) -> None:
    inbox, cleaned = Inbox(), asyncio.Event()
    ended: list[int] = []

    async def handler(message: Message) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            while not cleaned.is_set():
                try:
                    await cleaned.wait()
                except asyncio.CancelledError:
                    continue
            ended.append(message.number)

    queue = inbox.queue("a", BULK)
    queue.put_payloads([b"0"], 0, Source(), 1)
    serving = asyncio.create_task(inbox.serve(handler, concurrency=concurrency))
    await turns()
    for _ in range(3):
        serving.cancel()
        await turns()
    assert not serving.done()
    cleaned.set()
    await asyncio.wait([serving])
    assert ended == [0]
    stream = inbox.messages()
    again = await anext(stream)
    assert (again.number, again.redelivered) == (0, True), "nobody has finished it"
    await stream.aclose()
