"""Random walks of the core (`litz.episodes.core`, `litz.episodes.readers`, `litz.episodes.room`, `litz.episodes.pace`,
`litz.episodes.lineage`, `litz.episodes.deadlines`, `litz.episodes.episode`, `litz.episodes.reader`) beside a naive
model: after every step both have said the same."""

from __future__ import annotations

from collections import Counter
from math import inf
from random import Random
from typing import Any

import pytest

from litz.episodes import (
    Behind,
    EpisodeCore,
    EpisodeKey,
    EpisodeLimitError,
    EpisodeOptions,
    EpisodeOverError,
    EpisodeStateError,
    Reader,
    Why,
)
from tests.unit.litz_episodes.naive_model import Follower, NaiveBuffer, RefusedError

STEPS = 250
WALKS = 120


def options(rng: Random) -> EpisodeOptions:
    """Small ones, so that each limit is reached; times that are no multiples of each other."""
    max_part = rng.randint(4, 12)
    episode_size = rng.randint(max_part, 60)
    episode_parts = rng.randint(3, 14)
    return EpisodeOptions(
        max_episodes=rng.randint(2, 6),
        max_parts=rng.randint(episode_parts, 30),
        max_size=rng.randint(episode_size, 120),
        episode_parts=episode_parts,
        episode_size=episode_size,
        max_part=max_part,
        max_readers=rng.randint(3, 14),
        episode_readers=rng.randint(2, 8),
        max_placeholders=rng.randint(1, 3),
        max_tombstones=rng.randint(1, 6),
        tombstones_kept=rng.uniform(1.0, 40.0),
        retention=rng.uniform(1.0, 10.0),
        max_age=rng.uniform(10.0, 60.0),
        early_wait=rng.uniform(1.0, 20.0),
        lag_parts=rng.randint(1, 8),
        lag_size=rng.randint(max_part, 40),
        stall=rng.uniform(1.0, 15.0),
        behind=rng.choice(list(Behind)),
        evict_open=rng.random() < 0.3,
    )


class Walk:
    def __init__(self, seed: int) -> None:
        self.rng = Random(f"episodes {seed}")
        self.options = options(self.rng)
        self.core = EpisodeCore(self.options)
        self.model = NaiveBuffer(self.options)
        self.pairs: list[tuple[Reader, Follower, list[Any]]] = []
        self.now = 100.0
        self.hits: Counter[str] = Counter()

    def key(self) -> EpisodeKey:
        rng = self.rng
        return EpisodeKey(rng.choice("ab"), rng.choice((0, 0, 1)), rng.randint(0, 4))

    def open_key(self) -> EpisodeKey:
        keys = [run.key for run in self.model.runs if run.end is None or self.rng.random() < 0.1]
        return self.rng.choice(keys) if keys and self.rng.random() < 0.95 else self.key()

    def both(self, verb: str, *arguments: Any, **more: Any) -> None:
        """The same to both, and the same from both."""
        try:
            wanted: Any = getattr(self.model, verb)(self.now, *arguments, *more.values())
        except RefusedError as error:
            wanted = error.kind, error.limit
        try:
            got: Any = getattr(self.core, verb)(self.now, *arguments, **more)
        except (EpisodeStateError, EpisodeOverError, EpisodeLimitError) as error:
            got = type(error).__name__, getattr(error, "limit", None)
            self.hits[f"{type(error).__name__} {getattr(error, 'limit', '')}"] += 1
        assert got == wanted, (verb, arguments, more)

    def step(self) -> None:
        rng = self.rng
        what = rng.choices(
            ("create", "append", "close", "commit", "subscribe", "take", "cancel", "time"), (4, 30, 3, 6, 8, 25, 2, 8)
        )[0]
        if what == "create":
            self.both("create", self.key())
        elif what == "append":
            number = rng.randint(1, 5) if rng.random() < 0.05 else None
            self.both("append", self.open_key(), bytes(rng.randint(0, self.options.max_part + 1)), number=number)
        elif what == "close":
            key = self.open_key() if rng.random() < 0.7 else self.key()
            self.both("close", key, rng.choice((Why.COMPLETE, Why.FAILED)))
        elif what == "commit":
            self.both("commit", self.open_key(), rng.randint(0, 12))
        elif what == "subscribe":
            self.subscribe()
        elif what == "time":
            self.pass_time(rng.choice((0.01, 1.0, 10.0)) * rng.random())
        elif self.pairs:
            reader, follower, seen = rng.choice(self.pairs)
            if what == "cancel":
                self.core.cancel(self.now, reader)
                self.model.cancel(self.now, follower)
            else:
                limit, size = rng.randint(1, 5), rng.randint(1, 30)
                got = self.core.take(self.now, reader, limit, size)
                assert got == self.model.take(self.now, follower, limit, size)
                seen += got
        self.now += rng.random() * 0.01

    def subscribe(self) -> None:
        key, after = self.open_key(), self.rng.choice((0, 0, 0, 1, 3, 20))
        behind = self.rng.choice(list(Behind))
        news: list[None] = []
        try:
            wanted: Any = self.model.subscribe(self.now, key, after, behind)
        except RefusedError as error:
            with pytest.raises(EpisodeLimitError) as caught:
                self.core.subscribe(self.now, key, after, lambda: None, behind)
            assert caught.value.limit is error.limit
            self.hits[str(error.limit)] += 1
            return
        reader = self.core.subscribe(self.now, key, after, lambda: news.append(None), behind)
        self.pairs.append((reader, wanted, [after]))

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.core.next_due()) <= until:
            self.now = max(self.now, due)
            self.core.tick(self.now)
            self.model.tick(self.now)
            self.compare()
        self.now = until

    def compare(self) -> None:
        self.model.tidy()
        for reader, follower, seen in self.pairs:
            assert (reader.cursor, reader.end) == (follower.cursor, follower.end), (reader.key, seen)
            if reader.end is not None:
                self.hits[f"end {reader.end.why.name}"] += 1
        for pair in [pair for pair in self.pairs if pair[0].end is not None]:
            self.pairs.remove(pair)
            check_order(pair[2])
        sight, model = self.core.sight(), self.model
        assert (sight["episodes"], sight["open"]) == (len(model.runs), len([run for run in model.runs if not run.end]))
        assert (sight["parts"], sight["size"]) == (sum(r.count for r in model.runs), sum(r.size for r in model.runs))
        assert (sight["readers"], sight["tombstones"]) == (len(model.followers), len(model.stones))
        assert sight["placeholders"] == len({each.key for each in model.followers if each.run is None})
        assert sight["parts"] <= self.options.max_parts and sight["size"] <= self.options.max_size
        for run in model.runs:
            snapshot = self.core.snapshot(run.key)
            assert snapshot.parts == tuple(part for part, _, _ in run.parts[run.base :])
            assert (snapshot.first, snapshot.last, snapshot.end) == (run.base + 1, run.head, run.end)

    def nothing_left(self) -> None:
        """All goes with time, and with it all memory."""
        for reader, follower, _ in self.pairs:
            self.core.cancel(self.now, reader)
            self.model.cancel(self.now, follower)
        self.pass_time(self.options.max_age + self.options.tombstones_kept + 1.0)
        assert self.core.next_due() == inf and len(self.core._lineage) == 0
        assert {name for name, count in self.core.sight().items() if count} <= set(self.core.counts)


def check_order(seen: list[Any]) -> None:
    """Numbers ascend by one from the cursor on, but for gaps, which say exactly what is missing."""
    at = seen[0]
    for item in seen[1:]:
        assert item[0] == at + 1
        at = item[1] if isinstance(item[1], int) else item[0]


@pytest.mark.limit(300)
def test_the_core_and_a_naive_model_say_the_same_after_every_step() -> None:
    hits: Counter[str] = Counter()
    for seed in range(WALKS):
        walk = Walk(seed)
        try:
            for _ in range(STEPS):
                walk.step()
                walk.compare()
            walk.nothing_left()
        except BaseException as error:
            error.add_note(f"walk {seed}")
            raise
        hits += walk.hits
    wanted = [f"end {why.name}" for why in Why if why not in (Why.CANCELLED, Why.CLOSED, Why.BUSY, Why.UNFIT)]
    wanted += [f"EpisodeLimitError Limit.{name}" for name in ("MAX_EPISODES", "MAX_PARTS", "MAX_SIZE")]
    wanted += [f"EpisodeLimitError Limit.{name}" for name in ("EPISODE_PARTS", "EPISODE_SIZE")]
    wanted += ["PartTooLargeError Limit.MAX_PART", "EpisodeStateError ", "EpisodeOverError "]
    wanted += [f"Limit.{name}" for name in ("MAX_READERS", "EPISODE_READERS", "MAX_PLACEHOLDERS")]
    print(sorted(hits.items()))
    assert [name for name in wanted if not hits[name]] == []


@pytest.mark.soak
@pytest.mark.limit(36_000)
def test_many_walks() -> None:
    for seed in range(WALKS, 20_000):
        walk = Walk(seed)
        for _ in range(STEPS):
            walk.step()
            walk.compare()
        walk.nothing_left()
