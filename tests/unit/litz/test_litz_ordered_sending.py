"""Turns for coroutines, on virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest

from litz.admission import Amount, Queue, Reject
from litz.errors import AdmissionRefusedError, BackpressureError, OrderBrokenError
from litz.limiter import Limiter
from litz.order import Fifo, PerKey
from litz.ordered_sending import OrderedSending
from litz.testing import SimLoop, run_simulation


def idle(sending: OrderedSending, limiter: Limiter | None = None) -> None:
    assert sending.waiting == 0, f"{sending!r} keeps places"
    if limiter is not None:
        assert (limiter.used, limiter.queued) == (Amount(0, 0), Amount(0, 0)), f"{limiter!r} leaks"


@pytest.mark.parametrize("seed", range(15))
def test_each_key_keeps_its_order_over_several_awaits_and_cancels(seed: int) -> None:
    async def main(loop: SimLoop) -> None:
        chance = random.Random(seed)
        limiter = Limiter(Queue(Amount(3, 20)))
        sending = OrderedSending(admission=limiter)
        begun: dict[str, list[int]] = {}
        inside: dict[str, int] = {}

        async def send(key: str, number: int) -> None:
            async with sending.turn(key, bytes=number % 20):
                assert key not in inside
                inside[key] = number
                begun.setdefault(key, []).append(number)
                try:
                    for _ in range(3):
                        await asyncio.sleep(chance.random())
                finally:
                    del inside[key]

        tasks = []
        for number in range(60):
            tasks.append(loop.create_task(send(chance.choice("abc"), number)))
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random())
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        assert all(numbers == sorted(numbers) for numbers in begun.values())
        assert sum(task.cancelled() for task in tasks) > 5
        idle(sending, limiter)

    run_simulation(main, seed=seed)


@pytest.mark.parametrize("step", range(12))
@pytest.mark.parametrize("victim", range(4))
def test_a_cancel_at_every_step_leaves_nothing_and_stops_nobody(victim: int, step: int) -> None:
    async def main(loop: SimLoop) -> None:
        limiter = Limiter(Queue(Amount(1)))
        sending = OrderedSending(admission=limiter)

        async def send(key: str) -> None:
            async with sending.turn(key):
                for _ in range(2):
                    await asyncio.sleep(0)

        tasks = [loop.create_task(send(key)) for key in "aabb"]
        for _ in range(step):
            await asyncio.sleep(0)
        tasks[victim].cancel()
        await asyncio.wait(tasks)
        assert [number for number, task in enumerate(tasks) if task.cancelled()] in ([], [victim])
        idle(sending, limiter)

    run_simulation(main, seed=1, shuffle=False)


def test_keys_go_in_parallel_and_fifo_does_not() -> None:
    async def main(loop: SimLoop) -> None:
        async def send(sending: OrderedSending, key: str) -> None:
            async with sending.turn(key):
                await asyncio.sleep(1)

        for sending, seconds in ((OrderedSending(), 2), (OrderedSending(Fifo()), 4)):
            begun = loop.time()
            await asyncio.gather(*(send(sending, key) for key in "aabb"))
            assert loop.time() - begun == seconds
            idle(sending)

    run_simulation(main, seed=1, shuffle=False)


@pytest.mark.parametrize("strict", [True, False])
def test_a_failure_inside_is_its_callers_or_the_end_of_the_order(strict: bool) -> None:
    async def main(loop: SimLoop) -> None:
        sending = OrderedSending(strict=strict)

        async def send(key: str, *, fail: bool = False) -> None:
            async with sending.turn(key):
                await asyncio.sleep(1)
                if fail:
                    raise LookupError("x")

        tasks = [loop.create_task(send("a", fail=True)), *(loop.create_task(send(key)) for key in "aab")]
        await asyncio.wait(tasks)
        kinds = [type(task.exception()).__name__ for task in tasks]
        if strict:
            assert kinds == ["LookupError", "OrderBrokenError", "OrderBrokenError", "NoneType"]
            with pytest.raises(OrderBrokenError, match="LookupError"):
                await send("c")
            assert sending.broken is not None
        else:
            assert kinds == ["LookupError", "NoneType", "NoneType", "NoneType"]
        idle(sending)

    run_simulation(main, seed=1, shuffle=False)


def test_the_line_and_the_limiter_refuse_typed() -> None:
    async def main(loop: SimLoop) -> None:
        limiter = Limiter(Reject(Amount(1)))
        sending = OrderedSending(PerKey(messages=2), admission=limiter)

        async def send(key: str) -> None:
            async with sending.turn(key):
                await asyncio.sleep(1)

        tasks = [loop.create_task(send(key)) for key in "aab"]
        await asyncio.wait(tasks)
        assert [type(task.exception()) for task in tasks] == [type(None), type(None), BackpressureError]
        tasks = [loop.create_task(send(key)) for key in "ab"]
        await asyncio.wait(tasks)
        assert [type(task.exception()) for task in tasks] == [type(None), AdmissionRefusedError]
        idle(sending, limiter)

    run_simulation(main, seed=1, shuffle=False)


def test_a_task_cannot_wait_for_itself() -> None:
    async def main(loop: SimLoop) -> None:
        sending = OrderedSending()
        turn = sending.turn("a")
        async with turn:
            for other in (sending.turn("b"), turn):
                with pytest.raises(RuntimeError, match=r"already|taken"):
                    async with other:
                        pass
        async with sending.turn("b"):
            pass
        idle(sending)

    run_simulation(main, seed=1)


def test_a_broken_order_ends_all_who_wait_for_their_turn_or_for_a_permit() -> None:
    async def main(loop: SimLoop) -> None:
        limiter = Limiter(Queue(Amount(1)))
        sending = OrderedSending(PerKey(messages=4, full="break"), admission=limiter)
        sent: list[str] = []

        async def send(key: str) -> None:
            async with sending.turn(key):
                await asyncio.sleep(1)
                sent.append(key)

        tasks = [loop.create_task(send(key)) for key in "aabbc"]
        await asyncio.sleep(0.5)
        assert [task.done() for task in tasks] == [False, True, False, True, True], (
            "who waits for its turn is told at once"
        )
        await asyncio.wait(tasks)
        assert [type(task.exception()) for task in tasks] == [type(None), *[OrderBrokenError] * 4]
        assert sent == ["a"], "b had its turn, and waited for a permit"
        idle(sending, limiter)

    run_simulation(main, seed=1, shuffle=False)
