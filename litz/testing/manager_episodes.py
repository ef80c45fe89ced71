"""The manager contract of episodes: what one node publishes, late subscribers at another replay and follow live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any, Final

from litz.backoff import Backoff
from litz.episode_buffer import EpisodeBuffer
from litz.episode_publisher import publish
from litz.episode_subscriber import RemoteParts, subscribe_remote
from litz.episodes import (
    Behind,
    BufferClosedError,
    EpisodeEndedError,
    EpisodeGoneError,
    EpisodeKey,
    EpisodeOptions,
    EpisodeSupersededError,
    EpisodeTrimmedError,
    EpisodeUnreachableError,
    Gap,
    Part,
    SlowSubscriberError,
    Why,
)
from litz.errors import ConsumerConflictError, StreamRefusedError
from litz.stream_port import Refusal
from litz.testing.manager_case import Case, Check, end, expect

KEY: Final = EpisodeKey("answer", 3, 1)
MIB: Final = 1 << 20
LARGE: Final = 300_000
"""Bytes of a part that travels in many entries."""

PATIENT: Final = EpisodeOptions(early_wait=1e6, retention=1e6, max_age=1e6, stall=1e6)
"""Nothing in it happens for the sake of time."""


@asynccontextmanager
async def published(case: Case, options: EpisodeOptions = PATIENT) -> AsyncIterator[EpisodeBuffer]:
    """b publishes a buffer."""
    async with EpisodeBuffer(options) as buffer, publish(case.b, buffer):
        yield buffer


def subscribe(case: Case, key: EpisodeKey = KEY, **options: Any) -> RemoteParts:
    """a subscribes, and is quick to try again."""
    return subscribe_remote(case.a, case.to_b, key, backoff=Backoff(0.01, 0.1), rng=Random(1), **options)


async def rest(parts: RemoteParts) -> list[Any]:
    """All that still comes."""
    return [item async for item in parts]


async def rest_and_leave(parts: RemoteParts) -> list[Any]:
    """The same, by one who may be cancelled."""
    async with parts:
        return await rest(parts)


async def until(met: Callable[[], bool]) -> None:
    """Wait for `met`; the check as a whole has a deadline."""
    while not met():  # noqa: ASYNC110 - what is waited for is news of the other manager, seen from outside
        await asyncio.sleep(0.005)


def fill(buffer: EpisodeBuffer, count: int, key: EpisodeKey = KEY) -> None:
    """Append so many parts."""
    for _ in range(count):
        buffer.append(key, b"x" * 10, role="assistant")


async def late_subscribers_replay_and_then_follow_live(case: Case) -> None:
    async with published(case) as buffer, asyncio.TaskGroup() as group:
        readers = []
        sent: list[Part] = []
        for number in range(1, 61):
            if number % 20 == 1:
                readers.append(group.create_task(rest(subscribe(case))))
                await until(lambda: buffer.sight()["readers"] == len(readers))
            if number == 1:
                buffer.create(KEY)
            role = ("user", "assistant", "")[number % 3]
            data = bytes([number]) * (LARGE if number == 30 else number)
            buffer.append(KEY, data, role=role)
            sent.append(Part(number, data, role))
            if number % 7 == 0:
                await asyncio.sleep(0)
        buffer.close(KEY)
    for reader in readers:
        assert reader.result() == sent, "a subscriber did not get every part once, in order"


async def every_end_is_told_at_a_distance(case: Case) -> None:
    async with published(case, replace(PATIENT, early_wait=0.05)) as buffer:
        buffer.create(KEY)
        fill(buffer, 3)
        old = subscribe(case)
        assert (await anext(old))[0] == 1
        newer = EpisodeKey(KEY.stream, KEY.version, KEY.attempt + 5)
        buffer.create(newer)
        superseded = await expect(EpisodeSupersededError, rest(old), "of a superseded one")
        assert isinstance(superseded, EpisodeSupersededError)
        assert (superseded.newer, superseded.cursor) == (newer, 3)
        buffer.close(newer, Why.FAILED, "no more tokens")
        failed = await expect(EpisodeEndedError, rest(subscribe(case, newer)), "of a failed one")
        assert "no more tokens" in str(failed)
        await expect(EpisodeGoneError, rest(subscribe(case, EpisodeKey("nobody"))), "of one that never comes")
        done = EpisodeKey("done")
        buffer.create(done)
        fill(buffer, 4, done)
        buffer.close(done)
        buffer.commit(done, 2)
        trimmed = await expect(EpisodeTrimmedError, rest(subscribe(case, done)), "of parts that are stored elsewhere")
        assert isinstance(trimmed, EpisodeTrimmedError)
        parts = await rest(subscribe(case, done, after=trimmed.first - 1))
        assert [part.number for part in parts] == [3, 4]
        skipped = await rest(subscribe(case, done, behind=Behind.SKIP))
        assert skipped[0] == Gap(1, 2, Why.TRIMMED), skipped
        assert await rest(subscribe(case, done, after=4)) == [], "who has all is told that it is complete"
        await expect(EpisodeGoneError, rest(subscribe(case, done, after=5)), "of a cursor beyond the end")
    await until(lambda: buffer.sight()["readers"] == 0)


async def a_cursor_is_enough_to_go_on_in_another_life(case: Case) -> None:
    async with published(case) as buffer:
        buffer.create(KEY)
        fill(buffer, 700)
        got: list[int] = []
        for _ in range(3):
            async with subscribe(case, after=got[-1] if got else 0) as parts:
                got += [(await anext(parts))[0] for _ in range(100)]
                assert parts.cursor == got[-1], "what was taken ahead was counted as handed out"
            assert parts.cursor == got[-1], "leaving moved the cursor"
            await until(lambda: buffer.sight()["readers"] == 0)
        buffer.close(KEY)
        got += [part.number for part in await rest(subscribe(case, after=got[-1]))]
        assert got == list(range(1, 701))


async def a_subscriber_that_leaves_is_gone_at_the_publisher(case: Case) -> None:
    async with published(case) as buffer:
        waiting = asyncio.get_running_loop().create_task(rest_and_leave(subscribe(case)))
        await until(lambda: buffer.sight()["readers"] == 1)
        await end(waiting)
        await until(lambda: buffer.sight()["readers"] == 0)
        parts = subscribe(case)
        step = asyncio.ensure_future(anext(parts))
        await until(lambda: buffer.sight()["placeholders"] == 1)
        await expect(ConsumerConflictError, anext(parts), "a second task")
        parts.cancel()
        parts.cancel()
        left = await expect(BufferClosedError, step, "of one that was left")
        assert isinstance(left, BufferClosedError)
        assert left.end.why is Why.LEFT
        await until(lambda: buffer.sight()["placeholders"] == 0)


async def a_cancelled_step_loses_nothing(case: Case) -> None:
    async with published(case) as buffer:
        buffer.create(KEY)
        parts = subscribe(case)
        got: list[int] = []
        rng = Random(5)
        while len(got) < 200:
            if buffer.snapshot(KEY).last < len(got) + 3:
                fill(buffer, rng.randrange(4))
            step = asyncio.ensure_future(anext(parts))
            for _ in range(rng.randrange(12)):
                await asyncio.sleep(0)
            if rng.random() < 0.5 or not buffer.snapshot(KEY).last > len(got):
                step.cancel()
            await asyncio.wait([step])
            if not step.cancelled():
                got.append(step.result()[0])
        assert got == list(range(1, 201))
        parts.cancel()


async def a_subscriber_that_does_not_read_is_dropped_and_the_producer_never_waits(case: Case) -> None:
    options = replace(PATIENT, lag_parts=300, max_part=70_000, max_size=1 << 30, episode_size=1 << 29)
    async with published(case, options) as buffer:
        buffer.create(KEY)
        slow, fast = subscribe(case), subscribe(case)
        buffer.append(KEY, b"first")
        assert [(await anext(parts))[0] for parts in (slow, fast)] == [1, 1]
        count = 1
        while not buffer.sight().get("slow", 0):
            # The one window takes what it can, then only the log is there; who reads is never slow.
            buffer.append(KEY, bytes(60_000))
            count += 1
            assert (await anext(fast))[0] == count
            assert count < 5_000, "a subscriber that does not read was never judged"
        got = 1
        try:
            async for part in slow:
                got += 1
                assert part[0] == got
        except SlowSubscriberError as error:
            assert error.cursor == got < count
        else:
            raise AssertionError("it ended as if it were complete")
        # It can go on at its cursor.
        buffer.close(KEY)
        numbers = [part.number for part in await rest(subscribe(case, after=got))]
        assert numbers == list(range(got + 1, count + 1))
        fast.cancel()


async def who_asked_to_skip_gets_a_gap_and_the_newest(case: Case) -> None:
    options = replace(PATIENT, lag_parts=100, max_part=70_000, max_size=1 << 30, episode_size=1 << 29)
    async with published(case, options) as buffer:
        buffer.create(KEY)
        buffer.append(KEY, b"first")
        parts = subscribe(case, behind=Behind.SKIP)
        assert (await anext(parts))[0] == 1
        count = 1
        while not buffer.sight().get("skipped", 0):
            for _ in range(10):
                buffer.append(KEY, bytes(60_000))
            count += 10
            await asyncio.sleep(0.001)
            assert count < 20_000, "a subscriber that does not read was never judged"
        buffer.close(KEY)
        at, gaps = 1, 0
        for item in await rest(parts):
            assert item[0] == at + 1, f"after {at} came {item[:2]!r:.80}"
            at = item.last if isinstance(item, Gap) else item.number
            gaps += isinstance(item, Gap)
        assert at == count
        assert gaps >= 1


async def a_publisher_that_is_away_is_found_again_and_nothing_is_lost_or_doubled(case: Case) -> None:
    async with EpisodeBuffer(PATIENT) as buffer:
        buffer.create(KEY)
        reader = asyncio.ensure_future(rest(subscribe(case)))
        for _ in range(3):
            async with publish(case.b, buffer):
                await until(lambda: buffer.sight()["readers"] == 1)
                fill(buffer, 40)
                await asyncio.sleep(0.01)
                fill(buffer, 40)
            await until(lambda: buffer.sight()["readers"] == 0)
        async with publish(case.b, buffer):
            buffer.close(KEY)
            assert [part.number for part in await reader] == list(range(1, 241))


async def who_never_answers_is_given_up_and_can_be_asked_again(case: Case) -> None:
    async with EpisodeBuffer(PATIENT) as buffer:
        nobody = await expect(StreamRefusedError, rest(subscribe(case)), "where nobody publishes")
        assert isinstance(nobody, StreamRefusedError)
        assert nobody.why == Refusal.REFUSED
        async with publish(case.b, buffer, allow=lambda offer: offer.sender != case.to_a):
            no = await expect(StreamRefusedError, rest(subscribe(case)), "for whom it is not allowed")
            assert isinstance(no, StreamRefusedError)
            assert no.why == Refusal.REJECTED
        buffer.create(KEY)
        fill(buffer, 5)
        parts = subscribe(case, patience=0.05)
        async with publish(case.b, buffer):
            assert (await anext(parts))[0] == 1
        fill(buffer, 1)
        assert len(await parts.batch()) == 4
        lost = await expect(EpisodeUnreachableError, anext(parts), "of one that is gone for long")
        assert isinstance(lost, EpisodeUnreachableError)
        assert (lost.cursor, lost.dest) == (5, case.to_b)
        async with publish(case.b, buffer):
            buffer.close(KEY)
            assert [part.number for part in await rest(parts)] == [6]


async def limits_of_the_publisher_are_told_as_busy_and_waited_for(case: Case) -> None:
    options = replace(PATIENT, episode_readers=1)
    async with published(case, options) as buffer:
        buffer.create(KEY)
        fill(buffer, 3)
        first = buffer.subscribe(KEY)
        second = asyncio.ensure_future(rest(subscribe(case)))
        leaving = subscribe(case)
        step = asyncio.ensure_future(anext(leaving))
        await until(lambda: leaving.attempts > 0)
        leaving.cancel()
        await expect(BufferClosedError, step, "of one that was left while it waited for its turn")
        first.cancel()
        buffer.close(KEY)
        assert len(await second) == 3


async def one_node_has_a_limit_of_its_own(case: Case) -> None:
    async with EpisodeBuffer(PATIENT) as buffer, publish(case.b, buffer, per_peer=2):
        buffer.create(KEY)
        fill(buffer, 2)
        standing = [subscribe(case), subscribe(case)]
        for parts in standing:
            assert (await anext(parts))[0] == 1
        await expect(EpisodeUnreachableError, rest(subscribe(case, patience=0.05)), "of one too many")
        standing.pop().cancel()
        await until(lambda: buffer.sight()["readers"] == 1)
        buffer.close(KEY)
        for parts in (standing.pop(), subscribe(case)):
            assert (await rest(parts))[-1].number == 2


async def one_node_leaves_places_before_the_creation_to_others(case: Case) -> None:
    keys = [EpisodeKey(f"early {number}", 1, 1) for number in range(4)]
    options = replace(PATIENT, max_placeholders=3)
    async with EpisodeBuffer(options) as buffer, publish(case.b, buffer, early_per_peer=2):
        waiting = [asyncio.ensure_future(rest(subscribe(case, key))) for key in keys[:2]]
        await until(lambda: buffer.sight()["placeholders"] == 2)
        one_too_many = rest(subscribe(case, keys[2], patience=0.05))
        error = await expect(EpisodeUnreachableError, one_too_many, "of one too many that waits")
        assert "wait for a creation" in str(error.__cause__)
        buffer.subscribe(keys[3]).cancel()  # others find a place
        buffer.create(keys[0])  # who waits no more counts no more
        late = asyncio.ensure_future(rest(subscribe(case, keys[2])))
        await until(lambda: buffer.sight()["placeholders"] == 2)
        for key in keys[:3]:
            if key is not keys[0]:
                buffer.create(key)
            fill(buffer, 1, key)
            buffer.close(key)
        for parts in (*waiting, late):
            assert len(await parts) == 1


async def who_does_not_read_to_the_end_hears_that_it_was_slow(case: Case) -> None:
    # No window takes both parts, whatever it has grown to.
    options = replace(PATIENT, stall=0.05, max_part=5 * MIB, lag_size=16 * MIB)
    async with EpisodeBuffer(options) as buffer, publish(case.b, buffer) as publisher:
        buffer.create(KEY)
        buffer.append(KEY, b"first")
        parts = subscribe(case)
        assert (await anext(parts))[0] == 1
        assert publisher.standing == 1
        for _ in range(2):
            buffer.append(KEY, bytes(5 * MIB))
        buffer.close(KEY)
        # Its stream is gone too, although it still does not read.
        await until(lambda: not publisher.standing)
        slow = await expect(SlowSubscriberError, rest(parts), "of one that did not read")
        assert isinstance(slow, SlowSubscriberError)
        assert slow.cursor == parts.cursor < 3


async def closing_the_buffer_ends_subscribers_typed(case: Case) -> None:
    async with published(case) as buffer:
        buffer.create(KEY)
        fill(buffer, 3)
        reader = asyncio.ensure_future(rest(subscribe(case)))
        await until(lambda: buffer.sight()["readers"] == 1)
        await buffer.aclose()
        closed = await expect(BufferClosedError, reader, "of a buffer that was closed")
        assert isinstance(closed, BufferClosedError)
        assert closed.end.why is Why.CLOSED
        await expect(BufferClosedError, rest(subscribe(case)), "of a buffer that is closed")


EPISODE_CHECKS: Final[tuple[Check, ...]] = (
    late_subscribers_replay_and_then_follow_live,
    every_end_is_told_at_a_distance,
    a_cursor_is_enough_to_go_on_in_another_life,
    a_subscriber_that_leaves_is_gone_at_the_publisher,
    a_cancelled_step_loses_nothing,
    a_subscriber_that_does_not_read_is_dropped_and_the_producer_never_waits,
    who_asked_to_skip_gets_a_gap_and_the_newest,
    a_publisher_that_is_away_is_found_again_and_nothing_is_lost_or_doubled,
    who_never_answers_is_given_up_and_can_be_asked_again,
    limits_of_the_publisher_are_told_as_busy_and_waited_for,
    one_node_has_a_limit_of_its_own,
    one_node_leaves_places_before_the_creation_to_others,
    who_does_not_read_to_the_end_hears_that_it_was_slow,
    closing_the_buffer_ends_subscribers_typed,
)
"""All checks of episodes between two managers."""
