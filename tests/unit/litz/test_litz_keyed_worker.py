"""`serve(order=...)` on virtual time: order of each key, parallel keys, cumulative progress, and what comes again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from litz import Message, PayloadType
from litz.admission import Amount, Queue, Reject, SoftAllowSignal
from litz.errors import OrderBrokenError
from litz.inbox import Inbox
from litz.limiter import Limiter
from litz.message import Detail, Origin
from litz.order import Fifo, PerKey
from litz.testing import SimLoop, run_simulation

BULK = PayloadType.RPC_RELIABLE
SIGNAL = PayloadType.RPC_SIGNAL


class Lane:
    """One lane of one sender, and what was answered."""

    verified = True

    def __init__(self, inbox: Inbox, sender: str = "a", payload_type: PayloadType = BULK) -> None:
        self.sender = sender
        self.payload_type = payload_type
        self.queue = inbox.queue(sender, payload_type)
        self.next = 0
        self.answers: list[tuple[int, str]] = []

    def put(self, keys: str, *, request: bool = False, size: int = 10) -> None:
        """One batch: a message for each key."""
        messages = []
        for key in keys:
            detail = Detail(key=key, request_id=self.next if request else None)
            messages.append(Message((b"x" * size, self.next, self, detail)))
            self.next += 1
        self.queue.put(messages, size * len(keys))

    def origin(self, number: int) -> Origin:
        raise AssertionError("nobody asked")

    async def reply(self, message: Message, data: Any) -> None:
        self.answers.append((message.number, "reply"))

    async def fail(self, message: Message, error: BaseException) -> None:
        self.answers.append((message.number, type(error).__name__))


Handler = Callable[[Message], Awaitable[None]]


async def served(inbox: Inbox, handler: Handler, seconds: float, **options: Any) -> None:
    """Serve for so long, then cancel it."""
    serving = asyncio.get_running_loop().create_task(inbox.serve(handler, **options))
    await asyncio.sleep(seconds)
    serving.cancel()
    await asyncio.wait([serving])
    assert len(asyncio.all_tasks()) == 1
    if not serving.cancelled():
        await serving


async def left(inbox: Inbox, count: int) -> list[tuple[int, bool]]:
    """What the next consumer gets."""
    async with inbox.messages() as stream:
        return [(message.number, message.redelivered) for message in [await stream.__anext__() for _ in range(count)]]


def test_keys_run_in_parallel_and_each_in_order_and_acks_wait_for_the_slowest() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        done: list[tuple[float, int]] = []

        async def handler(message: Message) -> None:
            await asyncio.sleep(10 if message.key == "a" else 1)
            done.append((loop.time() - 1000, message.number))

        lane.put("abbc")
        lane.put("abc")
        await served(inbox, handler, 9.5, order=PerKey())
        assert [number for _, number in done] == [1, 3, 2, 6, 5], "b and c went on beside a"
        assert done[-1][0] == 3.0
        assert lane.queue.processed == 0
        assert await left(inbox, 2) == [(0, True), (4, False)]

    run_simulation(main, seed=1, shuffle=False)


@pytest.mark.parametrize(("options", "most"), [({"order": Fifo()}, 1), ({"order": PerKey(), "concurrency": 3}, 3)])
def test_no_more_than_that_many_run(options: dict[str, Any], most: int) -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        running: list[int] = []
        seen: list[int] = []

        async def handler(message: Message) -> None:
            running.append(message.number)
            seen.append(len(running))
            await asyncio.sleep(1)
            running.remove(message.number)

        lane.put("abcdef")
        await served(inbox, handler, 6.5, **options)
        assert max(seen) == most
        assert lane.queue.processed == 6

    run_simulation(main, seed=1)


def test_signals_go_before_what_has_not_begun_and_never_beside_their_key() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        bulk, signal = Lane(inbox), Lane(inbox, payload_type=SIGNAL)
        order: list[str] = []

        async def handler(message: Message) -> None:
            order.append(f"{message.payload_type.name[4:5]}{message.number}")
            if message.payload_type is BULK and message.number == 0:
                signal.put("ab")
            await asyncio.sleep(1)

        bulk.put("aaaa")
        await served(inbox, handler, 10, order=PerKey(messages=2))
        assert order == ["R0", "S1", "S0", "R1", "R2", "R3"], "the line of bulk was full, that of signals was not"

    run_simulation(main, seed=1, shuffle=False)


def test_no_more_is_taken_into_line_than_there_is_room_for() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        asked: list[int] = []

        def key(message: Message) -> str | None:
            asked.append(message.number)
            return message.key

        lane.put("abcdefgh")
        await served(inbox, lambda message: asyncio.sleep(100), 1, order=PerKey(key, messages=3))
        assert asked == [0, 1, 2, 3], "three in line, and one look ahead"
        assert await left(inbox, 8) == [(number, number < 3) for number in range(8)], "only what began is marked"

    run_simulation(main, seed=1)


def test_a_message_without_a_key_breaks_the_order_and_loses_nothing() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane, other = Lane(inbox), Lane(inbox, "b")
        got: list[int] = []

        def key(message: Message) -> Any:
            return [] if message.key == "c" else message.key

        async def handler(message: Message) -> None:
            await asyncio.sleep(message.key == "a")
            got.append(message.number)

        lane.put("ab")
        lane.put("bcb" * 20)
        other.put("a")
        with pytest.raises(OrderBrokenError, match="no key") as broken:
            await served(inbox, handler, 1, order=PerKey(key))
        assert isinstance(broken.value.__cause__, TypeError)
        rest = await left(inbox, 63 - len(got))
        assert sorted([*got, *(number for number, _ in rest)]) == sorted([*range(62), 0])
        assert 3 not in got, "what has no key never runs, nor what is behind it"

    run_simulation(main, seed=1)


def test_a_handler_that_somebody_cancelled_breaks_the_order_and_its_message_comes_again() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        begun: list[int] = []
        tasks: dict[int, asyncio.Task[Any] | None] = {}

        async def handler(message: Message) -> None:
            begun.append(message.number)
            tasks[message.number] = asyncio.current_task()
            await asyncio.sleep(message.number)

        lane.put("abcc")

        def cancel() -> None:
            task = tasks[2]
            assert task is not None
            task.cancel()

        loop.call_later(1.5, cancel)
        with pytest.raises(OrderBrokenError, match="cancelled from outside"):
            await served(inbox, handler, 10, order=PerKey())
        assert begun == [0, 1, 2], "nothing begins after that"
        assert await left(inbox, 2) == [(2, True), (3, False)]

    run_simulation(main, seed=1)


def test_what_is_dropped_while_it_waits_in_line_is_not_run() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        got: list[int] = []

        async def handler(message: Message) -> None:
            got.append(message.number)
            await asyncio.sleep(1)

        lane.put("aaa")
        loop.call_later(0.5, inbox.drop, "a")
        await served(inbox, handler, 5, order=PerKey())
        assert got == [0]
        assert (inbox.pending_bytes, lane.queue.pending) == (0, 0)

    run_simulation(main, seed=1)


def test_a_request_that_is_refused_is_answered_and_a_message_breaks_the_order() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lane = Lane(inbox)
        limiter = Limiter(Reject(Amount(1)), name="orders")
        lane.put("abc", request=True)
        await served(inbox, lambda message: asyncio.sleep(1), 2, order=PerKey(), admission=limiter)
        assert sorted(lane.answers) == [(0, "reply"), (1, "AdmissionRefusedError"), (2, "AdmissionRefusedError")]
        lane.put("ab")
        with pytest.raises(OrderBrokenError, match="may not be dropped"):
            await served(inbox, lambda message: asyncio.sleep(1), 2, order=PerKey(), admission=limiter)
        assert await left(inbox, 2) == [(3, True), (4, False)]
        assert limiter.used == Amount(0, 0)

    run_simulation(main, seed=1)


def test_all_senders_share_the_permits_and_the_signal_squeezes_the_inbox() -> None:
    async def main(loop: SimLoop) -> None:
        inbox = Inbox()
        lanes = [Lane(inbox, name) for name in "abcd"]
        limiter = Limiter(SoftAllowSignal(Amount(2, 1000), Amount(3, 1000), low=Amount(1, 1000)))
        queue = Limiter(Queue(Amount(3, 25)))
        squeezed: list[bool] = []

        async def handler(message: Message) -> None:
            with limiter.try_acquire() or pytest.fail("the queue lets in two of ten bytes"):
                await asyncio.sleep(1)
            squeezed.append(inbox.squeezed)

        for lane in lanes:
            lane.put("a")
        await served(inbox, handler, 5, order=Fifo(), admission=queue)
        assert squeezed == [False] * 4
        for lane in lanes[:3]:
            lane.put("a")
        serving = loop.create_task(inbox.serve(lambda message: asyncio.sleep(1), order=Fifo(), admission=limiter))
        await asyncio.sleep(0.5)
        squeezed.append(inbox.squeezed)
        await asyncio.sleep(1)
        squeezed.append(inbox.squeezed)
        for lane in lanes[:3]:
            lane.put("a")
        await asyncio.sleep(0.5)
        squeezed.append(inbox.squeezed)
        serving.cancel()
        await asyncio.wait([serving])
        squeezed.append(inbox.squeezed)
        assert squeezed[4:] == [True, False, True, False], "who leaves takes the squeeze with it"

    run_simulation(main, seed=1)


@pytest.mark.parametrize("wrong", [{"order": Fifo(), "concurrency": 2}, {"admission": Limiter(Reject(Amount(1)))}])
def test_what_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    async def main(loop: SimLoop) -> None:
        with pytest.raises(ValueError, match="PerKey"):
            await Inbox().serve(lambda message: None, **wrong)
        with pytest.raises(TypeError):
            await Inbox().serve(lambda message: None, order="key")  # type: ignore[arg-type]  # on purpose

    run_simulation(main, seed=1)


class Kills:
    """A consumer that is killed again and again while senders put; every law of order and redelivery is judged."""

    def __init__(self, loop: SimLoop, seed: int) -> None:
        self.loop = loop
        self.chance = random.Random(seed)
        self.inbox = Inbox()
        types = (BULK, PayloadType.STREAM_RELIABLE, SIGNAL)
        self.lanes = [Lane(self.inbox, sender, kind) for sender in "ab" for kind in types]
        self.begun: dict[tuple[Lane, int], int] = {}
        self.finished: dict[Lane, list[int]] = {lane: [] for lane in self.lanes}
        self.keys: dict[tuple[Lane, str], list[int]] = {}
        self.running: dict[tuple[str, str], int] = {}
        self.came_again = 0

    async def handle(self, message: Message) -> None:
        lane = message.source
        assert isinstance(lane, Lane)
        number, key = message.number, message.key
        assert key is not None
        assert number not in self.finished[lane], f"{message!r} was finished, and came again"
        assert message.redelivered == ((lane, number) in self.begun), f"{message!r} is marked wrongly"
        before = [other for other in self.keys[lane, key] if other < number]
        assert all(other in self.finished[lane] for other in before), f"{message!r} ran before {before}"
        assert (lane.sender, key) not in self.running, "two of a key at once"
        self.came_again += message.redelivered
        self.begun[lane, number] = 1
        self.running[lane.sender, key] = number
        try:
            if self.chance.random() < 0.7:
                await asyncio.sleep(self.chance.random() * 0.5)
            self.finished[lane].append(number)
        finally:
            del self.running[lane.sender, key]

    def judge(self) -> None:
        for lane in self.lanes:
            told = lane.queue.processed
            assert all(number in self.finished[lane] for number in range(told)), "an unfinished one was acknowledged"

    async def run(self) -> None:
        chance = self.chance
        order = PerKey(
            messages=chance.randrange(2, 20), key_messages=chance.randrange(1, 8), keys=chance.randrange(2, 9)
        )
        failures: list[BaseException] = []

        async def handler(message: Message) -> None:
            try:
                await self.handle(message)
            except AssertionError as error:
                failures.append(error)  # `serve` would only log it

        for _ in range(12):
            serving = self.loop.create_task(
                self.inbox.serve(
                    handler, order=order, concurrency=chance.randrange(1, 6), workers=chance.randrange(1, 3)
                )
            )
            for _ in range(chance.randrange(1, 20)):
                lane = chance.choice(self.lanes)
                keys = "".join(chance.choice("abcde") for _ in range(chance.randrange(1, 6)))
                for offset, key in enumerate(keys):
                    self.keys.setdefault((lane, key), []).append(lane.next + offset)
                lane.put(keys, size=chance.choice((1, 20_000)))
                await asyncio.sleep(chance.random() * 0.2)
                self.judge()
            serving.cancel()
            await asyncio.wait([serving])
            self.judge()
            assert not failures, failures[0]
        serving = self.loop.create_task(self.inbox.serve(handler, order=order))
        while any(lane.queue.pending for lane in self.lanes):  # noqa: ASYNC110  # on virtual time
            await asyncio.sleep(1)
        serving.cancel()
        await asyncio.wait([serving])
        assert not failures, failures[0]
        for lane in self.lanes:
            assert sorted(self.finished[lane]) == list(range(lane.next))
            assert lane.queue.processed == lane.next
        assert self.inbox.pending_bytes == 0


@pytest.mark.parametrize("seed", range(30))
def test_killed_again_and_again_it_skips_nothing_and_repeats_nothing_that_was_finished(seed: int) -> None:
    async def main(loop: SimLoop) -> int:
        kills = Kills(loop, seed)
        await kills.run()
        return kills.came_again

    assert run_simulation(main, seed=seed).value > 0, "no handler was hit by a kill"
