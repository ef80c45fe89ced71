"""Cancelling a caller at every single await of every verb, also in the very moment it would have gone on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

from litz.errors import LitzError
from litz.message import Message
from litz.payload import PayloadType
from tests.simulation.managers.stage import Actor, Stage, play

TINY: dict[str, Any] = {"log_messages": 2, "window_messages": 2}
Consumer = Callable[[Actor, list[bytes]], Coroutine[Any, Any, None]]
Script = Callable[[Stage, Actor, Actor, list[bytes]], Coroutine[Any, Any, None]]


class CancelledAt:
    """Runs a coroutine and cancels its task at suspension number `step` (from 1; 0: never).

    waking  False: as soon as it sleeps; True: when what it waits for has come, just before it goes on
    """

    def __init__(self, work: Coroutine[Any, Any, None], step: int, *, waking: bool) -> None:
        self._work = work
        self._step = step
        self._waking = waking
        self.suspensions = 0

    async def run(self) -> None:
        await self

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._work.__await__()
        task = asyncio.current_task()
        assert task is not None
        loop = task.get_loop()
        result: Any = None
        error: BaseException | None = None
        while True:
            try:
                waits_for = steps.throw(error) if error is not None else steps.send(result)
            except StopIteration:
                return
            self.suspensions += 1
            if self.suspensions == self._step:
                if self._waking and waits_for is not None:
                    # Before the task's own callback, which the loop adds when this yields.
                    waits_for.add_done_callback(lambda _: task.cancel())
                else:
                    loop.call_soon(task.cancel)
            try:
                result = yield waits_for
                error = None
            except BaseException as raised:
                error = raised


async def sends(stage: Stage, a: Actor, b: Actor, accepted: list[bytes]) -> None:
    """First contact, a full log, every kind of send, and a cut in the middle."""
    for number in range(12):
        data = b"s%02d" % number
        confirm = {5: "received", 9: "processed"}.get(number)
        if number == 7:
            stage.cut()
        await a.manager.send("b", data, confirm=confirm)  # type: ignore[arg-type]  # a literal of the three
        accepted.append(data)
    await a.manager.drain("b")


async def asks(stage: Stage, a: Actor, b: Actor, accepted: list[bytes]) -> None:
    """Requests, one of them while everything is cut."""
    for number in range(3):
        data = b"s%02d" % number
        if number == 1:
            stage.cut()
        assert await a.manager.request("b", data) == data
        accepted.append(data)


async def looks_after_dests(stage: Stage, a: Actor, b: Actor, accepted: list[bytes]) -> None:
    """The verbs about dests."""
    await a.manager.get_or_create_transport("b")
    await a.manager.send("b", b"s00")
    accepted.append(b"s00")
    stage.cut()
    await a.manager.reconnect("b")
    await a.manager.wait_connected("b")
    await a.manager.send("b", b"s01", confirm="processed")
    accepted.append(b"s01")
    await a.manager.close_transport("b")


async def story_of(stage: Stage, script: Script, step: int, waking: bool) -> int:
    a = await stage.actor("a", reach=["b"], **TINY)
    b = await stage.actor("b", **TINY)
    accepted: list[bytes] = []
    cancelled = CancelledAt(script(stage, a, b, accepted), step, waking=waking)
    task = asyncio.ensure_future(cancelled.run())
    async with asyncio.timeout(60):
        await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None, task
    assert task.cancelled() or step == 0 or step >= cancelled.suspensions, "the cancel was swallowed"
    async with asyncio.timeout(60):
        await _until_sent(a, b"z")
        await b.until(lambda: b"z" in b.got)
    mine = [data for data in b.got if data != b"z"]
    assert mine == sorted(set(mine)), f"doubled or out of order: {b.got}"
    assert set(accepted) <= set(mine), f"accepted {accepted}, delivered {b.got}"
    assert len(mine) <= len(accepted) + 1, f"accepted {accepted}, delivered {b.got}"
    return cancelled.suspensions


async def _until_sent(a: Actor, data: bytes) -> None:
    """As a user would who was told that the session ended."""
    while True:
        try:
            await a.manager.send("b", data)
            return
        except LitzError:
            await asyncio.sleep(0.1)


def perform(script: Script, step: int, *, waking: bool) -> int:
    counts: list[int] = []

    async def story(stage: Stage) -> None:
        counts.append(await story_of(stage, script, step, waking))

    play(story, shuffle=False)
    return counts[0]


@pytest.mark.limit(600)
@pytest.mark.parametrize("waking", [False, True], ids=["asleep", "waking"])
@pytest.mark.parametrize("script", [sends, asks, looks_after_dests])
def test_cancel_at_every_await(script: Script, waking: bool) -> None:
    steps = perform(script, 0, waking=waking)
    assert steps >= 4
    for step in range(1, steps + 1):
        perform(script, step, waking=waking)


async def reads(actor: Actor, got: list[bytes]) -> None:
    """A consumer that takes a while for each message."""
    async with actor.manager.messages() as stream:
        async for message in stream:
            await asyncio.sleep(0.001)
            got.append(message.data)
            if message.data == b"s09":
                return


async def serves(actor: Actor, got: list[bytes]) -> None:
    """A handler that takes a while for each message."""

    async def handle(message: Message) -> None:
        await asyncio.sleep(0.001)
        got.append(message.data)

    await actor.manager.serve(handle)


TEN = {b"s%02d" % number for number in range(10)}


async def all_are_read(
    stage: Stage, consumer: Consumer, stop: Callable[[asyncio.Task[None]], Coroutine[Any, Any, None]]
) -> None:
    """Ten messages for a consumer that is stopped somewhere, and for the next one."""
    a = await stage.actor("a", reach=["b"], window_messages=3)
    b = await stage.actor("b", window_messages=3)
    await b.stop_listening()
    first: list[bytes] = []
    task = asyncio.ensure_future(consumer(b, first))
    sender = asyncio.ensure_future(_send_all(a, sorted(TEN)))
    await stop(task)
    task.cancel()
    await asyncio.wait([task])
    second: list[Message] = []
    async with b.manager.messages() as stream:
        while {*first, *(message.data for message in second)} != TEN:
            async with asyncio.timeout(5):
                second.append(await anext(stream))
    again = [message for message in second if message.data in first]
    assert len(again) <= 1, f"{again} came again"
    assert all(message.redelivered for message in again)
    assert [message.data for message in second] == sorted(message.data for message in second)
    await sender
    await a.manager.drain()


async def _send_all(actor: Actor, messages: list[bytes]) -> None:
    for data in messages:
        await actor.manager.send("b", data)


@pytest.mark.limit(600)
@pytest.mark.parametrize("waking", [False, True], ids=["asleep", "waking"])
def test_cancelling_a_reader_at_every_await_loses_nothing(waking: bool) -> None:
    """What was in hand comes again, marked; nothing is lost, and the order stays."""

    def once(step: int) -> int:
        counts: list[int] = []

        async def story(stage: Stage) -> None:
            async def consumer(actor: Actor, got: list[bytes]) -> None:
                cancelled = CancelledAt(reads(actor, got), step, waking=waking)
                try:
                    await cancelled.run()
                finally:
                    counts.append(cancelled.suspensions)

            async def stop(task: asyncio.Task[None]) -> None:
                await asyncio.wait([task], timeout=2)

            await all_are_read(stage, consumer, stop)

        play(story, shuffle=False)
        return counts[0]

    steps = once(0)
    assert steps > 5
    for step in range(1, steps + 1):
        once(step)


@pytest.mark.limit(600)
def test_cancelling_serve_at_any_time_loses_nothing() -> None:
    for step in range(120):

        async def story(stage: Stage, after: float = step * 0.0005) -> None:
            async def stop(task: asyncio.Task[None]) -> None:
                await asyncio.sleep(after)

            await all_are_read(stage, serves, stop)

        play(story, seed=step)


def test_aclose_survives_the_cancel_of_its_caller() -> None:
    """P7: whoever asked, and however often it is cancelled, the manager closes."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        await stage.actor("b")
        await a.manager.send("b", b"x", payload_type=PayloadType.RPC_SIGNAL)
        for _ in range(3):
            task = asyncio.ensure_future(a.manager.aclose())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        await a.manager.aclose()
        assert not a.manager.snapshot().running

    play(story)
