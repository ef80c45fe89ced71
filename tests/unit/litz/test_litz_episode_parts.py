"""One subscriber (`litz.episode_parts`): steps, batches, cancels, and a thousand of them at once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from litz.episode_buffer import EpisodeBuffer
from litz.episodes import (
    BufferClosedError,
    EpisodeEndedError,
    EpisodeKey,
    EpisodeOptions,
    EpisodeSupersededError,
    Part,
    Why,
)
from litz.errors import ConsumerConflictError
from litz.testing import SimLoop, run_simulation

KEY = EpisodeKey("answer")


def test_a_thousand_subscribers_at_random_points_see_each_part_once_and_their_end() -> None:
    count, subscribers = 10_000, 1_000

    async def read(buffer: EpisodeBuffer, rng: Random, sent: list[Part], each: bool) -> str:
        after = rng.choice((0, rng.randrange(count)))
        seen = after
        async with buffer.subscribe(KEY, after=after) as parts:
            try:
                while True:
                    if each:
                        part = await anext(parts)
                        assert part is sent[seen]
                        seen += 1
                    else:
                        batch = await parts.batch(rng.randint(1, 4096), 1 << 20)
                        assert batch == sent[seen : seen + len(batch)]
                        seen += len(batch)
                    if rng.random() < 0.01:
                        await asyncio.sleep(rng.random())
            except StopAsyncIteration:
                raise AssertionError("it was superseded, not complete") from None
            except EpisodeSupersededError as error:
                assert (seen, error.cursor, parts.cursor, error.end.last) == (count, count, count, count)
                return error.newer.stream

    async def main(loop: SimLoop) -> None:
        rng = Random("a thousand")
        options = EpisodeOptions(lag_parts=count, stall=100.0)
        async with EpisodeBuffer(options) as buffer:
            joins = sorted(rng.randrange(-100, count + 100) for _ in range(subscribers))
            sent: list[Part] = []
            readers: list[asyncio.Task[str]] = []

            def join(upto: int) -> None:
                while joins and joins[0] <= upto:
                    joins.pop(0)
                    one = Random(len(readers))
                    readers.append(asyncio.ensure_future(read(buffer, one, sent, each=len(readers) % 16 == 0)))

            join(-1)
            await asyncio.sleep(1)
            buffer.create(KEY)
            for number in range(1, count + 1):
                sent.append(Part(number, b"%d" % number, "assistant"))
                buffer.append(KEY, sent[-1].data, role="assistant")
                sent[-1] = buffer._core._room.episodes[KEY].parts[-1]
                join(number)
                if rng.random() < 0.02:
                    await asyncio.sleep(rng.random())
            buffer.create(EpisodeKey("answer", 0, 1))
            join(count + 1000)
            assert set(await asyncio.gather(*readers)) == {"answer"}
            assert buffer.sight()["readers"] == 0

    run_simulation(main, seed=1, max_time=86_400.0)


def test_cancelling_a_step_at_any_moment_loses_and_doubles_nothing() -> None:
    async def main(loop: SimLoop) -> None:
        rng = Random("cancels")
        async with EpisodeBuffer() as buffer:
            got: list[int] = []
            cancelled = 0

            async def produce() -> None:
                for _ in range(300):
                    buffer.append(KEY, b"x")
                    for _ in range(rng.randrange(4)):
                        await asyncio.sleep(0)
                buffer.close(KEY)

            parts = buffer.subscribe(KEY)
            buffer.create(KEY)
            producer = asyncio.ensure_future(produce())
            while True:
                step = asyncio.ensure_future(anext(parts))
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
                step.cancel()
                try:
                    got.append((await step)[0])
                except asyncio.CancelledError:
                    cancelled += 1
                except StopAsyncIteration:
                    break
            await producer
            # A step that was done before the cancel has its part; one that was not took none.
            assert got == list(range(1, 301))
            assert cancelled > 10

    run_simulation(main, seed=3)


@pytest.mark.parametrize("step", range(6))
def test_cancelling_the_subscription_at_every_step_ends_it_and_frees_its_place(step: int) -> None:
    async def main(loop: SimLoop) -> None:
        async with EpisodeBuffer() as buffer:
            parts = buffer.subscribe(KEY)
            reader = asyncio.ensure_future(all_of(parts))
            append = partial(buffer.append, KEY, b"x")
            acts: list[Callable[[], object]] = [partial(buffer.create, KEY), append, append, partial(buffer.close, KEY)]
            for index, act in enumerate([list, *acts, list]):
                if index == step:
                    parts.cancel()
                    parts.cancel()
                act()
                await asyncio.sleep(0.1)
            if step < 5:
                with pytest.raises(BufferClosedError) as caught:
                    await reader
                assert caught.value.end.why is Why.LEFT
                assert caught.value.cursor == parts.cursor == max(0, step - 2)
            else:
                assert [part[0] for part in await reader] == [1, 2] and parts.cursor == 2
            assert (buffer.sight()["readers"], buffer.sight()["placeholders"]) == (0, 0)

    run_simulation(main, seed=step)


async def all_of(parts: Any) -> list[Any]:
    return [part async for part in parts]


def test_the_cursor_is_what_was_handed_out_not_what_was_taken_ahead() -> None:
    async def main(loop: SimLoop) -> None:
        async with EpisodeBuffer() as buffer:
            buffer.create(KEY)
            for _ in range(5):
                buffer.append(KEY, b"x")
            parts = buffer.subscribe(KEY, after=1)
            assert parts.cursor == 1
            assert ((await anext(parts))[0], parts.cursor) == (2, 2)
            assert ([part[0] for part in await parts.batch()], parts.cursor) == ([3, 4, 5], 5)
            again = buffer.subscribe(KEY)
            await anext(again)
            again.cancel()
            assert again.cursor == 1
            with pytest.raises(EpisodeEndedError):
                await anext(again)

    run_simulation(main, seed=1)


def test_one_task_at_a_time() -> None:
    async def main(loop: SimLoop) -> None:
        async with EpisodeBuffer() as buffer:
            parts = buffer.subscribe(KEY)
            waiting = asyncio.ensure_future(anext(parts))
            await asyncio.sleep(0)
            with pytest.raises(ConsumerConflictError, match="two tasks"):
                await anext(parts)
            buffer.create(KEY)
            buffer.append(KEY, b"x")
            assert (await waiting)[0] == 1

    run_simulation(main, seed=1)


def test_a_subscriber_in_a_loop_costs_its_producer_nothing_while_it_has_not_asked() -> None:
    async def main(loop: SimLoop) -> None:
        async with EpisodeBuffer() as buffer:
            buffer.create(KEY)
            parts = [buffer.subscribe(KEY) for _ in range(50)]
            before = loop.steps
            for _ in range(1000):
                buffer.append(KEY, b"x")
            await asyncio.sleep(0)
            assert loop.steps - before <= 2
            assert all(reader.end is None for reader in parts)

    run_simulation(main, seed=1)


def test_one_that_is_dropped_is_left_and_one_that_waits_is_held() -> None:
    async def main(loop: SimLoop) -> None:
        async with EpisodeBuffer() as buffer:
            buffer.create(KEY)
            buffer.append(KEY, b"1")
            async for _ in buffer.subscribe(KEY):
                break
            got: list[Part] = []

            async def read() -> None:
                got.extend(await buffer.subscribe(KEY, after=1).batch())  # type: ignore[arg-type]  # no gaps here

            loop.create_task(read()).add_done_callback(list)
            await asyncio.sleep(0.1)
            assert buffer.sight()["readers"] == 1
            gc.collect()
            buffer.append(KEY, b"2")
            await asyncio.sleep(0.1)
            assert got == [Part(2, b"2")]
            assert buffer.sight()["readers"] == 0

    run_simulation(main, seed=1)
