"""A buffer of episodes as one would write it without a thought for speed: everything is a list, and is looked for again
each time. What `litz.episodes.core` is held against."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from litz.episodes import Behind, End, EpisodeKey, EpisodeOptions, Gap, Item, Limit, Part, Why


class RefusedError(Exception):
    """What the real one raises: its class by name, and the limit."""

    def __init__(self, kind: str, limit: Limit | None = None) -> None:
        super().__init__(kind, limit)
        self.kind = kind
        self.limit = limit


@dataclass(eq=False)
class Run:
    key: EpisodeKey
    created: float
    parts: list[tuple[Part, int, float]] = field(default_factory=list)
    """All there ever were, with size and time."""
    base: int = 0
    committed: int = 0
    end: End | None = None
    ended: float = 0.0
    stretched: bool = False
    """Somebody read it when its retention was over."""

    @property
    def head(self) -> int:
        return len(self.parts)

    @property
    def count(self) -> int:
        return self.head - self.base

    @property
    def size(self) -> int:
        return self.size_of(self.base, self.head)

    def size_of(self, after: int, upto: int) -> int:
        return sum(size for _, size, _ in self.parts[after:upto])


@dataclass(eq=False)
class Follower:
    key: EpisodeKey
    cursor: int
    behind: Behind
    began: float
    taken: float
    run: Run | None = None
    joined: int = 0
    gap: Gap | None = None
    end: End | None = None


@dataclass(frozen=True)
class Stone:
    key: EpisodeKey
    why: Why
    end: End | None
    last: int
    forget: float


class NaiveBuffer:
    def __init__(self, options: EpisodeOptions) -> None:
        self.options = options
        self.runs: list[Run] = []
        self.closed: list[Run] = []
        self.lingering: list[Run] = []
        self.stones: list[Stone] = []
        self.followers: list[Follower] = []
        self.newest: dict[str, EpisodeKey] = {}

    # -- producers ------------------------------------------------------------------------------------

    def run(self, key: EpisodeKey) -> Run | None:
        return next((run for run in self.runs if run.key == key), None)

    def create(self, now: float, key: EpisodeKey) -> None:
        run = self.run(key)
        if run is not None and run.end is None:
            raise RefusedError("EpisodeStateError")
        if self.end_of(key, 0) is not None:
            raise RefusedError("EpisodeOverError")
        self.begin(now, key)

    def begin(self, now: float, key: EpisodeKey) -> Run:
        if len(self.runs) >= self.options.max_episodes:
            victims = self.victims(None)
            if not victims:
                raise RefusedError("EpisodeLimitError", Limit.MAX_EPISODES)
            self.remove(now, victims[0], Why.EVICTED)
        run = Run(key, now)
        self.runs.append(run)
        self.newest[key.stream] = max(key, self.newest.get(key.stream, key))
        for other in list(self.runs):
            if other.key.stream == key.stream and other.end is None and other is not run:
                self.finish_run(now, other, End(Why.SUPERSEDED, other.head, newer=key))
        for follower in list(self.followers):
            if follower.run is None and follower.key.stream == key.stream and follower.key < key:
                self.leave(now, follower, End(Why.SUPERSEDED, newer=key))
            elif follower.run is None and follower.key == key:
                self.attach(now, follower, run)
        return run

    def append(self, now: float, key: EpisodeKey, data: bytes, number: int | None) -> int:
        run = self.run(key)
        if run is None:
            raise RefusedError("EpisodeStateError" if self.end_of(key, 0) is None else "EpisodeOverError")
        if run.end is not None:
            raise RefusedError("EpisodeOverError")
        if number is not None and number != run.head + 1:
            raise RefusedError("EpisodeStateError")
        size, options = len(data), self.options
        if size > options.max_part:
            raise RefusedError("PartTooLargeError", Limit.MAX_PART)
        if run.count + 1 > options.episode_parts or run.size + size > options.episode_size:
            self.trim(now, run, run.committed)
        if run.count + 1 > options.episode_parts:
            raise RefusedError("EpisodeLimitError", Limit.EPISODE_PARTS)
        if run.size + size > options.episode_size:
            raise RefusedError("EpisodeLimitError", Limit.EPISODE_SIZE)
        self.make_room(now, run, size)
        run.parts.append((Part(run.head + 1, data), size, now))
        for follower in list(self.followers):
            if follower.run is run and self.lags(follower, run):
                self.too_slow(now, follower)
        return run.head

    def make_room(self, now: float, run: Run, size: int) -> None:
        options = self.options
        held = [max(other.base, other.committed) if other in self.lingering else other.base for other in self.runs]
        stays = [
            (other.head - kept, other.size_of(kept, other.head))
            for other, kept in zip(self.runs, held, strict=True)
            if other not in self.victims(run)
        ]
        if sum(parts for parts, _ in stays) + 1 > options.max_parts:
            raise RefusedError("EpisodeLimitError", Limit.MAX_PARTS)
        if sum(each for _, each in stays) + size > options.max_size:
            raise RefusedError("EpisodeLimitError", Limit.MAX_SIZE)
        while (
            sum(each.count for each in self.runs) + 1 > options.max_parts
            or sum(each.size for each in self.runs) + size > options.max_size
        ):
            if self.lingering:
                self.trim(now, self.lingering[0], self.lingering[0].committed)
            else:
                self.remove(now, self.victims(run)[0], Why.EVICTED)

    def victims(self, but: Run | None) -> list[Run]:
        opened = [run for run in self.runs if run.end is None and run is not but] if self.options.evict_open else []
        return [*self.closed, *opened]

    def close(self, now: float, key: EpisodeKey, why: Why) -> End:
        run = self.run(key)
        if run is None:
            end = self.end_of(key, 0)
            if end is not None:
                return end
            run = self.begin(now, key)
        if run.end is None:
            self.finish_run(now, run, End(why, run.head))
        assert run.end is not None
        return run.end

    def finish_run(self, now: float, run: Run, end: End) -> None:
        run.end, run.ended = end, now
        self.closed.append(run)

    def commit(self, now: float, key: EpisodeKey, upto: int) -> int:
        run = self.run(key)
        if run is None:
            if self.end_of(key, 0) is None:
                raise RefusedError("EpisodeStateError")
            return upto + 1
        if upto > run.head:
            raise RefusedError("EpisodeStateError")
        if upto > run.committed:
            run.committed = upto
            self.trim(now, run, min([upto, *(each.cursor for each in self.followers if each.run is run)]))
        return run.base + 1

    def trim(self, now: float, run: Run, upto: int) -> None:
        run.base = max(run.base, upto)
        if run.base < run.committed:
            if run not in self.lingering:
                self.lingering.append(run)
        elif run in self.lingering:
            self.lingering.remove(run)
        for follower in list(self.followers):
            if follower.run is run:
                self.mind_the_gap(now, follower)

    def remove(self, now: float, run: Run, why: Why) -> None:
        self.runs.remove(run)
        for place in (self.closed, self.lingering):
            if run in place:
                place.remove(run)
        self.stones.append(Stone(run.key, why, run.end, run.head, now + self.options.tombstones_kept))
        if len(self.stones) > self.options.max_tombstones:
            del self.stones[0]
        for follower in list(self.followers):
            if follower.run is run:
                end = End(why, run.head)
                if run.end is not None and follower.cursor >= run.head and follower.gap is None:
                    end = self.met(run, follower.cursor)
                self.leave(now, follower, end)

    # -- subscribers ----------------------------------------------------------------------------------

    def subscribe(self, now: float, key: EpisodeKey, after: int, behind: Behind) -> Follower:
        options = self.options
        if len(self.followers) >= options.max_readers:
            raise RefusedError("EpisodeLimitError", Limit.MAX_READERS)
        follower = Follower(key, after, behind, now, now)
        run = self.run(key)
        same = [each for each in self.followers if each.key == key]
        if run is None:
            end = self.end_of(key, after)
            if end is not None:
                follower.end = end
                return follower
            early = {each.key for each in self.followers if each.run is None}
            if key not in early and len(early) >= options.max_placeholders:
                raise RefusedError("EpisodeLimitError", Limit.MAX_PLACEHOLDERS)
        if len(same) >= options.episode_readers:
            raise RefusedError("EpisodeLimitError", Limit.EPISODE_READERS)
        self.followers.append(follower)
        if run is not None:
            self.attach(now, follower, run)
        return follower

    def attach(self, now: float, follower: Follower, run: Run) -> None:
        follower.run, follower.joined, follower.taken = run, run.head, now
        self.mind_the_gap(now, follower)

    def take(self, now: float, follower: Follower, limit: int, size: int) -> list[Item]:
        run = follower.run
        if run is None:
            return []
        if follower.gap is not None:
            gap, follower.gap, follower.taken = follower.gap, None, now
            return [gap]
        batch: list[Item] = []
        for part, each, _ in run.parts[follower.cursor :]:
            if len(batch) == limit or (batch and each > size):
                break
            size -= each
            batch.append(part)
        if batch:
            follower.cursor += len(batch)
            follower.taken = now
        elif run.end is not None:
            self.leave(now, follower, self.met(run, follower.cursor))
        return batch

    def cancel(self, now: float, follower: Follower) -> None:
        if follower.end is None:
            self.leave(now, follower, End(Why.LEFT, follower.cursor))

    def leave(self, now: float, follower: Follower, end: End) -> None:
        run = follower.run
        follower.end, follower.run, follower.gap = end, None, None
        self.followers.remove(follower)
        if run is not None and run in self.runs and not [each for each in self.followers if each.run is run]:
            self.trim(now, run, run.committed)
            if run.end is not None and now >= run.ended + self.options.retention:
                self.remove(now, run, Why.EXPIRED)

    def met(self, run: Run, cursor: int) -> End:
        assert run.end is not None
        if run.end.why is Why.SUPERSEDED:
            return replace(run.end, newer=self.newest[run.key.stream])
        return End(Why.BEYOND, run.end.last) if cursor > run.end.last else run.end

    def end_of(self, key: EpisodeKey, after: int) -> End | None:
        run = self.run(key)
        if run is not None:
            return self.met(run, after) if run.end is not None else None
        stone = next((stone for stone in self.stones if stone.key == key), None)
        if stone and stone.end and stone.end.why is not Why.SUPERSEDED and after >= stone.last:
            return End(Why.BEYOND, stone.last) if after > stone.last else stone.end
        newest = self.newest.get(key.stream, key)
        if newest > key:
            return End(Why.SUPERSEDED, stone.last if stone else 0, newer=newest)
        return End(stone.why, stone.last) if stone else None

    def mind_the_gap(self, now: float, follower: Follower) -> None:
        run = follower.run
        if run is not None and follower.cursor < run.base:
            if follower.behind is Behind.SKIP:
                self.skip(follower, run.base, Why.TRIMMED)
            else:
                self.leave(now, follower, End(Why.TRIMMED, run.head, first=run.base + 1))

    def lags(self, follower: Follower, run: Run) -> bool:
        since = max(follower.cursor, follower.joined)
        unread = run.size_of(since, run.head)
        return run.head - since > self.options.lag_parts or unread > self.options.lag_size

    def too_slow(self, now: float, follower: Follower) -> None:
        run = follower.run
        assert run is not None
        if follower.behind is Behind.SKIP and run.end is None:
            cursor = max(follower.cursor, run.head - 1)
            if cursor > follower.cursor:
                self.skip(follower, cursor, Why.SLOW)
            follower.taken = now
        else:
            self.leave(now, follower, End(Why.SLOW, run.head))

    def skip(self, follower: Follower, cursor: int, why: Why) -> None:
        first = follower.cursor + 1
        if follower.gap is not None:
            first, why = follower.gap.first, follower.gap.why
        follower.gap = Gap(first, cursor, why)
        follower.cursor = cursor

    # -- time -----------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        while True:
            due = [(self.due_of_follower(each), each) for each in self.followers]
            ages = [(self.due_of_run(run), run) for run in self.runs]
            first = min((at for at, _ in [*due, *ages]), default=now + 1)
            if first > now:
                break
            for at, run in ages:
                if at == first:
                    if now < run.created + self.options.max_age and any(each.run is run for each in self.followers):
                        run.stretched = True
                    else:
                        self.remove(now, run, Why.EXPIRED)
            for at, follower in due:
                if at == first and follower.end is None:
                    self.judge(now, follower)
        self.stones = [stone for stone in self.stones if stone.forget > now]

    def judge(self, now: float, follower: Follower) -> None:
        run = follower.run
        if run is None:
            self.leave(now, follower, End(Why.UNKNOWN))
        elif follower.cursor >= run.head and follower.gap is None:
            self.leave(now, follower, self.met(run, follower.cursor))
        else:
            self.too_slow(now, follower)

    def due_of_run(self, run: Run) -> float:
        oldest = run.created + self.options.max_age
        return oldest if run.end is None or run.stretched else min(oldest, run.ended + self.options.retention)

    def due_of_follower(self, follower: Follower) -> float:
        run, stall = follower.run, self.options.stall
        if run is None:
            return follower.began + self.options.early_wait
        since = follower.taken
        if follower.cursor < run.head:
            since = max(since, run.parts[follower.cursor][2])
        elif run.end is not None:
            since = max(since, run.ended)
        elif follower.gap is None:
            return float("inf")
        return since + stall

    def tidy(self) -> None:
        """A stream of which nothing is known any more is forgotten."""
        early = {each.key.stream for each in self.followers if each.run is None}
        known = {run.key.stream for run in self.runs} | {stone.key.stream for stone in self.stones} | early
        self.newest = {stream: key for stream, key in self.newest.items() if stream in known}
