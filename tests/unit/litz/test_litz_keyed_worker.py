"""`serve(order=...)` on virtual time: order of each key, parallel keys, cumulative progress, and what comes again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litz import Message
from litz.admission import Amount, Queue, Reject, SoftAllowSignal
from litz.errors import OrderBrokenError
from litz.inbox import Inbox
from litz.limiter import Limiter
from litz.order import Fifo, PerKey
from litz.testing import SimLoop, run_simulation
from tests.unit.litz.inbox_lane import BULK, SIGNAL, Lane, left, served


def test_keys_run_in_parallel_and_each_in_order_and_acks_wait_for_the_slowest() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        done: list[tuple[float, int]] = []

        async def handler(message: Message) -> None:
            await asyncio.sleep(10 if message.key == "a" else 1)
            done.append((loop.time() - 1000, message.number))

        lane.put("abbc")
        lane.put("abc")
        await served(inbox, handler, 9.5, order=PerKey())
        assert [number for _, number in done] == [1, 3, 2, 6, 5], "b and c went on beside a"
        assert done[-1][0] == 3.0
        assert lane.queue.processed == 0
        assert await left(inbox, 2) == [(0, True), (4, False)]

    run_simulation(main, seed=1, shuffle=False)


@pytest.mark.parametrize(("options", "most"), [({"order": Fifo()}, 1), ({"order": PerKey(), "concurrency": 3}, 3)])
def test_no_more_than_that_many_run(options: dict[str, Any], most: int) -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        running: list[int] = []
        seen: list[int] = []

        async def handler(message: Message) -> None:
            running.append(message.number)
            seen.append(len(running))
            await asyncio.sleep(1)
            running.remove(message.number)

        lane.put("abcdef")
        await served(inbox, handler, 6.5, **options)
        assert max(seen) == most
        assert lane.queue.processed == 6

    run_simulation(main, seed=1)


def test_signals_go_before_what_has_not_begun_and_never_beside_their_key() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        bulk, signal = Lane(inbox), Lane(inbox, payload_type=SIGNAL)
        order: list[str] = []

        async def handler(message: Message) -> None:
            order.append(f"{message.payload_type.name[4:5]}{message.number}")
            if message.payload_type is BULK and message.number == 0:
                signal.put("ab")
            await asyncio.sleep(1)

        bulk.put("aaaa")
        await served(inbox, handler, 10, order=PerKey(messages=2))
        assert order == ["R0", "S1", "S0", "R1", "R2", "R3"], "the line of bulk was full, that of signals was not"

    run_simulation(main, seed=1, shuffle=False)


def test_no_more_is_taken_into_line_than_there_is_room_for() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        asked: list[int] = []

        def key(message: Message) -> str | None:
            asked.append(message.number)
            return message.key

        lane.put("abcdefgh")
        await served(inbox, lambda message: asyncio.sleep(100), 1, order=PerKey(key, messages=3))
        assert asked == [0, 1, 2, 3], "three in line, and one look ahead"
        assert await left(inbox, 8) == [(number, number < 3) for number in range(8)], "only what began is marked"

    run_simulation(main, seed=1)


def test_a_message_without_a_key_breaks_the_order_and_loses_nothing() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane, other = Lane(inbox), Lane(inbox, "b")
        got: list[int] = []

        def key(message: Message) -> Any:
            return [] if message.key == "c" else message.key

        async def handler(message: Message) -> None:
            await asyncio.sleep(message.key == "a")
            got.append(message.number)

        lane.put("ab")
        lane.put("bcb" * 20)
        other.put("a")
        with pytest.raises(OrderBrokenError, match="no key") as broken:
            await served(inbox, handler, 1, order=PerKey(key))
        assert isinstance(broken.value.__cause__, TypeError)
        rest = await left(inbox, 63 - len(got))
        assert sorted([*got, *(number for number, _ in rest)]) == sorted([*range(62), 0])
        assert 3 not in got, "what has no key never runs, nor what is behind it"

    run_simulation(main, seed=1)


def test_a_handler_that_somebody_cancelled_breaks_the_order_and_its_message_comes_again() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        begun: list[int] = []
        tasks: dict[int, asyncio.Task[Any] | None] = {}

        async def handler(message: Message) -> None:
            begun.append(message.number)
            tasks[message.number] = asyncio.current_task()
            await asyncio.sleep(message.number)

        lane.put("abcc")

        def cancel() -> None:
            task = tasks[2]
            assert task is not None
            task.cancel()

        loop.call_later(1.5, cancel)
        with pytest.raises(OrderBrokenError, match="cancelled from outside"):
            await served(inbox, handler, 10, order=PerKey())
        assert begun == [0, 1, 2], "nothing begins after that"
        assert await left(inbox, 2) == [(2, True), (3, False)]

    run_simulation(main, seed=1)


def test_what_is_dropped_while_it_waits_in_line_is_not_run() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        got: list[int] = []

        async def handler(message: Message) -> None:
            got.append(message.number)
            await asyncio.sleep(1)

        lane.put("aaa")
        loop.call_later(0.5, inbox.drop, "a")
        await served(inbox, handler, 5, order=PerKey())
        assert got == [0]
        assert (inbox.pending_bytes, lane.queue.pending) == (0, 0)

    run_simulation(main, seed=1)


def test_a_request_that_is_refused_is_answered_and_a_message_breaks_the_order() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        limiter = Limiter(Reject(Amount(1)), name="orders")
        lane.put("abc", request=True)
        await served(inbox, lambda message: asyncio.sleep(1), 2, order=PerKey(), admission=limiter)
        assert sorted(lane.answers) == [(0, "reply"), (1, "AdmissionRefusedError"), (2, "AdmissionRefusedError")]
        lane.put("ab")
        with pytest.raises(OrderBrokenError, match="may not be dropped"):
            await served(inbox, lambda message: asyncio.sleep(1), 2, order=PerKey(), admission=limiter)
        assert await left(inbox, 2) == [(3, True), (4, False)]
        assert limiter.used == Amount(0, 0)

    run_simulation(main, seed=1)


def test_all_senders_share_the_permits_and_the_signal_squeezes_the_inbox() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lanes = [Lane(inbox, name) for name in "abcd"]
        limiter = Limiter(SoftAllowSignal(Amount(2, 1000), Amount(3, 1000), low=Amount(1, 1000)))
        queue = Limiter(Queue(Amount(3, 25)))
        squeezed: list[bool] = []

        async def handler(message: Message) -> None:
            with limiter.try_acquire() or pytest.fail("the queue lets in two of ten bytes"):
                await asyncio.sleep(1)
            squeezed.append(inbox.squeezed)

        for lane in lanes:
            lane.put("a")
        await served(inbox, handler, 5, order=Fifo(), admission=queue)
        assert squeezed == [False] * 4
        for lane in lanes[:3]:
            lane.put("a")
        serving = loop.create_task(inbox.serve(lambda message: asyncio.sleep(1), order=Fifo(), admission=limiter))
        await asyncio.sleep(0.5)
        squeezed.append(inbox.squeezed)
        await asyncio.sleep(1)
        squeezed.append(inbox.squeezed)
        for lane in lanes[:3]:
            lane.put("a")
        await asyncio.sleep(0.5)
        squeezed.append(inbox.squeezed)
        serving.cancel()
        await asyncio.wait([serving])
        squeezed.append(inbox.squeezed)
        assert squeezed[4:] == [True, False, True, False], "who leaves takes the squeeze with it"

    run_simulation(main, seed=1)


@pytest.mark.parametrize("wrong", [{"order": Fifo(), "concurrency": 2}, {"admission": Limiter(Reject(Amount(1)))}])
def test_what_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    async def main(loop: SimLoop) -> None:
        with pytest.raises(ValueError, match="PerKey"):
            await Inbox().serve(lambda message: None, **wrong)
        with pytest.raises(TypeError):
            await Inbox().serve(lambda message: None, order="key")  # type: ignore[arg-type]  # on purpose

    run_simulation(main, seed=1)


@pytest.mark.parametrize("options", [{"order": PerKey()}, {"concurrency": 2}], ids=["keyed", "wide"])
@pytest.mark.parametrize("killed", [True, False])
def test_a_batch_that_another_consumer_left_half_done_is_taken_up_where_it_is(
    options: dict[str, Any], killed: bool
) -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        bulk, signal = Lane(inbox), Lane(inbox, payload_type=SIGNAL)
        bulk.put("abcd")
        async with inbox.messages() as stream:
            first = await anext(stream)
            signal.put("s")
            await anext(stream)  # what is left of the batch goes back for it
        assert (first.number, bulk.queue.processed) == (0, 1)
        got: list[int] = []

        async def handler(message: Message) -> None:
            got.append(message.number)
            await asyncio.sleep(100 if killed and message.number == 3 else 1)

        await served(inbox, handler, 10, **options)
        assert got == [1, 2, 3]
        assert bulk.queue.processed == (3 if killed else 4)
        if killed:
            assert await left(inbox, 1) == [(3, True)]

    run_simulation(main, seed=1, shuffle=False)
