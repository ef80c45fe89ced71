"""A manager from other threads and loops: what works there, and what says why it cannot.

Covers `litz.blocking_stream`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inproc import Hub, InprocTransportManager
from litz import ManagerStateError, Stream, StreamRefusedError
from litz.threadsafe import HomeLoop

Pair = tuple[InprocTransportManager, InprocTransportManager]


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        yield a, b


async def test_the_verbs_work_from_another_thread() -> None:
    async with pair() as (a, b):
        server = asyncio.ensure_future(b.serve(lambda message: b"answer to " + message.data))

        def work() -> tuple[int, bytes, list[str]]:
            safe = a.threadsafe
            receipt = safe.send("b", b"one", confirm="processed", timeout=120)

            async def dests() -> list[str]:
                return a.list_dests()

            return receipt[1], safe.request("b", b"two", timeout=120), safe.call(dests, timeout=120)

        assert await asyncio.to_thread(work) == (0, b"answer to two", ["b"])
        server.cancel()
        await asyncio.wait([server])


async def test_in_its_own_thread_it_would_wait_for_itself() -> None:
    async with pair() as (a, _):
        with pytest.raises(ManagerStateError, match="block"):
            a.threadsafe.send("b", b"x")


async def test_errors_and_timeouts_come_to_the_caller_and_the_call_is_cancelled() -> None:
    async with pair() as (a, _):
        cancelled = asyncio.Event()

        begun = asyncio.Event()

        async def forever() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async def fails() -> None:
            raise LookupError("of the loop")

        patience = 0.01
        while not begun.is_set():  # on a slow machine the call is cancelled before it has begun
            with pytest.raises(TimeoutError, match="no result within"):
                await asyncio.to_thread(a.threadsafe.call, forever, timeout=patience)
            patience *= 2
        await cancelled.wait()
        with pytest.raises(LookupError, match="of the loop"):
            await asyncio.to_thread(a.threadsafe.call, fails)


async def test_a_call_that_is_cancelled_in_the_loop_ends_for_the_thread() -> None:
    async with pair() as (a, _):
        inside: list[asyncio.Task[None]] = []

        async def waits() -> None:
            task = asyncio.current_task()
            assert task is not None
            inside.append(task)
            await asyncio.Event().wait()

        calling = asyncio.ensure_future(asyncio.to_thread(a.threadsafe.call, waits))
        while not inside:  # noqa: ASYNC110 - the other thread starts it
            await asyncio.sleep(0.001)
        inside[0].cancel()
        with pytest.raises(ManagerStateError, match="closed during the call"):
            await calling


async def test_before_and_after_its_life() -> None:
    manager = InprocTransportManager("a", Hub())
    with pytest.raises(ManagerStateError, match="not open"):
        manager.threadsafe.send("b", b"x")
    async with manager:
        pass
    with pytest.raises(ManagerStateError, match="not open"):
        await asyncio.to_thread(manager.threadsafe.send, "b", b"x")


async def test_a_home_is_entered_once_and_used_there_only() -> None:
    home = HomeLoop("the thing")
    with pytest.raises(ManagerStateError, match="the thing is not entered"):
        home.check()
    loop = home.bind()
    assert home.check() is loop
    with pytest.raises(ManagerStateError, match="entered before"):
        home.bind()

    async def elsewhere() -> None:
        home.check()

    with pytest.raises(ManagerStateError, match="another event loop"):
        await asyncio.to_thread(asyncio.run, elsewhere())
    home.open = False
    with pytest.raises(ManagerStateError, match="closed"):
        home.check()


@pytest.mark.parametrize("where", ["here", "another loop"])
async def test_closing_works_once_from_anywhere_and_survives_a_cancelled_caller(where: str) -> None:
    home = HomeLoop("the thing")
    loop = home.bind()
    done: list[asyncio.AbstractEventLoop] = []
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.append(asyncio.get_running_loop())

    def orphan() -> None:
        raise AssertionError("its loop runs")

    async def close() -> None:
        await home.close(work, orphan)

    given_up = asyncio.ensure_future(close())
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    closing = asyncio.ensure_future(close() if where == "here" else asyncio.to_thread(asyncio.run, close()))
    await asyncio.sleep(0)
    go.set()
    await closing
    await close()
    assert done == [loop]


def test_when_its_loop_is_gone_it_is_an_orphan() -> None:
    home = HomeLoop("the thing")

    async def enter() -> None:
        home.bind()

    asyncio.run(enter())
    orphaned: list[bool] = []

    async def work() -> None:
        raise AssertionError("its loop is gone")

    async def close() -> None:
        await home.close(work, lambda: orphaned.append(True))

    asyncio.run(close())
    assert orphaned == [True]


def test_a_loop_that_stopped_for_good_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not closed, but nobody runs it: calls without a timeout, and `aclose`, once waited for ever."""
    monkeypatch.setattr("litz.threadsafe.RESTS", 0.05)
    monkeypatch.setattr("litz.threadsafe.POLL", 0.01)
    loop = asyncio.new_event_loop()
    manager = InprocTransportManager("a", Hub())
    loop.run_until_complete(manager.__aenter__())
    made: list[str] = []

    async def work() -> None:
        made.append("a coroutine for a loop that does not run")

    with pytest.raises(ManagerStateError, match="does not run any more"):
        manager.threadsafe.call(work)
    asyncio.run(manager.aclose())
    with pytest.raises(ManagerStateError, match="not open"):
        manager.threadsafe.call(work)
    assert made == []
    loop.close()


def test_a_loop_that_rests_between_two_runs_is_waited_for() -> None:
    loop = asyncio.new_event_loop()
    manager = InprocTransportManager("a", Hub())
    loop.run_until_complete(manager.__aenter__())
    asked = threading.Event()

    async def dests() -> list[str]:
        return manager.list_dests()

    def ask() -> list[str]:
        asked.set()
        found: list[str] = manager.threadsafe.call(dests)
        return found

    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(ask)
        assert asked.wait(60)
        while not answer.done():
            loop.run_until_complete(asyncio.sleep(0.001))
        assert answer.result() == []
    loop.run_until_complete(manager.aclose())
    loop.close()


async def test_a_stream_from_another_thread() -> None:
    async def echo(stream: Stream) -> None:
        async for message in stream:
            await stream.send(message * 2)

    async with pair() as (a, b):
        b.listen_streams("echo", echo)

        def work() -> list[object]:
            with a.threadsafe.open_stream("b", "echo", timeout=120, metadata=b"m") as stream:
                stream.send(1, timeout=120)
                first = stream.receive(timeout=120)
                with pytest.raises(TimeoutError):
                    stream.receive(timeout=0.01)
                for number in range(3):
                    stream.send(number)
                stream.drain(timeout=120)
                stream.send_eof()
                got = [first, *stream]
                assert stream.stream.metadata == b"m"
            assert stream.closed
            assert stream.stats.messages_sent == 4
            with pytest.raises(KeyError), a.threadsafe.open_stream("b", "echo") as broken:
                raise KeyError
            assert broken.closed
            with pytest.raises(StreamRefusedError):
                a.threadsafe.open_stream("b", "nothing", timeout=120)
            return got

        assert await asyncio.to_thread(work) == [2, 0, 2, 4]
