"""Permits on virtual time: `litz.limiter`."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, cast

import pytest

from litz.admission import Amount, Policy, Queue, Reject, SoftAllow, SoftAllowSignal
from litz.errors import AdmissionRefusedError
from litz.limiter import Limiter, Permit
from litz.stream_port import StreamSide
from litz.testing import SimLoop, run_simulation

NOTHING = Amount(0, 0)


def idle(limiter: Limiter) -> None:
    assert (limiter.used, limiter.queued, limiter.high) == (NOTHING, NOTHING, False), f"{limiter!r} leaks"


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_permits_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    async def main(loop: SimLoop) -> list[int]:
        limiter = Limiter(Queue(Amount(2, 10)))
        order: list[int] = []

        async def work(number: int, size: int) -> None:
            async with limiter.permit(bytes=size) as permit:
                assert permit.weight == Amount(1, size)
                order.append(number)
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            for number, size in enumerate((3, 3, 9, 1, 1)):
                group.create_task(work(number, size))
        idle(limiter)
        assert loop.time() == 1003.0, "two, then the heavy one with a light one, then the last"
        return order

    assert run_simulation(main, seed=1, shuffle=False).value == [0, 1, 2, 3, 4]


def test_what_is_admitted_at_once_never_suspends() -> None:
    async def main(loop: SimLoop) -> None:
        limiter = Limiter(Queue(Amount(1)))
        coroutine = limiter.acquire()
        with pytest.raises(StopIteration) as stopped:
            coroutine.send(None)
        permit = cast("Permit", stopped.value.value)
        assert limiter.try_acquire() is None
        permit.release()
        with pytest.raises(RuntimeError, match="twice"):
            permit.release()
        with limiter.try_acquire(bytes=5) or pytest.fail("it is free"):
            assert limiter.used == Amount(1, 5)
        idle(limiter)

    run_simulation(main, seed=1)


def test_nobody_overtakes_who_waits_not_even_without_waiting() -> None:
    async def main(loop: SimLoop) -> None:
        limiter = Limiter(Queue(Amount(2)))
        first = await limiter.acquire()
        heavy = loop.create_task(limiter.acquire(count=2))
        await turns(2)
        assert limiter.try_acquire() is None
        first.release()
        (await heavy).release()
        idle(limiter)

    run_simulation(main, seed=1)


@pytest.mark.parametrize("policy", [Reject(Amount(1)), SoftAllow(Amount(1), Amount(2)), Queue(Amount(1), Amount(1))])
def test_a_refusal_is_typed_and_leaves_nothing(policy: Policy) -> None:
    async def main(loop: SimLoop) -> None:
        limiter = Limiter(policy, name="in")
        tasks = [loop.create_task(limiter.acquire()) for _ in range(3)]
        await turns(3)
        refused = [task for task in tasks if task.done() and task.exception() is not None]
        assert len(refused) == (2 if isinstance(policy, Reject) else 1)
        assert all(isinstance(task.exception(), AdmissionRefusedError) for task in refused)
        assert limiter.counts["refused"] == len(refused)
        for task in tasks:
            if task not in refused:
                (await task).release()
        idle(limiter)

    run_simulation(main, seed=1)


SCENARIO = [(1, 4), (2, 1), (1, 9), (3, 2), (1, 1), (1, 1)]
"""Count and bytes of six tasks under a limit of 3 and 10: some wait, a heavy one in between."""


async def crowd(loop: SimLoop, limiter: Limiter, victim: int, step: int) -> bool:
    """Six tasks work; one is cancelled after so many turns of the loop. Whether it was still alive."""
    inside = NOTHING

    async def work(count: int, size: int) -> None:
        nonlocal inside
        async with limiter.permit(bytes=size, count=count) as permit:
            inside = inside.plus(permit.weight)
            assert Amount(3, 10).holds(inside), "more inside than the limit"
            try:
                await turns(3)
            finally:
                inside = inside.minus(permit.weight)

    tasks = [loop.create_task(work(*weight)) for weight in SCENARIO]
    await turns(step)
    alive = tasks[victim].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [number for number, result in enumerate(results) if result is not None] == ([victim] if alive else [])
    return alive


@pytest.mark.parametrize("victim", range(len(SCENARIO)))
def test_a_cancel_at_every_step_of_every_task_leaks_no_permit_and_stops_nobody(victim: int) -> None:
    step = 0
    while True:
        limiter = Limiter(Queue(Amount(3, 10)))

        def main(loop: SimLoop, limiter: Limiter = limiter, step: int = step) -> Any:
            return crowd(loop, limiter, victim, step)

        alive = run_simulation(main, seed=1, shuffle=False).value
        idle(limiter)
        if not alive:
            break
        step += 1
    assert step >= 4, "it was cancelled before, while it waited, as it was admitted, and inside"


def test_a_cancel_in_the_very_turn_of_the_admission_gives_the_permit_on() -> None:
    async def main(loop: SimLoop) -> None:
        limiter = Limiter(Queue(Amount(1)))
        first = await limiter.acquire()
        second, third = loop.create_task(limiter.acquire()), loop.create_task(limiter.acquire())
        await turns(2)
        first.release()
        second.cancel()
        assert not third.done()
        (await third).release()
        assert second.cancelled()
        idle(limiter)

    run_simulation(main, seed=1)


@pytest.mark.parametrize("seed", range(25))
def test_random_crowds_with_random_cancels_leak_nothing_and_keep_the_limit(seed: int) -> None:
    async def main(loop: SimLoop) -> None:
        chance = random.Random(seed)
        limit = Amount(chance.randrange(1, 5), chance.randrange(5, 20))
        policies: list[Policy] = [
            Queue(limit, waiting=Amount(chance.randrange(1, 12), 60)),
            Reject(limit),
            SoftAllow(limit, limit.plus(Amount(2, 9))),
            SoftAllowSignal(limit, limit.plus(Amount(2, 9))),
        ]
        policy = policies[seed % 4]
        limiter = Limiter(policy)
        top = limit.plus(Amount(2, 9)) if seed % 4 >= 2 else limit
        edges: list[bool] = []
        stop = limiter.watch(edges.append)

        async def work(count: int, size: int) -> None:
            await asyncio.sleep(chance.random() * 3)
            async with limiter.permit(bytes=size, count=count):
                assert top.holds(limiter.used)
                await asyncio.sleep(chance.random())

        tasks = [
            loop.create_task(work(chance.randrange(1, limit.count + 1), chance.randrange(limit.size + 1)))
            for _ in range(40)
        ]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(chance.random() * 0.3)
            chance.choice(tasks).cancel()
        for task in tasks:
            error = None if task.cancelled() else task.exception()
            assert error is None or isinstance(error, AdmissionRefusedError)
        idle(limiter)
        stop()
        assert edges == [True, False] * (len(edges) // 2), "high and low take turns, and it ends low"

    run_simulation(main, seed=seed)


def test_close_ends_who_waits_and_refuses_who_comes() -> None:
    async def main(loop: SimLoop) -> None:
        limiter = Limiter(Queue(Amount(1)), name="in")
        held = await limiter.acquire()
        waiting = [loop.create_task(limiter.acquire()) for _ in range(2)]
        await turns(2)
        waiting[1].cancel()
        limiter.close()
        limiter.close(ValueError("the first reason stays"))
        await asyncio.wait(waiting)
        assert isinstance(waiting[0].exception(), AdmissionRefusedError)
        assert waiting[1].cancelled()
        for verb in (limiter.try_acquire, limiter.permit().__aenter__().__await__().__next__):
            with pytest.raises(AdmissionRefusedError, match="closed"):
                verb()
        held.release()
        idle(limiter)

    run_simulation(main, seed=1)


class Side:
    """Of a stream: whether its peer is narrowed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")


def signalled() -> tuple[Limiter, Callable[[int], list[Permit]]]:
    limiter = Limiter(SoftAllowSignal(Amount(2), Amount(6), low=Amount(1)))

    def take(count: int) -> list[Permit]:
        permits = [limiter.try_acquire() for _ in range(count)]
        return [permit for permit in permits if permit is not None]

    return limiter, take


def test_the_signal_narrows_a_side_once_up_and_once_down() -> None:
    limiter, take = signalled()
    early, late = Side(), Side()
    limiter.narrow(cast("StreamSide", early))
    permits = take(7)
    assert len(permits) == 6
    stop = limiter.narrow(cast("StreamSide", late))
    assert (early.calls, late.calls) == (["pause"], ["pause"]), "who comes late learns how it is"
    permits.pop().release()
    stop()
    stop()
    assert late.calls == ["pause", "resume"], "who leaves is not left paused"
    for permit in permits:
        permit.release()
    assert early.calls == ["pause", "resume"]
    told: list[bool] = []
    limiter.watch(told.append)
    with pytest.raises(ValueError, match="already"):
        limiter.watch(told.append)


def test_a_watcher_may_release_and_one_that_raises_costs_no_permit(caplog: pytest.LogCaptureFixture) -> None:
    limiter, take = signalled()
    permits = take(2)
    seen: list[bool] = []

    def release_all(high: bool) -> None:
        seen.append(high)
        while permits:
            permits.pop().release()
        raise ValueError("x")

    limiter.watch(release_all)
    with caplog.at_level(logging.ERROR):
        third = limiter.try_acquire()
    assert seen == [True, False]
    assert caplog.text.count("was told of") == 2
    assert third is not None
    third.release()
    idle(limiter)
