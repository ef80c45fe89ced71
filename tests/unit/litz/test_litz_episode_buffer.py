"""Episodes in a loop (`litz.episode_buffer`), on virtual time: what producers do. Also `litz.episodes.core`,
`litz.episodes.checks`, `litz.episodes.errors`, `litz.episodes.keys`, `litz.episodes.options`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from litz.episode_buffer import EpisodeBuffer
from litz.episodes import (
    Behind,
    EpisodeEndedError,
    EpisodeGoneError,
    EpisodeKey,
    EpisodeLimitError,
    EpisodeOptions,
    EpisodeOverError,
    EpisodeStateError,
    EpisodeSupersededError,
    EpisodeTrimmedError,
    Gap,
    Limit,
    Part,
    PartTooLargeError,
    Why,
)
from litz.testing import SimLoop
from tests.unit.litz_episodes.stories import KEY, filled, numbers, rest, simulate


def test_parts_come_once_in_order_with_role_and_data_and_the_end_is_plain_only_when_complete() -> None:
    async def story(loop: SimLoop) -> None:
        async with EpisodeBuffer() as buffer:
            buffer.create(KEY)
            assert [buffer.append(KEY, b"why?", role="user"), buffer.append(KEY, bytearray(b"so"), number=2)] == [1, 2]
            late = asyncio.ensure_future(rest(buffer.subscribe(KEY)))
            await asyncio.sleep(1)
            thing = {"no": "bytes"}
            buffer.append(KEY, thing, size=100)
            assert buffer.close(KEY).complete
            got = await late
            assert got == [Part(1, b"why?", "user"), Part(2, b"so"), Part(3, thing)]
            assert got[2].data is thing and type(got[1].data) is bytes
            assert await numbers(buffer.subscribe(KEY, after=2)) == [3]

            failed = EpisodeKey("other")
            buffer.create(failed)
            buffer.append(failed, b"half")
            buffer.close(failed, Why.FAILED, "out of tokens")
            parts = buffer.subscribe(failed)
            assert await anext(parts) == Part(1, b"half")
            for _ in range(2):  # it is raised again each time
                with pytest.raises(EpisodeEndedError, match=r"its producer failed: out of tokens") as caught:
                    await anext(parts)
                assert (caught.value.end.why, caught.value.cursor) == (Why.FAILED, 1)

    simulate(story)


def test_a_producer_that_does_something_wrong_is_told_what() -> None:
    async def story(loop: SimLoop) -> None:
        async with EpisodeBuffer() as buffer:
            with pytest.raises(EpisodeStateError, match="not created"):
                buffer.append(KEY, b"x")
            with pytest.raises(EpisodeStateError, match="not created"):
                buffer.snapshot(KEY)
            with pytest.raises(EpisodeStateError, match="not created"):
                buffer.commit(KEY, 1)
            buffer.create(KEY)
            with pytest.raises(EpisodeStateError, match="exists already"):
                buffer.create(KEY)
            with pytest.raises(EpisodeStateError, match=r"the next part of episode answer/0\.0 is 1, not 2"):
                buffer.append(KEY, b"x", number=2)
            with pytest.raises(EpisodeStateError, match="has 0 parts; 1 cannot be stored"):
                buffer.commit(KEY, 1)
            with pytest.raises(TypeError, match="needs its size"):
                buffer.append(KEY, "text")
            with pytest.raises(ValueError, match="cannot have the size 7"):
                buffer.append(KEY, b"x", size=7)
            with pytest.raises(ValueError, match="a role is"):
                buffer.append(KEY, b"x", role="r" * 65)
            with pytest.raises(ValueError, match="closed as COMPLETE, FAILED, CANCELLED"):
                buffer.close(KEY, Why.EVICTED)
            with pytest.raises(ValueError, match="a cursor is"):
                buffer.subscribe(KEY, after=-1)
            buffer.close(KEY, Why.CANCELLED)
            for late in (lambda: buffer.append(KEY, b"x"), lambda: buffer.create(KEY)):
                with pytest.raises(EpisodeOverError, match="its producer was cancelled") as caught:
                    late()
                assert caught.value.end.why is Why.CANCELLED
            # The first reason wins.
            assert buffer.close(KEY, Why.COMPLETE).why is Why.CANCELLED
            assert buffer.sight()["parts"] == 0

    simulate(story)


@pytest.mark.parametrize(
    "arguments",
    [("",), ("a\n",), ("a" * 256,), ("\ud800",), ("a", -1), ("a", 0, 1 << 63), ("a", 1.5), (1,), ("a", True)],
)
def test_a_key_that_is_none_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        EpisodeKey(*arguments)


def test_keys_of_a_stream_are_ordered_by_version_then_attempt() -> None:
    keys = [EpisodeKey("a", version, attempt) for version in (0, 1) for attempt in (0, 1)]
    assert keys == sorted([keys[2], keys[0], keys[3], keys[1]]) and str(keys[1]) == "a/0.1"


@pytest.mark.parametrize(
    "bad",
    [
        {"max_part": 0},
        {"stall": None},
        {"retention": float("inf")},
        {"behind": "skip"},
        {"episode_size": 10},
        {"lag_size": 10},
        {"episode_parts": 1 << 30},
        {"retention": 1e6},
    ],
)
def test_options_that_cannot_be_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        EpisodeOptions(**bad)


def test_a_part_over_a_limit_is_refused_whole_and_smaller_ones_still_fit() -> None:
    async def story(loop: SimLoop) -> None:
        options = EpisodeOptions(max_part=6, episode_size=10, episode_parts=3, lag_size=10)
        async with EpisodeBuffer(options) as buffer:
            buffer.create(KEY)
            buffer.append(KEY, b"123456")
            with pytest.raises(PartTooLargeError) as caught:
                buffer.append(KEY, b"1234567")
            assert caught.value.limit is Limit.MAX_PART
            with pytest.raises(EpisodeLimitError, match="episode_size") as full:
                buffer.append(KEY, b"12345")
            assert full.value.limit is Limit.EPISODE_SIZE
            assert buffer.append(KEY, b"1234") == 2  # to the byte
            assert buffer.append(KEY, b"") == 3
            with pytest.raises(EpisodeLimitError) as full:
                buffer.append(KEY, b"")
            assert full.value.limit is Limit.EPISODE_PARTS
            # What is stored elsewhere makes room, but for a reader that has not read it.
            reader = buffer.subscribe(KEY, after=1)
            assert buffer.commit(KEY, 1) == 2
            assert buffer.append(KEY, b"123456") == 4
            with pytest.raises(EpisodeLimitError):
                buffer.append(KEY, b"1")
            assert buffer.snapshot(KEY).parts == (Part(2, b"1234"), Part(3, b""), Part(4, b"123456"))
            assert await anext(reader) == Part(2, b"1234")
            buffer.commit(KEY, 3)
            assert buffer.append(KEY, b"1") == 5
            assert buffer.snapshot(KEY).first == 4

    simulate(story)


def test_under_pressure_committed_parts_go_first_and_who_still_needed_them_is_told_the_first_there_is() -> None:
    async def story(loop: SimLoop) -> None:
        async with filled(3, episode_parts=3) as buffer:
            patient, hasty = buffer.subscribe(KEY), buffer.subscribe(KEY, behind=Behind.SKIP)
            assert buffer.commit(KEY, 2) == 1  # both still need them
            assert buffer.append(KEY, b"x") == 4
            with pytest.raises(EpisodeTrimmedError, match="the first one here is 3") as caught:
                await anext(patient)
            assert (caught.value.first, caught.value.cursor) == (3, 0)
            buffer.close(KEY)
            assert [item[:2] async for item in hasty] == [(1, 2), (3, b"x"), (4, b"x")]
            # A late one is told the same.
            with pytest.raises(EpisodeTrimmedError):
                await anext(buffer.subscribe(KEY, after=1))
            assert await rest(buffer.subscribe(KEY, after=1, behind=Behind.SKIP)) == [
                Gap(2, 2, Why.TRIMMED),
                Part(3, b"x"),
                Part(4, b"x"),
            ]
            assert await numbers(buffer.subscribe(KEY, after=2)) == [3, 4]

    simulate(story)


def test_the_last_reader_that_leaves_takes_with_it_what_was_committed() -> None:
    async def story(loop: SimLoop) -> None:
        async with filled(3) as buffer:
            reader = buffer.subscribe(KEY)
            buffer.commit(KEY, 3)
            assert buffer.sight()["parts"] == 3
            reader.cancel()
            assert (buffer.sight()["parts"], buffer.sight()["size"]) == (0, 0)
            assert buffer.append(KEY, b"x") == 4

    simulate(story)


def test_the_limits_of_all_evict_what_was_closed_first_and_nothing_open_without_policy() -> None:
    async def story(loop: SimLoop) -> None:
        keys = [EpisodeKey(name) for name in "abcde"]
        limits = EpisodeOptions(max_episodes=3, max_part=6, episode_size=10, max_size=12, lag_size=10)
        async with EpisodeBuffer(limits) as buffer:
            for key in keys[:3]:
                buffer.create(key)
                buffer.append(key, b"1234")
            with pytest.raises(EpisodeLimitError) as caught:
                buffer.create(keys[3])
            assert caught.value.limit is Limit.MAX_EPISODES
            with pytest.raises(EpisodeLimitError) as caught:
                buffer.append(keys[0], b"1")
            assert caught.value.limit is Limit.MAX_SIZE
            buffer.close(keys[1])
            buffer.close(keys[0])
            reader = buffer.subscribe(keys[1])
            buffer.append(keys[2], b"56")
            with pytest.raises(EpisodeGoneError, match="it made room for others") as gone:
                await rest(reader)
            assert gone.value.end.why is Why.EVICTED
            assert buffer.snapshot(keys[0]).last == 1  # closed later, so it stays
            with pytest.raises(EpisodeOverError):
                buffer.snapshot(keys[1])
            buffer.create(keys[3])
            buffer.create(EpisodeKey("f"))
            with pytest.raises(EpisodeOverError):
                buffer.snapshot(keys[0])
        async with EpisodeBuffer(replace(limits, evict_open=True)) as buffer:
            for key in keys[:4]:
                buffer.create(key)
            with pytest.raises(EpisodeOverError, match="made room"):
                buffer.append(keys[0], b"x")
            assert buffer.sight()["evicted"] == 1
            # Never the one that needs the room.
            buffer.append(keys[1], bytes(6))
            buffer.append(keys[2], bytes(6))
            assert buffer.append(keys[1], b"x") == 2
            with pytest.raises(EpisodeOverError, match="made room"):
                buffer.append(keys[2], b"x")

    simulate(story)


def test_what_would_not_fit_whatever_goes_evicts_nobody() -> None:
    async def story(loop: SimLoop) -> None:
        one, two, three = (EpisodeKey(name) for name in "abc")
        options = EpisodeOptions(max_part=6, episode_size=6, max_size=10, lag_size=6)
        async with EpisodeBuffer(options) as buffer:
            for key, size in ((one, 5), (two, 2), (three, 0)):
                buffer.create(key)
                buffer.append(key, bytes(size))
            buffer.close(two)
            with pytest.raises(EpisodeLimitError) as caught:
                buffer.append(three, bytes(6))
            assert caught.value.limit is Limit.MAX_SIZE
            assert buffer.snapshot(two).last == 1
            buffer.append(three, bytes(5))
            with pytest.raises(EpisodeOverError):
                buffer.snapshot(two)

    simulate(story)


def test_close_creates_a_closed_one_if_it_is_unknown_and_close_and_snapshot_is_one_step() -> None:
    async def story(loop: SimLoop) -> None:
        async with EpisodeBuffer() as buffer:
            early = asyncio.ensure_future(rest(buffer.subscribe(KEY)))
            await asyncio.sleep(1)
            taken = buffer.close_and_snapshot(KEY, Why.FAILED, "never began")
            assert (taken.parts, taken.first, taken.last) == ((), 1, 0)
            for reader in (early, rest(buffer.subscribe(KEY))):
                with pytest.raises(EpisodeEndedError, match="never began"):
                    await reader
            buffer.create(EpisodeKey("b"))
            buffer.append(EpisodeKey("b"), b"1")
            taken = buffer.close_and_snapshot(EpisodeKey("b"))
            assert taken.parts == (Part(1, b"1"),) and taken.end is not None and taken.end.complete

    simulate(story)


def test_a_newer_attempt_supersedes_the_older_ones() -> None:
    async def story(loop: SimLoop) -> None:
        async with EpisodeBuffer() as buffer:
            first, second, third = (EpisodeKey("a", 0, attempt) for attempt in range(3))
            buffer.create(first)
            buffer.append(first, b"1")
            live = buffer.subscribe(first)
            early = buffer.subscribe(second)
            assert await anext(live) == Part(1, b"1")
            waiting = asyncio.ensure_future(anext(live))
            buffer.create(third)
            for reader, old in ((waiting, first), (anext(early), second), (anext(buffer.subscribe(second)), second)):
                with pytest.raises(EpisodeSupersededError) as caught:
                    await reader
                assert (caught.value.newer, caught.value.key) == (third, old)
            with pytest.raises(EpisodeOverError, match=r"superseded by a/0\.2"):
                buffer.append(first, b"2")
            with pytest.raises(EpisodeOverError, match=r"superseded by a/0\.2"):
                buffer.create(second)
            # What there was of it can still be read; then the newest key is told.
            buffer.create(EpisodeKey("a", 1))
            parts = buffer.subscribe(first)
            assert await anext(parts) == Part(1, b"1")
            with pytest.raises(EpisodeSupersededError) as caught:
                await anext(parts)
            assert caught.value.newer == EpisodeKey("a", 1)
            # Another stream is another thing.
            buffer.create(EpisodeKey("b"))

    simulate(story)
