"""A consumer of keys that is killed again and again: what comes again, and what is acknowledged."""

from __future__ import annotations

import asyncio
import random

import pytest

from litz import Message, PayloadType
from litz.inbox import Inbox
from litz.order import PerKey
from litz.testing import SimLoop, run_simulation
from tests.unit.litz.inbox_lane import BULK, SIGNAL, Lane


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
