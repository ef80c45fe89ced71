"""The thread of a store: calls in order, errors brought home, and an end in bounded time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from outproc.outbox.store_thread import StoreThread


async def test_calls_run_in_order_in_one_other_thread_and_are_answered_in_the_loop() -> None:
    here = threading.get_ident()
    thread = StoreThread("test store", asyncio.get_running_loop())
    ran: list[int] = []
    told: list[tuple[int | None, type[BaseException] | None, bool]] = []

    def work(number: int) -> int:
        ran.append(threading.get_ident())
        if number == 2:
            raise KeyError(number)
        return number

    def done(result: int | None, error: BaseException | None) -> None:
        told.append((result, type(error) if error is not None else None, threading.get_ident() == here))

    for number in range(4):
        thread.call(lambda number=number: work(number), done)  # type: ignore[misc]  # bound to this number now
    assert await thread.run(lambda: work(9)) == 9
    with pytest.raises(KeyError):
        await thread.run(lambda: work(2))
    assert told == [(0, None, True), (1, None, True), (None, KeyError, True), (3, None, True)]
    assert len(set(ran)) == 1
    assert ran[0] != here
    assert await thread.stop(lambda: None, 60)


async def test_what_was_called_before_the_end_is_done_and_nothing_after_it() -> None:
    thread = StoreThread("test store", asyncio.get_running_loop())
    ran: list[str] = []
    thread.call(lambda: ran.append("before"), lambda result, error: None)
    assert await thread.stop(lambda: ran.append("last"), 60)
    thread.call(lambda: ran.append("after"), lambda result, error: None)
    assert await thread.stop(lambda: ran.append("again"), 60)
    assert ran == ["before", "last"]


async def test_a_disk_that_does_not_answer_is_not_waited_for() -> None:
    thread = StoreThread("test store", asyncio.get_running_loop())
    answer = threading.Event()
    waiting = asyncio.ensure_future(thread.run(answer.wait))
    await asyncio.sleep(0)
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))
    assert not await thread.stop(lambda: None, 0.01)
    assert told == ["test store: the disk did not answer in time; its thread ends when it does"]
    answer.set()
    assert await waiting
    assert await thread.stop(lambda: None, 60)
