"""Workers start, answer, are frozen and killed, and are always reaped.

Covers `tests.prove.processes`, `tests.prove.control`, `tests.prove.worker` and `tests.prove.proxy_worker`. That
nothing is left (children, sockets) is checked after each test by `tests/conftest.py`.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.prove import processes
from tests.prove.processes import MemoryLog, Worker

SAMPLES = "tests.unit.prove_harness.samples"


async def test_a_worker_answers_calls_and_emits_events() -> None:
    async with Worker(f"{SAMPLES}:echo", greeting="hello ") as worker:
        answers = await asyncio.gather(*(worker.control.call("say", word=str(n)) for n in range(20)))
        assert answers == [f"hello {n}" for n in range(20)]
        await worker.control.call("count", to=3)
        assert [(await worker.control.events.get() or {})["number"] for _ in range(3)] == [0, 1, 2]


async def test_what_a_command_raises_is_readable_here() -> None:
    async with Worker(f"{SAMPLES}:echo") as worker:
        with pytest.raises(RuntimeError, match="ValueError: on purpose"):
            await worker.control.call("fail")


@pytest.mark.parametrize(
    ("loop", "module"), [("asyncio", "asyncio"), ("uvloop", "uvloop"), ("slow_clock", "tests.prove.slow_clock")]
)
async def test_a_worker_runs_on_the_loop_that_was_asked_for(loop: str, module: str) -> None:
    async with Worker(f"{SAMPLES}:echo", loop=loop, cpu=0) as worker:
        assert (await worker.control.call("loop")).startswith(module)


async def test_a_killed_worker_fails_its_calls() -> None:
    async with Worker(f"{SAMPLES}:echo") as worker:
        hanging = asyncio.create_task(worker.control.call("hang"))
        await worker.control.call("say", word="it runs")
        await worker.kill()
        with pytest.raises(ConnectionError):
            await hanging
        assert await worker.control.events.get() is None
        with pytest.raises(ConnectionError):
            await worker.control.call("say", word="?")
        assert await worker.wait() == -9
        assert worker.rss() == 0


async def test_a_frozen_worker_does_nothing_until_thawed() -> None:
    async with Worker(f"{SAMPLES}:echo") as worker:
        worker.freeze()
        asking = asyncio.create_task(worker.control.call("say", word="late"))
        done, _ = await asyncio.wait([asking], timeout=0.2)
        assert not done
        worker.thaw()
        assert await asking == "late"


async def test_a_frozen_worker_is_reaped() -> None:
    async with Worker(f"{SAMPLES}:echo") as worker:
        worker.freeze()


async def test_a_worker_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.3)
    async with Worker(f"{SAMPLES}:stubborn") as worker:
        pass
    assert await worker.wait() == -9


async def test_a_worker_that_cannot_start_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)about to fail.*ValueError: cannot start"):
        async with Worker(f"{SAMPLES}:broken"):
            pass


async def test_memory_is_seen_to_grow() -> None:
    async with Worker(f"{SAMPLES}:echo") as worker, MemoryLog(worker, every=0.01) as log:
        await worker.control.call("grow", size=64 << 20)
    assert 60 << 20 < log.growth(worker) < 90 << 20


async def test_the_proxy_in_a_process_of_its_own() -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            arrived.put_nowait(await reader.readexactly(5))
            await reader.read()
        except ConnectionResetError:
            arrived.put_nowait(b"reset")
        finally:
            writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with Worker("tests.prove.proxy_worker:serve", host=host, port=port, seed=3) as proxy:
            _, writer = await asyncio.open_connection(*await proxy.control.call("where"))
            writer.write(b"hello")
            assert await arrived.get() == b"hello"
            assert await proxy.control.call("reset_all") == 1
            assert await arrived.get() == b"reset"
            await proxy.control.call("torment", seed=1)
            await proxy.control.call("calm")
            counts = await proxy.control.call("counts")
            assert (counts["accepted"], counts["bytes up"]) == (1, 5)
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
