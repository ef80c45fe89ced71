"""A user of one subscriber: follows the stream from version to version, keeps its cursor, and is judged on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from litz.backoff import Backoff
from litz.episode_subscriber import RemoteParts, subscribe_remote
from litz.episodes import (
    Behind,
    EpisodeEndedError,
    EpisodeKey,
    EpisodeUnreachableError,
    Gap,
    Why,
)
from litz.errors import ConnectError, SessionEndedError, StreamRefusedError
from tests.simulation.episodes.invariants import EpisodeInvariantError
from tests.simulation.episodes.script import STREAM, part_of

if TYPE_CHECKING:
    from tests.simulation.episodes.world import Node, World

BACKOFF = Backoff(0.05, 2.0)
PUBLISHER = "pub"
IDLE = EpisodeKey("idle")


class Follower:
    """What its user keeps on disk is `key` and `cursor`; all else is of one life."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.key: EpisodeKey | None = EpisodeKey(STREAM, 0, 0)
        self.cursor = 0
        self.asked = 0
        """How often it has tried to subscribe again."""

    async def follow(self, node: Node) -> None:
        """One life, until it has everything, or is cancelled."""
        rng, hits = self.world.rng, self.world.hits
        while self.key is not None:
            behind = rng.choice(list(Behind))
            parts = subscribe_remote(
                node.manager,
                PUBLISHER,
                self.key,
                after=self.cursor,
                behind=behind,
                patience=1.5 if self.world.impatient else 1e6,
                backoff=BACKOFF,
                rng=rng,
            )
            try:
                async with parts:
                    await self._read(parts, behind, lambda: rng.random() < 0.01)
                    hits["left"] += 1
            except EpisodeEndedError as error:
                self._ended(error, behind)
            except EpisodeUnreachableError as error:
                hits["unreachable"] += 1
                if not self.world.impatient or error.cursor != parts.cursor:
                    raise EpisodeInvariantError("why", f"{self.name}: {error}") from error
            except StreamRefusedError as error:
                # Of a life that never had a word with the publisher.
                hits["refused"] += 1
                if not self.world.was_shut:
                    raise EpisodeInvariantError("why", f"{self.name}: {error}") from error
                await asyncio.sleep(rng.random() * 2)
            except (ConnectError, SessionEndedError) as error:
                raise EpisodeInvariantError("typed-errors", f"{self.name}: {error!r}") from error
            finally:
                self.asked += parts.attempts
                hits["subscribed again"] += parts.attempts

        await self._look_at_idle(node)

    async def _look_at_idle(self, node: Node) -> None:
        """Subscribe to what nobody ever creates, and leave: the publisher has no other news by which to notice."""
        try:
            async with (
                subscribe_remote(node.manager, PUBLISHER, IDLE, backoff=BACKOFF, rng=self.world.rng) as parts,
                asyncio.timeout(1.0),
            ):
                await anext(parts)
        except (TimeoutError, StreamRefusedError):
            self.world.hits["idle"] += 1

    async def _read(self, parts: RemoteParts, behind: Behind, leaves: Callable[[], bool]) -> None:
        rng, world = self.world.rng, self.world
        pace = world.pace_of(self)
        in_batches = rng.random() < 0.3
        while not leaves():
            try:
                items = await self._step(parts, in_batches)
            except StopAsyncIteration:
                self._complete(parts)
                return
            if items is None:
                if parts.cursor != self.cursor:
                    raise EpisodeInvariantError("once", f"{self.name}: a cancelled step moved the cursor")
                continue
            for item in items:
                self._take(item, behind)
            if parts.cursor != self.cursor:
                raise EpisodeInvariantError("once", f"{self.name} is at {self.cursor}, its cursor at {parts.cursor}")
            if pace and rng.random() < 0.3:
                await asyncio.sleep(rng.random() * pace)

    async def _step(self, parts: RemoteParts, in_batches: bool) -> list[Any] | None:
        """None: it was cancelled."""
        rng = self.world.rng
        if rng.random() < 0.9:
            return list(await parts.batch()) if in_batches else [await anext(parts)]
        try:
            async with asyncio.timeout(rng.random() * 0.5):
                return [await anext(parts)]
        except TimeoutError:
            self.world.hits["cancelled"] += 1
            return None

    def _take(self, item: Any, behind: Behind) -> None:
        assert self.key is not None
        if item[0] != self.cursor + 1:
            raise EpisodeInvariantError(
                "once", f"{self.name} has {self.cursor} of {self.key}, then came {item[:2]!r:.80}"
            )
        if isinstance(item, Gap):
            self.world.hits[f"gap: {item.why.name}"] += 1
            if behind is not Behind.SKIP or not self._may_miss(item.why, item.last):
                raise EpisodeInvariantError("once", f"{self.name} at {self.key}: {item}")
            self.cursor = item.last
            return
        if item != part_of(self.key, item[0], fat=self.world.narrow):
            raise EpisodeInvariantError("true", f"{self.name}: part {item[0]} of {self.key} is {item!r:.80}")
        self.cursor = item[0]
        self.world.delivered += 1

    def _may_miss(self, why: Why, upto: int) -> bool:
        assert self.key is not None
        if why is Why.SLOW:
            return self.world.narrow
        return why is Why.TRIMMED and upto <= self.world.committed.get(self.key, 0)

    def _complete(self, parts: RemoteParts) -> None:
        assert self.key is not None
        take = self.world.takes[self.key]
        if take.why is not Why.COMPLETE or self.cursor != take.parts:
            raise EpisodeInvariantError("typed", f"{self.name}: {self.key} is complete at {self.cursor}? {take}")
        self.world.hits["complete"] += 1
        self._next_version()

    def _next_version(self) -> None:
        """Often before there is one."""
        assert self.key is not None
        last = self.world.script[-1].key
        self.key = EpisodeKey(STREAM, self.key.version + 1, 0) if self.key.version < last.version else None
        self.cursor = 0

    def _ended(self, error: EpisodeEndedError, behind: Behind) -> None:
        world, end = self.world, error.end
        assert self.key is not None
        take = world.takes.get(self.key)
        world.hits[f"end: {end.why.name}"] += 1
        if error.cursor != self.cursor or error.key != self.key:
            raise EpisodeInvariantError("why", f"{self.name} is at {self.cursor} of {self.key}: {error}")
        match end.why:
            case Why.FAILED | Why.CANCELLED:
                right = take is not None and take.why is end.why and self.cursor == take.parts
                self.key, self.cursor = EpisodeKey(STREAM, self.key.version, self.key.attempt + 1), 0
            case Why.SUPERSEDED:
                newer = end.newer
                right = newer is not None and newer > self.key and newer in world.created
                assert newer is not None
                self.key, self.cursor = newer, 0
            case Why.SLOW:
                # Of an episode that is over there is nothing newer to skip to.
                over = take is not None and (take.why is not None or self.key != world.script[-1].key)
                right = world.narrow and (behind is Behind.FAIL or over)
            case Why.TRIMMED:
                right = self.cursor + 1 < end.first <= world.committed.get(self.key, 0) + 1 and behind is Behind.FAIL
                # It reads the others where they were stored.
                self.cursor = end.first - 1
            case Why.EXPIRED:
                right = world.forgetful and self.key in world.created
                if take is not None and take.why is Why.COMPLETE:
                    self._next_version()
                else:
                    self.key, self.cursor = EpisodeKey(STREAM, self.key.version, self.key.attempt + 1), 0
            case _:
                right = False
        if not right:
            raise EpisodeInvariantError("why", f"{self.name}: {error}; {take}")
