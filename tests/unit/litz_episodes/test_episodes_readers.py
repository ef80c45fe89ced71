"""Episodes on virtual time: who subscribes early, late or slowly, and what time does (`litz.episodes.readers`)."""

from __future__ import annotations

import asyncio

import pytest

from litz import ManagerStateError
from litz.episode_buffer import EpisodeBuffer
from litz.episodes import (
    Behind,
    BufferClosedError,
    EpisodeGoneError,
    EpisodeKey,
    EpisodeLimitError,
    EpisodeOptions,
    EpisodeOverError,
    Gap,
    Limit,
    Part,
    SlowSubscriberError,
    Why,
)
from litz.testing import SimLoop
from tests.unit.litz_episodes.stories import KEY, filled, numbers, rest, simulate, why


def test_subscribe_before_create_and_the_placeholder_goes_with_its_last_early_reader() -> None:
    async def story(loop: SimLoop) -> None:
        async with EpisodeBuffer(EpisodeOptions(max_placeholders=1)) as buffer:
            one, two = buffer.subscribe(KEY), buffer.subscribe(KEY)
            with pytest.raises(EpisodeLimitError) as caught:
                buffer.subscribe(EpisodeKey("b"))
            assert caught.value.limit is Limit.MAX_PLACEHOLDERS
            one.cancel()
            assert buffer.sight()["placeholders"] == 1
            two.cancel()
            two.cancel()
            assert (buffer.sight()["placeholders"], buffer.sight()["readers"]) == (0, 0)
            other = EpisodeKey("b")
            early = asyncio.ensure_future(numbers(buffer.subscribe(other)))
            await asyncio.sleep(10)
            buffer.create(other)
            assert buffer.sight()["placeholders"] == 0
            buffer.append(other, b"1")
            await asyncio.sleep(10)
            buffer.append(other, b"2")
            buffer.close(other)
            assert await early == [1, 2]

    simulate(story)


def test_who_waits_for_a_creation_that_does_not_come_is_told_in_time() -> None:
    async def story(loop: SimLoop) -> None:
        async with EpisodeBuffer(EpisodeOptions(early_wait=50.0)) as buffer:
            began = loop.time()
            with pytest.raises(EpisodeGoneError, match="not created in time"):
                await rest(buffer.subscribe(KEY))
            assert loop.time() - began == pytest.approx(50.0, abs=0.1)
            assert buffer.sight()["placeholders"] == 0

    simulate(story)


def test_a_closed_episode_is_kept_for_its_retention_then_a_tombstone_tells_what_it_was() -> None:
    async def story(loop: SimLoop) -> None:
        async with filled(2, retention=60.0, tombstones_kept=600.0, early_wait=5.0) as buffer:
            buffer.close(KEY)
            await asyncio.sleep(59)
            assert await numbers(buffer.subscribe(KEY)) == [1, 2]
            await asyncio.sleep(2)
            assert (buffer.sight()["episodes"], buffer.sight()["size"]) == (0, 0)
            with pytest.raises(EpisodeGoneError) as caught:
                await rest(buffer.subscribe(KEY, after=1))
            assert (caught.value.end.why, caught.value.end.last) == (Why.EXPIRED, 2)
            assert await rest(buffer.subscribe(KEY, after=2)) == []  # it has all, and is told that it was complete
            with pytest.raises(EpisodeGoneError, match="shorter than the cursor"):
                await rest(buffer.subscribe(KEY, after=3))
            with pytest.raises(EpisodeOverError):
                buffer.create(KEY)
            await asyncio.sleep(600)
            # Forgotten: a subscriber waits as for any unknown one.
            with pytest.raises(EpisodeGoneError, match="not created in time"):
                await rest(buffer.subscribe(KEY))

    simulate(story)


def test_who_reads_a_closed_episode_keeps_it_until_max_age_and_no_longer() -> None:
    async def story(loop: SimLoop) -> None:
        async with filled(1000, retention=10.0, max_age=100.0) as buffer:
            buffer.close(KEY)
            slow = buffer.subscribe(KEY)
            count = 0
            with pytest.raises(EpisodeGoneError) as caught:
                async for _ in slow:
                    count += 1
                    await asyncio.sleep(0.25)
            # 100 s of 4 parts each; what it had in hand then it still got.
            assert 400 <= count <= 400 + 256
            assert caught.value.end.why is Why.EXPIRED
            assert caught.value.cursor == count
            assert buffer.sight()["episodes"] == 0

    simulate(story)


def test_an_open_episode_ends_at_max_age_whatever_happens() -> None:
    async def story(loop: SimLoop) -> None:
        async with filled(1, max_age=100.0, retention=10.0) as buffer:
            live = asyncio.ensure_future(rest(buffer.subscribe(KEY)))
            await asyncio.sleep(99)
            buffer.append(KEY, b"x")
            await asyncio.sleep(2)
            with pytest.raises(EpisodeGoneError, match="as long as it may be kept"):
                await live
            with pytest.raises(EpisodeOverError):
                buffer.append(KEY, b"x")

    simulate(story)


def test_tombstones_are_bounded() -> None:
    async def story(loop: SimLoop) -> None:
        async with EpisodeBuffer(EpisodeOptions(max_tombstones=2, retention=1.0, early_wait=1.0)) as buffer:
            for name in "abc":
                buffer.close(EpisodeKey(name))
                await asyncio.sleep(2)
            assert buffer.sight()["tombstones"] == 2
            assert await rest(buffer.subscribe(EpisodeKey("b"))) == []
            with pytest.raises(EpisodeGoneError, match="not created"):
                await rest(buffer.subscribe(EpisodeKey("a")))

    simulate(story)


def test_readers_are_limited_per_episode_and_in_all() -> None:
    async def story(loop: SimLoop) -> None:
        async with filled(1, episode_readers=2, max_readers=3) as buffer:
            kept = [buffer.subscribe(KEY), buffer.subscribe(KEY)]
            with pytest.raises(EpisodeLimitError) as caught:
                buffer.subscribe(KEY)
            assert caught.value.limit is Limit.EPISODE_READERS
            kept.append(buffer.subscribe(EpisodeKey("b")))
            with pytest.raises(EpisodeLimitError) as caught:
                buffer.subscribe(EpisodeKey("c"))
            assert caught.value.limit is Limit.MAX_READERS
            kept[0].cancel()
            kept.append(buffer.subscribe(KEY))
            assert buffer.sight()["readers"] == 3

    simulate(story)


def test_closing_the_buffer_ends_every_reader_and_every_verb() -> None:
    async def story(loop: SimLoop) -> None:
        buffer = filled(3)
        live = buffer.subscribe(KEY, after=3)
        waiting = asyncio.ensure_future(anext(live))
        early = asyncio.ensure_future(rest(buffer.subscribe(EpisodeKey("b"))))
        behind = buffer.subscribe(KEY)
        told: list[str] = []
        behind.on_end(lambda end: told.append(end.why.name))
        await asyncio.sleep(0)
        await buffer.aclose()
        await buffer.aclose()
        assert told == ["CLOSED"]
        for reader in (waiting, early, anext(behind)):
            with pytest.raises(BufferClosedError, match="the buffer was closed"):
                await reader
        for verb in (buffer.create, buffer.subscribe, buffer.close, buffer.snapshot):
            with pytest.raises(ManagerStateError):
                verb(KEY)
        assert "closed, 0 episodes" in repr(buffer)

    simulate(story)


def test_slow_is_judged_by_lag_in_parts_and_in_bytes_exactly() -> None:
    async def story(loop: SimLoop) -> None:
        async with filled(100, lag_parts=10) as buffer:
            reader = buffer.subscribe(KEY)  # what was there before it joined is no lag
            for _ in range(10):
                buffer.append(KEY, b"x")
            assert why(reader) is None
            buffer.append(KEY, b"x")
            assert why(reader) is Why.SLOW
            with pytest.raises(SlowSubscriberError):
                await anext(reader)
        async with filled(0, lag_size=10, max_part=10, episode_size=1000) as buffer:
            reader, fast = buffer.subscribe(KEY), buffer.subscribe(KEY)
            buffer.append(KEY, b"1234567890")
            await anext(fast)
            assert why(reader) is None
            buffer.append(KEY, b"1")
            assert why(reader) is Why.SLOW
            assert why(fast) is None and buffer.sight()["slow"] == 1

    simulate(story)


def test_who_asked_to_skip_goes_on_with_the_newest_part_after_a_gap() -> None:
    async def story(loop: SimLoop) -> None:
        async with filled(5, lag_parts=10, behind=Behind.SKIP) as buffer:
            reader = buffer.subscribe(KEY)
            assert [(await anext(reader))[0] for _ in range(2)] == [1, 2]  # it holds 3 to 5 in its hand
            for _ in range(30):
                buffer.append(KEY, b"y")
            buffer.close(KEY)
            got = await rest(reader)
            assert [item[0] for item in got[:3]] == [3, 4, 5]
            gap = got[3]
            assert type(gap) is Gap and (gap.first, gap.why) == (6, Why.SLOW)
            assert [item[0] for item in got[4:]] == list(range(gap.last + 1, 36))
            assert reader.cursor == 35
            assert buffer.sight()["skipped"] >= 1

    simulate(story)


def test_slow_is_judged_by_time_from_the_first_part_that_was_not_taken() -> None:
    async def story(loop: SimLoop) -> None:
        async with filled(0, stall=30.0) as buffer:
            idle, skipping = buffer.subscribe(KEY), buffer.subscribe(KEY, behind=Behind.SKIP)
            await asyncio.sleep(1000)  # nothing to take: nobody is slow
            assert why(idle) is None
            buffer.append(KEY, b"1")
            buffer.append(KEY, b"2")
            await asyncio.sleep(29)
            assert why(idle) is None
            await asyncio.sleep(2)
            assert why(idle) is Why.SLOW
            assert await anext(skipping) == Gap(1, 1, Why.SLOW)
            assert await anext(skipping) == Part(2, b"2")

    simulate(story)


def test_who_takes_one_part_after_the_other_from_its_hand_has_not_stalled() -> None:
    async def story(loop: SimLoop) -> None:
        async with filled(300, stall=30.0) as buffer:
            reader = buffer.subscribe(KEY)
            async for part in reader:
                await asyncio.sleep(2)  # 256 of them in one batch: 512 s without a word to the buffer
                if part[0] == 299:
                    buffer.close(KEY)
            assert reader.cursor == 300

    simulate(story)


def test_a_reader_that_never_asks_for_the_end_finds_it_later() -> None:
    async def story(loop: SimLoop) -> None:
        async with filled(1, stall=10.0, retention=20.0) as buffer:
            reader = buffer.subscribe(KEY)
            await anext(reader)
            buffer.close(KEY)
            await asyncio.sleep(1000)
            assert buffer.sight()["readers"] == 0
            assert await rest(reader) == []

    simulate(story)
