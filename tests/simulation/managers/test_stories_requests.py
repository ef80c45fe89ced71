"""Stories of requests: each ends, and who gives one up is heard, however full the way is. Many were failing seeds."""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import OutcomeUnknownError, RemoteError
from litz.message import Message
from tests.simulation.managers.stage import Actor, Stage, play


class Handler:
    """Serves requests: each handler waits until it is cancelled."""

    def __init__(self, actor: Actor) -> None:
        self.begun: list[bytes] = []
        self.cancelled: list[bytes] = []
        self._manager = actor.manager
        self._task = asyncio.ensure_future(self._manager.serve(self._hold, concurrency=8))

    async def _hold(self, message: Message) -> None:
        self.begun.append(message.data)
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled.append(message.data)
            raise

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def serving(stage: Stage) -> tuple[Actor, Handler]:
    """The node b, and its handler."""
    actor = await stage.actor("b")
    await actor.stop_listening()
    return actor, Handler(actor)


def test_a_cancel_that_overtakes_its_request_keeps_the_handler_from_starting() -> None:
    """Seed 70 once: the reply lane goes first, and before the first message of a session nobody remembered it."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        _, handler = await serving(stage)
        asking = asyncio.ensure_future(a.manager.request("b", b"never mind", when_down="queue"))
        await asyncio.sleep(0.005)  # accepted, while the first wire is dialled
        asking.cancel()
        await asyncio.wait([asking])
        await a.manager.send("b", b"next", confirm="received")
        await asyncio.sleep(0.1)
        assert handler.begun == [b"next"]
        await handler.stop()

    play(story)


def test_a_cancel_that_finds_the_log_full_is_told_when_there_is_room() -> None:
    """Seed 381 once: with room for two entries in the log of the reply lane, other cancels were dropped."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], log_messages=2)
        b, handler = await serving(stage)
        asking = [asyncio.ensure_future(a.manager.request("b", b"%d" % number)) for number in range(6)]
        await b.until(lambda: len(handler.begun) == 6)
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        await b.until(lambda: len(handler.cancelled) == 6, seconds=2.0)
        assert set(handler.cancelled) == set(handler.begun)
        await handler.stop()

    play(story)


def test_a_cancel_waits_for_a_wire() -> None:
    """Given up while no wire is up: the handler hears of it once one is."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], log_messages=2)
        b, handler = await serving(stage)
        asking = [asyncio.ensure_future(a.manager.request("b", b"%d" % number)) for number in range(6)]
        await b.until(lambda: len(handler.begun) == 6)
        stage.network.partition(["a"], ["b"])
        stage.cut()
        await asyncio.sleep(1)
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        await asyncio.sleep(1)
        assert handler.cancelled == []
        stage.network.heal()
        await b.until(lambda: len(handler.cancelled) == 6)
        await handler.stop()

    play(story)


def test_a_request_ends_with_the_session_of_a_peer_that_restarts() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b, handler = await serving(stage)
        asking = asyncio.ensure_future(a.manager.request("b", b"x"))
        await b.until(lambda: handler.begun == [b"x"])
        await stage.crash(b)
        await handler.stop()
        await stage.actor("b", clock=1.0)
        with pytest.raises(OutcomeUnknownError, match="it may have run"):
            async with asyncio.timeout(20):
                await asking

    play(story)


def test_an_answer_does_not_wait_for_the_logs_of_other_dests() -> None:
    """Seed 666 once: two nodes waited for each other's handlers, which waited for room in the logs of their process."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b", reach=["c"], max_message=10_000, process_log_size=10_000)
        c = await stage.actor("c")
        await b.manager.send("c", b"hello", confirm="received")
        stage.network.partition(["c"], ["a", "b"])
        await b.manager.send("c", bytes(10_000))
        full = asyncio.ensure_future(b.manager.send("c", b"waits for the first"))
        answers = await asyncio.gather(*(a.manager.request("b", bytes(1_000 + n), timeout=5.0) for n in range(5)))
        assert [len(answer) for answer in answers] == [1_000 + n for n in range(5)]
        assert not full.done()
        stage.network.heal()
        await full
        await c.until(lambda: [len(data) for data in c.got] == [5, 10_000, 19])

    play(story)


@pytest.mark.parametrize(("mine", "theirs"), [(1_000, 5_000), (5_000, 1_000)])
def test_an_answer_over_the_limit_of_either_side_is_an_error_and_no_silence(mine: int, theirs: int) -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], max_message=mine)
        b = await stage.actor("b", max_message=theirs)
        await b.stop_listening()
        serving = asyncio.ensure_future(b.manager.serve(lambda message: bytes(int(message.data))))
        assert await a.manager.request("b", b"1000", timeout=5.0) == bytes(1_000)
        with pytest.raises(RemoteError) as raised:
            await a.manager.request("b", b"1001", timeout=5.0)
        assert raised.value.kind == "MessageTooLargeError"
        serving.cancel()
        await asyncio.wait([serving])

    play(story)
