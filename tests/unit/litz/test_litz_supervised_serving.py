"""Supervision under `serve`: retries keep their place, requests are answered, and what is escalated leaves the call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from inproc import Hub, InprocTransportManager
from litz import Message, RemoteError
from litz.backoff import Backoff
from litz.supervised_serving import SupervisedHandler, supervised
from litz.supervision import Failure, Remedy, Supervise
from litz.testing import SimLoop, run_simulation


async def take(manager: InprocTransportManager, count: int) -> list[Message]:
    got: list[Message] = []
    async for message in manager.messages():
        got.append(message)
        if len(got) == count:
            break
    return got


def test_retries_keep_the_place_of_their_message() -> None:
    log: list[Any] = []

    def handler(message: Message) -> None:
        log.append(message.data)
        if message.data == "shy" and log.count("shy") < 3:
            raise ValueError

    async def main(loop: SimLoop) -> None:
        hub = Hub()
        async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
            made = supervised(handler, Supervise(attempts=3, backoff=Backoff(1, 1)), sizes=True)
            serving = loop.create_task(b.serve(made))
            for data in ("one", "shy", "two"):
                await a.send("b", data, confirm="processed" if data == "two" else None)
            assert log == ["one", "shy", "shy", "shy", "two"]
            assert (made.tally.handled, made.tally.retried, made.tally.handled_size) == (3, 2, 9)
            serving.cancel()
            await asyncio.wait([serving])

    run_simulation(main, seed=1, allow_timers=True)


def test_dead_letters_drop_and_requests() -> None:
    def handler(message: Message) -> Any:
        if message.data == "bad":
            raise LookupError("no")
        if message.data == "drop":
            raise KeyError("no")
        return message.data

    async def main(loop: SimLoop) -> None:
        hub = Hub()
        async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
            made = supervised(handler, Supervise(remedies={KeyError: Remedy.DROP}))
            serving = loop.create_task(made.serve_on(b))
            for data in ("bad", "drop"):
                await a.send("b", data, confirm="processed")
            assert [letter.data for letter in made.dead_letters.take()] == ["bad"]
            with pytest.raises(RemoteError, match="LookupError"):
                await a.request("b", "bad")
            assert await a.request("b", "fine") == "fine"
            assert len(made.dead_letters) == 0, "who asked was told"
            assert made.tally.failures == {Failure.RAISED: 3}
            serving.cancel()
            await asyncio.wait([serving])
            assert serving.cancelled()

    run_simulation(main, seed=1, allow_timers=True)


@pytest.mark.parametrize("full", [False, True])
def test_escalation_leaves_the_call_and_the_message_is_delivered_again(full: bool) -> None:
    problem = LookupError("the original")

    def handler(message: Message) -> None:
        if message.data != "fine":
            raise problem

    async def main(loop: SimLoop) -> None:
        hub = Hub()
        async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
            policy = Supervise(dead_letters=1) if full else Supervise(then=Remedy.ESCALATE)
            made = supervised(handler, policy)
            serving = loop.create_task(made.serve_on(b))
            for data in ("fine", "kept", "bad", "later") if full else ("fine", "bad", "later"):
                await a.send("b", data)
            await asyncio.wait([serving])
            assert serving.exception() is problem
            rest = await take(b, 2)
            assert [(message.data, message.redelivered) for message in rest] == [("bad", True), ("later", False)]

    run_simulation(main, seed=1, allow_timers=True)


@pytest.mark.parametrize("turns", range(8))
def test_cancelled_at_any_step_nothing_is_lost(turns: int) -> None:
    seen: list[Any] = []

    async def handler(message: Message) -> None:
        await asyncio.sleep(0)
        seen.append(message.data)

    async def main(loop: SimLoop) -> None:
        hub = Hub()
        async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
            serving = loop.create_task(supervised(handler).serve_on(b))
            for number in range(3):
                await a.send("b", number)
            for _ in range(turns):
                await asyncio.sleep(0)
            serving.cancel()
            await asyncio.wait([serving])
            assert serving.cancelled()
            rest = [message.data for message in await take(b, 3 - len(seen))] if len(seen) < 3 else []
            assert seen + rest == [0, 1, 2]

    run_simulation(main, seed=1, allow_timers=True)


async def test_outside_of_serve_on_nothing_can_be_escalated(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        made = supervised(_fails, Supervise(then=Remedy.ESCALATE))
        serving = asyncio.ensure_future(b.serve(made))
        await a.send("b", "bad", confirm="processed")
        assert "cannot be escalated" in caplog.text
        serving.cancel()
        await asyncio.wait([serving])


def _fails(message: Message) -> None:
    raise ValueError


def test_remedies_of_streams_are_refused() -> None:
    for policy in (Supervise(then=Remedy.PARK_KEY), Supervise(remedies={KeyError: Remedy.CLOSE})):
        with pytest.raises(ValueError, match="streams"):
            SupervisedHandler(_fails, policy)
    with pytest.raises(TypeError):
        supervised(None)  # type: ignore[arg-type]  # what a caller without a type checker might write


async def test_one_serving_call_at_a_time() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a:
        made = supervised(_fails)
        serving = asyncio.ensure_future(made.serve_on(a))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already"):
            await made.serve_on(a)
        serving.cancel()
        await asyncio.wait([serving])
