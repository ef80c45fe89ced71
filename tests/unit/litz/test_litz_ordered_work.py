"""Work in order, on virtual time: `litz.ordered_work`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from litz.admission import Amount, Queue, Reject
from litz.errors import AdmissionRefusedError, OrderBrokenError
from litz.limiter import Limiter
from litz.order import Fifo, Order, PerKey
from litz.ordered_work import OrderedWork
from litz.ordering import Place, PlaceState
from litz.testing import SimLoop, run_simulation

NOTHING = Amount(0, 0)
Work = OrderedWork[int]


class Bench:
    """Work whose begins and ends are recorded; each piece takes as long as `seconds` says."""

    def __init__(self, order: Order, seconds: Callable[[Place[int]], float], **options: Any) -> None:
        self.seconds = seconds
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.running: dict[Any, int] = {}
        self.most = 0
        self.work = Work(order, self.run, **options)

    async def run(self, place: Place[int]) -> None:
        assert place.key not in self.running, f"two of key {place.key} at once"
        self.running[place.key] = place.number
        self.most = max(self.most, len(self.running))
        self.begun.append(place.number)
        try:
            await asyncio.sleep(self.seconds(place))
            self.ended.append(place.number)
        finally:
            del self.running[place.key]

    def accept(self, keys: str, size: int = 0) -> None:
        for key in keys:
            self.work.accept(key, 0, size)


def test_a_blocked_key_stops_no_other() -> None:
    async def main(loop: SimLoop) -> None:
        bench = Bench(PerKey(), lambda place: 1000 if place.key == "a" else 1, parallel=3)
        bench.accept("aabbbccc")
        await asyncio.sleep(3.5)
        assert bench.ended == [2, 5, 3, 6, 4, 7], "b and c went on beside a"
        assert bench.work.book.processed == 0, "nothing is acknowledged past a"
        await bench.work.done()
        assert bench.work.book.processed == 8
        assert loop.time() == 3000.0, "two of a, one after the other, and the others meanwhile"

    run_simulation(main, seed=1, shuffle=False)


def test_no_more_run_at_once_than_may_and_all_that_may_do() -> None:
    async def main(loop: SimLoop) -> None:
        for order, parallel, most in ((PerKey(), 4, 4), (PerKey(), 9, 8), (Fifo(), 4, 1)):
            bench = Bench(order, lambda place: 1, parallel=parallel)
            for number in range(64):
                bench.work.accept(order.key_of(number) if isinstance(order, Fifo) else number % 8, 0)
            begun = loop.time()
            await bench.work.done()
            assert (bench.most, loop.time() - begun) == (most, 64 / most)
            assert len(asyncio.all_tasks()) == 1, "idle runners end"

    run_simulation(main, seed=1, shuffle=False)


@pytest.mark.parametrize("seed", range(20))
def test_random_schedules_keep_the_order_of_each_key(seed: int) -> None:
    async def main(loop: SimLoop) -> None:
        chance = random.Random(seed)
        limiter = Limiter(Queue(Amount(chance.randrange(1, 6), chance.randrange(3, 30))))
        finished: list[int] = []
        bench = Bench(
            PerKey(messages=20, key_messages=6),
            lambda place: chance.choice((0, 0, 0.5, 2)) * chance.random(),
            parallel=chance.randrange(1, 7),
            admission=limiter,
            finished=lambda place: finished.append(place.number),
        )
        book = bench.work.book
        changed = asyncio.Event()
        bench.work.changed = changed.set
        keys: dict[str, list[int]] = {}
        for number in range(150):
            key, size = chance.choice("abcdef"), chance.randrange(4)
            while not book.room(key, size):
                changed.clear()
                await changed.wait()
            keys.setdefault(key, []).append(bench.work.accept(key, number, size).number)
            if chance.random() < 0.1:
                await asyncio.sleep(chance.random())
            assert book.processed == next((n for n in range(number + 1) if n not in finished), number + 1)
        await bench.work.done()
        for numbers in keys.values():
            assert [number for number in bench.begun if number in numbers] == numbers
        assert sorted(finished) == list(range(150))
        assert (book.processed, book.messages, book.keys, limiter.used) == (150, 0, 0, NOTHING)

    run_simulation(main, seed=seed)


def test_room_is_told_as_soon_as_there_is_some() -> None:
    async def main(loop: SimLoop) -> None:
        bench = Bench(Fifo(messages=2), lambda place: 1)

        def refill() -> None:
            if bench.work.book.room(None):
                bench.work.accept(None, 0)

        bench.work.changed = refill
        bench.work.accept(None, 0)
        await asyncio.sleep(5.5)
        assert (bench.work.book.messages, len(bench.ended)) == (2, 5), "the line never runs dry"
        bench.work.changed = None
        await bench.work.done()

    run_simulation(main, seed=1, shuffle=False)


def test_who_waits_for_its_turn_holds_no_permit() -> None:
    async def main(loop: SimLoop) -> None:
        limiter = Limiter(Queue(Amount(2)))
        bench = Bench(PerKey(), lambda place: 1, parallel=10, admission=limiter)
        bench.accept("aaaaaaaab")
        await asyncio.sleep(0.5)
        assert sorted(bench.begun) == [0, 8], "the line of a does not sit on the permits"
        await bench.work.done()

    run_simulation(main, seed=1)


@pytest.mark.parametrize("step", range(14))
def test_close_at_every_step_tells_what_is_not_finished_and_leaks_nothing(step: int) -> None:
    async def main(loop: SimLoop) -> None:
        limiter = Limiter(Queue(Amount(2)))
        bench = Bench(PerKey(), lambda place: 0, parallel=3, admission=limiter)
        bench.accept("aabbcd")
        for _ in range(step):
            await asyncio.sleep(0)
        unfinished = [place.number for place in await bench.work.close()]
        assert sorted([*bench.ended, *unfinished]) == list(range(6))
        began = [place.number for place in bench.work.book.unfinished() if place.state is PlaceState.BEGUN]
        assert began == sorted(set(bench.begun) - set(bench.ended)), "only what ran is marked as begun"
        assert (limiter.used, limiter.queued) == (NOTHING, NOTHING)
        assert bench.work.broken is None
        await bench.work.done()  # closed: there is nothing to wait for

    run_simulation(main, seed=1, shuffle=False)


def test_what_is_cancelled_from_outside_breaks_the_order() -> None:
    async def main(loop: SimLoop) -> None:
        tasks: list[asyncio.Task[Any]] = []

        async def run(place: Place[int]) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            await asyncio.sleep(place.number)

        work = Work(PerKey(), run)
        for key in "abb":
            work.accept(key, 0)
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        with pytest.raises(OrderBrokenError, match="cancelled from outside"):
            await work.done()
        with pytest.raises(OrderBrokenError):
            work.accept("c", 0)
        assert [(place.number, place.state.name) for place in await work.close()] == [(1, "BEGUN"), (2, "WAITING")]

    run_simulation(main, seed=1)


def test_a_cancel_before_the_first_step_loses_no_place() -> None:
    async def main(loop: SimLoop) -> None:
        limiter = Limiter(Queue(Amount(1)))
        held = await limiter.acquire()
        bench = Bench(PerKey(), lambda place: 0, admission=limiter)
        for turns in (0, 2):  # before its first step, and while it waits for the permit
            bench.accept("a")
            for _ in range(turns):
                await asyncio.sleep(0)
            (runner,) = asyncio.all_tasks() - {asyncio.current_task()}
            runner.cancel()
            await asyncio.sleep(1)
        held.release()
        await bench.work.done()
        assert bench.ended == [0, 1]

    run_simulation(main, seed=1)


@pytest.mark.parametrize("dealt_with", [True, False])
def test_what_admission_refuses_is_dealt_with_or_breaks_the_order(dealt_with: bool) -> None:
    async def main(loop: SimLoop) -> None:
        refused: list[tuple[int, str]] = []

        async def refuse(place: Place[int], error: AdmissionRefusedError) -> bool:
            await asyncio.sleep(0)
            refused.append((place.number, error.policy))
            return dealt_with

        limiter = Limiter(Reject(Amount(1)))
        bench = Bench(PerKey(), lambda place: 1, admission=limiter, refused=refuse)
        bench.accept("aab")
        if dealt_with:
            await bench.work.done()
            assert (bench.ended, bench.work.book.processed) == ([0, 1], 3)
        else:
            with pytest.raises(OrderBrokenError, match="may not be dropped") as broken:
                await bench.work.done()
            assert isinstance(broken.value.__cause__, AdmissionRefusedError)
            await bench.work.close()
        assert refused == [(2, "Reject")]

    run_simulation(main, seed=1)


def test_an_exception_out_of_the_work_breaks_the_order() -> None:
    async def main(loop: SimLoop) -> None:
        async def run(place: Place[int]) -> None:
            raise LookupError("x")

        work = Work(Fifo(), run)
        work.accept(None, 0)
        with pytest.raises(OrderBrokenError, match="LookupError") as broken:
            await work.done()
        assert isinstance(broken.value.__cause__, LookupError)
        await work.close()

    run_simulation(main, seed=1)


def test_work_may_be_held_parked_and_taken_up_again() -> None:
    async def main(loop: SimLoop) -> None:
        got: list[int] = []

        async def run(place: Place[int]) -> None:
            got.append(place.number)
            if place.number == 0 and len(got) == 1:
                work.book.hold(place)
                loop.call_later(5, later, place)
            elif place.number == 1 and got.count(1) == 1:
                work.book.park(place.key)
                work.book.put_back(place)

        def later(place: Place[int]) -> None:
            work.book.again(place)
            work.go()

        work = Work(PerKey(), run)
        for key in "aab":
            work.accept(key, 0)
        await asyncio.sleep(10)
        assert (got, work.book.parked) == ([0, 2, 0, 1], ["a"])
        work.book.unpark("a")
        work.go()
        await work.done()
        assert got == [0, 2, 0, 1, 1]

    run_simulation(main, seed=1)


def test_work_that_never_suspends_lets_others_run() -> None:
    async def main(loop: SimLoop) -> None:
        async def run(place: Place[int]) -> None:
            done.append(place.number)

        done: list[int] = []
        work = Work(Fifo(), run)
        for _ in range(1000):
            work.accept(None, 0)
        for _ in range(3):
            await asyncio.sleep(0)
        assert 0 < len(done) < 100
        await work.done()

    run_simulation(main, seed=1)


def test_at_least_one_runs() -> None:
    with pytest.raises(ValueError):
        Work(Fifo(), lambda place: asyncio.sleep(0), parallel=0)
