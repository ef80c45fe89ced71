"""Closing in bounded time, also around what its user wrote badly (P7)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from litz.message import Message
from litz.testing import SimLoop, SimNetwork, run_simulation
from litz.wire import Endpoint, Wire, WireBuilder
from outproc import OutprocTransportManager, TransportOptions


class DeafBuilder(WireBuilder):
    """Swallows every cancellation for half a minute, as code around `except BaseException` does."""

    kind = "deaf"
    schemes = ("deaf",)

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        loop = asyncio.get_running_loop()
        end = loop.time() + 30.0
        while loop.time() < end:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(end - loop.time())
        raise OSError("never mind")


class StuckBuilder(DeafBuilder):
    """Its own close takes half a minute, whatever happens."""

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        raise OSError("nobody there")

    async def aclose(self) -> None:
        with contextlib.suppress(OSError):
            await super().build("", Endpoint("deaf", "deaf:"))


def test_a_builder_whose_own_close_does_not_end_does_not_hold_the_close() -> None:
    reports: list[dict[str, Any]] = []

    async def scenario(loop: SimLoop) -> float:
        loop.set_exception_handler(lambda _, context: reports.append(context))
        manager = OutprocTransportManager("a", builders=[StuckBuilder()], options=TransportOptions(close_timeout=2.0))
        await manager.__aenter__()
        before = loop.time()
        await manager.aclose()
        took = loop.time() - before
        await asyncio.sleep(60.0)
        return took

    assert run_simulation(scenario, seed=1, shuffle=False).value <= 2.0
    (report,) = reports
    assert report["message"] == "litz: 'litz close StuckBuilder.aclose' did not end when it was cancelled"


async def dialling(builder: WireBuilder, endpoint: str) -> OutprocTransportManager:
    """A manager whose dial of `endpoint` has been under way for a second."""
    options = TransportOptions(close_timeout=2.0, dial_timeout=500.0)
    manager = OutprocTransportManager("a", builders=[builder], directory={"b": [endpoint]}, options=options)
    await manager.__aenter__()
    manager.send_nowait("b", b"x")
    await asyncio.sleep(1.0)
    return manager


def test_a_builder_that_swallows_its_cancellation_does_not_hold_the_close() -> None:
    reports: list[dict[str, Any]] = []

    async def scenario(loop: SimLoop) -> float:
        loop.set_exception_handler(lambda _, context: reports.append(context))
        manager = await dialling(DeafBuilder(), "deaf:b")
        before = loop.time()
        await manager.aclose()
        took = loop.time() - before
        await asyncio.sleep(60.0)
        return took

    assert run_simulation(scenario, seed=1, shuffle=False).value <= 2.0
    assert [report["message"] for report in reports] == ["litz: 'litz dial b deaf:b' did not end when it was cancelled"]


class LateBuilder(WireBuilder):
    """Its dials end a little after they were cancelled, however often that is."""

    kind = "late"
    schemes = ("late",)

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        loop = asyncio.get_running_loop()
        end = float("inf")
        while loop.time() < end:
            try:
                await asyncio.sleep(1000.0 if end == float("inf") else end - loop.time())
            except asyncio.CancelledError:
                end = min(end, loop.time() + 0.01)
        for _ in range(3):  # a close of something else, say
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        raise OSError("late")


def test_a_dial_that_ended_while_the_process_was_stopped_has_ended_in_time() -> None:
    reports: list[dict[str, Any]] = []

    async def scenario(loop: SimLoop) -> None:
        loop.set_exception_handler(lambda _, context: reports.append(context))
        manager = await dialling(LateBuilder(), "late:b")
        closing = asyncio.create_task(manager.aclose())
        await asyncio.sleep(0.005)
        loop.stall(30.0)  # SIGSTOP, and SIGCONT
        await closing

    run_simulation(scenario, seed=1, shuffle=False)
    assert reports == []


def test_closing_takes_one_close_timeout_in_all() -> None:
    """With a peer that does not answer the goodbye, and a handler that swallows its cancellation: each took one."""

    async def scenario(loop: SimLoop) -> float:
        network = SimNetwork(loop, seed=1)
        builders = {name: network.host(name).builder() for name in "ab"}
        options = TransportOptions(close_timeout=5.0)

        async def deaf(message: Message) -> None:
            end = loop.time() + 30
            while loop.time() < end:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1)

        async with OutprocTransportManager(
            "b", builders=[builders["b"]], options=options, directory={"a": ["sim://a:1"]}
        ) as b:
            a = OutprocTransportManager("a", builders=[builders["a"]], options=options)
            await a.__aenter__()
            await a.listen("sim://a:1")
            serving = asyncio.ensure_future(a.serve(deaf))
            await b.send("a", b"x", confirm="received")
            await asyncio.sleep(1)
            network.host("b").freeze()
            began = loop.time()
            await a.aclose()
            took = loop.time() - began
            await asyncio.wait([serving])
            network.host("b").thaw()
        return took

    assert 2.5 <= run_simulation(scenario, seed=1, shuffle=False).value <= 5.0
