"""A manager on real sockets and other threads: blocking verbs, closing from anywhere, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings

import pytest

from litz.errors import ManagerStateError
from litz.testing.manager_case import serving
from tests.integration.outproc_nodes import LOOPBACK, Manager, lane_of, node, take, until
from tests.unit.outproc_websocket.kit import in_time


@pytest.mark.both_loops
async def test_many_threads_send_and_ask_at_once() -> None:
    async with node("b", listen=LOOPBACK) as b, node("a", knows={"b": b.endpoints}) as a:
        seen: list[bytes] = []

        def handler(message: object) -> bytes:
            data = message.data  # type: ignore[attr-defined]  # a Message
            seen.append(data)
            return bytes(data) + b"!"

        def work(number: int) -> bytes:
            verbs = a.threadsafe
            for step in range(20):
                verbs.send("b", b"%d %d" % (number, step), timeout=120, confirm="received")
            return bytes(verbs.request("b", b"ask %d" % number, timeout=120))

        async with serving(b, handler):
            answers = await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(8)))
            assert answers == [b"ask %d!" % number for number in range(8)]
            await a.send("b", b"", confirm="processed")
        for number in range(8):
            mine = [data for data in seen if data.startswith(b"%d " % number)]
            assert mine == [b"%d %d" % (number, step) for step in range(20)]


@pytest.mark.both_loops
async def test_closing_from_another_thread_frees_everything_here() -> None:
    async with node("b", listen=LOOPBACK) as b:
        a = Manager("a", directory={"b": b.endpoints})
        await a.__aenter__()
        await a.send("b", b"", confirm="received")

        def close() -> None:
            asyncio.run(a.aclose())

        await asyncio.gather(asyncio.to_thread(close), asyncio.to_thread(close), a.aclose())
        with pytest.raises(ManagerStateError, match="closed; make a new one"):
            await a.send("b", b"")
        await until(lambda: b.dest_count == 0, "the goodbye arrived")
        with pytest.raises(ManagerStateError):
            a.threadsafe.send("b", b"")


async def test_a_cancelled_close_still_closes() -> None:
    async with node("b", listen=LOOPBACK) as b:
        a = Manager("a", directory={"b": b.endpoints})
        await a.__aenter__()
        await a.send("b", b"", confirm="received")
        closing = asyncio.create_task(a.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await a.aclose()
        assert not a.snapshot().running


def test_an_unclosed_manager_warns_when_it_is_dropped() -> None:
    async def forget() -> None:
        manager = Manager("forgetful")
        await manager.__aenter__()
        # What its loop still holds of it ends with the loop.
        manager._running().node.health._task.cancel()  # type: ignore[union-attr]  # it runs while the manager is open

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(forget())
        gc.collect()
    texts = [str(warning.message) for warning in caught if warning.category is ResourceWarning]
    assert any("forgetful" in text and "never closed; use `async with`" in text for text in texts), texts


async def test_close_is_bounded_when_the_peer_is_frozen() -> None:
    """The peer's loop stands still, in a thread of its own: the goodbye is not answered."""
    stop, ready, urls = threading.Event(), threading.Event(), []

    def other() -> None:
        async def run() -> None:
            async with Manager("b") as b:
                await b.listen(LOOPBACK)
                urls.extend(b.endpoints)
                ready.set()
                await until(lambda: b.is_connected("a"), "connected")
                await until(lambda: lane_of(b, "a").received == 1, "met")
                ready.clear()
                stop.wait(120)
                await take(b, 1)

        asyncio.run(run())

    thread = threading.Thread(target=other)
    thread.start()
    try:
        await asyncio.to_thread(ready.wait, 120)
        async with node("a", knows={"b": urls}, options={"close_timeout": 0.5}) as a:
            await a.send("b", b"", confirm="received")
            await until(lambda: not ready.is_set(), "the peer stands still")
            await in_time(5.0, a.aclose())  # or else it waited for a peer that does nothing
    finally:
        stop.set()
        await asyncio.to_thread(thread.join, 120)
