"""P3: a thousand callers, one dial. Whoever is cancelled, whatever closes, whoever else dials."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from litz.errors import ConnectError, LitzError
from litz.message import Receipt
from litz.testing import DialFault
from tests.simulation.managers.stage import Actor, Stage, play

MANY = 1_000


def data_of(number: int) -> bytes:
    return number.to_bytes(4, "big")


def senders(actor: Actor, dest: str, count: int = MANY) -> list[asyncio.Task[Receipt]]:
    """`count` concurrent sends to a new dest, in order, each in its own task."""
    work: list[Coroutine[Any, Any, Receipt]] = [actor.manager.send(dest, data_of(n)) for n in range(count)]
    return [asyncio.ensure_future(each) for each in work]


def test_a_thousand_senders_one_dial_all_delivered_in_order() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        receipts = await asyncio.gather(*senders(a, "b"))
        assert [receipt[1] for receipt in receipts] == list(range(MANY))
        await b.until(lambda: len(b.got) == MANY)
        assert b.got == [data_of(number) for number in range(MANY)]
        assert a.dials == 1

    play(story)


def test_one_dial_for_each_endpoint() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], kinds=("tcp", "rtc", "uds"))
        b = await stage.actor("b", kinds=("tcp", "rtc", "uds"))
        await asyncio.gather(*senders(a, "b"))
        await b.until(lambda: len(b.got) == MANY)
        await asyncio.sleep(5)
        assert [builder.dials for builder in a.builders] == [1, 1, 1]

    play(story)


@pytest.mark.parametrize("victims", ["first", "last", "every other", "all but one"])
@pytest.mark.parametrize("turns", [0, 1, 2, 5, 40])
def test_cancelling_some_disturbs_no_other(victims: str, turns: int) -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        tasks = senders(a, "b", 50)
        await stage_turns(turns)
        chosen = {"first": tasks[:1], "last": tasks[-1:], "every other": tasks[::2], "all but one": tasks[:-1]}[victims]
        for task in chosen:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        kept = [number for number, task in enumerate(tasks) if task not in chosen]
        assert all(isinstance(results[number], tuple) for number in kept)
        await b.until(lambda: {data_of(number) for number in kept} <= set(b.got))
        assert sorted(b.got) == b.got
        assert a.dials == 1

    play(story)


async def stage_turns(turns: int) -> None:
    """Let the loop turn, and a little time pass when there are many."""
    for _ in range(turns):
        await asyncio.sleep(0)
    if turns > 10:
        await asyncio.sleep(0.005)


def test_all_are_cancelled_and_the_dial_serves_the_next_caller() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        tasks = senders(a, "b", 100)
        await asyncio.sleep(0.005)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await a.manager.send("b", b"next")
        await b.until(lambda: b.got == [b"next"])
        assert a.dials == 1

    play(story)


def test_all_who_wait_for_a_failed_dial_get_the_same_error_and_the_next_dials_again() -> None:
    async def story(stage: Stage) -> None:
        stage.network.dial_faults.append(DialFault("refuse", count=1))
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        results = await asyncio.gather(*senders(a, "b"), return_exceptions=True)
        assert len({id(result) for result in results}) == 1
        assert isinstance(results[0], ConnectError)
        assert a.dials == 1
        assert a.manager.has_dest("b") is None
        await a.manager.send("b", b"again")
        await b.until(lambda: b.got == [b"again"])
        assert a.dials == 2

    play(story)


@pytest.mark.parametrize("mode", ["hang", "late", "slow"])
@pytest.mark.parametrize("after", [0.0, 0.001, 0.015, 0.03, 0.5])
def test_aclose_in_the_middle_of_a_dial(mode: str, after: float) -> None:
    """Everybody gets a typed error, the late wire is closed, and nothing comes after."""

    async def story(stage: Stage) -> None:
        stage.network.dial_faults.append(DialFault(mode, delay=1.0))
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        tasks = senders(a, "b", 200)
        await asyncio.sleep(after)
        began = stage.loop.time()
        await a.manager.aclose()
        assert stage.loop.time() - began < 0.1
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, LitzError) for result in results), results[:3]
        assert a.dials <= 1
        await asyncio.sleep(10)
        assert stage.network.connections == []
        assert b.got == []
        assert b.manager.list_dests() == []

    play(story)


@pytest.mark.parametrize("after", [0.0, 0.001, 0.015, 0.03])
def test_close_transport_in_the_middle_of_a_dial(after: float) -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        tasks = senders(a, "b", 200)
        await asyncio.sleep(after)
        await a.manager.close_transport("b")
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, ConnectError) for result in results), results[:3]
        assert a.manager.has_dest("b") is None
        await asyncio.sleep(2)
        assert stage.network.connections == []
        await a.manager.send("b", b"anew")
        await b.until(lambda: b.got == [b"anew"])

    play(story)


def test_the_far_end_dials_at_the_same_time() -> None:
    """S6, S19: at most one dial a side; one wire stays; all is delivered once and in order."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b", reach=["a"])
        await asyncio.gather(*senders(a, "b"), *senders(b, "a"))
        await a.until(lambda: len(a.got) == len(b.got) == MANY)
        expected = [data_of(number) for number in range(MANY)]
        assert a.got == expected
        assert b.got == expected
        await asyncio.sleep(12)
        assert (a.dials, b.dials) == (1, 1)
        (wires,) = [dest.wires for dest in a.manager.snapshot().dests]
        assert [wire.dialled for wire in wires] == [True], "the smaller id's wire stays"
        assert len(stage.network.connections) == 1

    for seed in range(10):
        play(story, seed=seed)


def test_an_inbound_wire_ends_the_wait_for_a_dial_that_hangs() -> None:
    async def story(stage: Stage) -> None:
        stage.network.dial_faults.append(DialFault("hang", target="b"))
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b", reach=["a"])
        tasks = senders(a, "b", 100)
        await asyncio.sleep(0.1)
        await b.manager.send("a", b"hello")
        async with asyncio.timeout(1):
            await asyncio.gather(*tasks)
        await b.until(lambda: len(b.got) == 100)

    play(story)


def test_one_slow_dial_delays_no_other_dest() -> None:
    async def story(stage: Stage) -> None:
        stage.network.dial_faults.append(DialFault("hang", target="b"))
        a = await stage.actor("a", reach=["b", "c"])
        c = await stage.actor("c")
        slow = asyncio.ensure_future(a.manager.send("b", b"x"))
        await asyncio.sleep(0.01)
        began = stage.loop.time()
        await a.manager.send("c", b"quick")
        assert stage.loop.time() - began < 0.1
        await c.until(lambda: c.got == [b"quick"])
        slow.cancel()
        await asyncio.wait([slow])

    play(story)
