"""One publisher and its subscribers, whole managers on virtual time: wires break, nodes restart, readers are slow."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from litz.episode_buffer import EpisodeBuffer
from litz.episode_publisher import EpisodePublisher, publish
from litz.episodes import EpisodeKey, EpisodeOptions
from litz.errors import LitzError
from litz.testing import Nemesis, SimLoop, SimNetwork
from outproc.local_node import Environment
from outproc.manager import OutprocTransportManager
from outproc.options import TransportOptions
from tests.simulation.episodes.invariants import EpisodeInvariantError
from tests.simulation.episodes.script import part_of, write_script
from tests.simulation.episodes.subscriber import PUBLISHER, Follower

LONGEST = 500.0
"""Virtual seconds in which everything has arrived once the faults are over."""

WIRE_FAULTS = (
    "reset", "reset one side", "half open", "one-way loss", "remote close", "stall", "delay", "slow link", "partition",
    "one-way partition", "freeze", "lag", "dial: refuse",
)  # fmt: skip


@dataclass(slots=True)
class Node:
    """One life of one node."""

    manager: OutprocTransportManager
    stack: AsyncExitStack
    task: asyncio.Task[None] | None = None


class World:
    """Of one seed."""

    def __init__(self, loop: SimLoop, seed: int, trace: Callable[[str], None] | None) -> None:
        self.loop = loop
        self.rng = rng = Random(f"episodes {seed}")
        self._trace = trace
        self.network = SimNetwork(loop, seed=seed)
        self.network.default_link.latency = 0.01
        self.nemesis = Nemesis(self.network, seed=seed, longest=6.0)
        self.hits: Counter[str] = self.network.hits
        self.delivered = 0
        self.script = write_script(rng)
        self.takes = {take.key: take for take in self.script}
        self.created: set[EpisodeKey] = set()
        self.committed: dict[EpisodeKey, int] = {}
        self.narrow = seed % 3 == 1
        """Small limits for who is slow, and slow readers."""
        self.forgetful = seed % 4 == 3
        """Closed episodes are kept for a short time."""
        self.impatient = seed % 3 == 2
        self.followers = [Follower(self, f"s{number}") for number in range(rng.randint(1, 3))]
        self.nodes: dict[str, Node] = {}
        self.was_shut = False
        """There was a time in which nobody published."""
        self._done = 0
        """Takes that are produced; the producer keeps that on disk."""
        self._buffer: EpisodeBuffer
        self._publisher: EpisodePublisher
        self._lives = 0

    def note(self, text: str) -> None:
        self.loop.note(text)
        if self._trace is not None:
            self._trace(f"{self.loop.time():10.3f} {text}")

    # -- the run --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Faults, then peace, in which everything arrives; raises `EpisodeInvariantError`."""
        self._began = self.loop.time()
        await self._start_publisher()
        for follower in self.followers:
            await self._start_follower(follower)
        self.nemesis.add("restart", lambda: self._later(self._restart))
        self.nemesis.add("shut the door", lambda: self._later(self._close_and_open))
        self._chores: list[asyncio.Task[None]] = []
        weights = {**dict.fromkeys(WIRE_FAULTS, 1.0), "restart": 4.0, "shut the door": 3.0}
        try:
            await self.nemesis.run(self.rng.uniform(5.0, 40.0), every=self.rng.choice((0.3, 1.0, 3.0)), weights=weights)
            if self._chores:
                await asyncio.wait(self._chores)
                self._check(self._chores)
            await self._peace()
        finally:
            await self._end()

    def _later(self, chore: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """One at a time."""
        if self._chores and not self._chores[-1].done():
            return False
        self._chores.append(asyncio.ensure_future(chore()))
        return True

    async def _peace(self) -> None:
        self.note("peace")
        tasks = [node.task for node in self.nodes.values() if node.task is not None]
        _, left = await asyncio.wait(tasks, timeout=LONGEST)
        self._check(tasks)
        if left:
            where = [f"{each.name}: {each.cursor} of {each.key}" for each in self.followers if each.key is not None]
            raise EpisodeInvariantError("arrives", f"{'; '.join(where)}; {self._buffer!r}")
        self.hits["arrived"] += len(self.followers)
        lasted = self.loop.time() - self._began
        for follower in self.followers:
            if follower.asked > 40 + 4 * lasted:
                raise EpisodeInvariantError("calm", f"{follower.name}: {follower.asked} attempts in {lasted:.0f} s")
        until = self.loop.time() + 60.0
        while self._buffer.sight()["readers"]:  # those of IDLE, too
            if self.loop.time() > until:
                raise EpisodeInvariantError("left", f"all have finished, and here is {self._buffer!r}")
            await asyncio.sleep(0.5)

    def _check(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _end(self) -> None:
        for task in self._chores:
            task.cancel()
        if self._chores:
            await asyncio.wait(self._chores)
        # Nobody is judged any more: that the publisher goes is no news of its subscribers.
        tasks = [node.task for node in self.nodes.values() if node.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for node in self.nodes.values():
            await node.stack.aclose()

    # -- nodes ----------------------------------------------------------------------------------------

    def _manager(self, name: str) -> OutprocTransportManager:
        self._lives += 1
        host = self.network.host(name)
        started, rng = host.wall_time() + self._lives, Random(f"{name} {self.rng.random()}")
        where = {} if name == PUBLISHER else {PUBLISHER: [f"sim://{PUBLISHER}:1"]}
        return OutprocTransportManager(
            name,
            builders=[host.builder("sim", max_frame=[4_096, 64_000])],
            directory=where,
            environment=Environment(lambda: int(started * 1e9), rng.randbytes, rng),
            options=TransportOptions(ping_after=1.0, dead_after=1.0, session_kept=5.0, close_timeout=1.0),
        )

    async def _start_publisher(self) -> None:
        stack = AsyncExitStack()
        manager = await stack.enter_async_context(self._manager(PUBLISHER))
        await manager.listen(f"sim://{PUBLISHER}:1")
        self._buffer = await stack.enter_async_context(EpisodeBuffer(self._options()))
        self._publisher = publish(manager, self._buffer)
        self._publisher.start()
        self.nodes[PUBLISHER] = Node(manager, stack, asyncio.ensure_future(self._produce(self._buffer)))

    def _options(self) -> EpisodeOptions:
        lag = {"lag_parts": 8, "stall": 4.0} if self.narrow else {"lag_parts": 1 << 20, "stall": 1e6}
        kept = 0.5 if self.forgetful else 1e6
        return EpisodeOptions(early_wait=1e6, retention=kept, max_age=1e6, tombstones_kept=1e6, lag_size=1 << 30, **lag)  # type: ignore[arg-type]  # the numbers fit

    async def _start_follower(self, follower: Follower) -> None:
        stack = AsyncExitStack()
        manager = await stack.enter_async_context(self._manager(follower.name))
        node = self.nodes[follower.name] = Node(manager, stack)
        node.task = asyncio.ensure_future(follower.follow(node))

    async def _stop(self, name: str, *, crash: bool) -> None:
        node = self.nodes.pop(name)
        if crash:
            self.network.host(name).crash(tell_peers=self.rng.random() < 0.5)
        if node.task is not None:
            if node.task.done():
                self._check([node.task])
            node.task.cancel()
            await asyncio.wait([node.task])
        await node.stack.aclose()

    def pace_of(self, follower: Follower) -> float:
        """Seconds that a reader rests between two parts, at most."""
        return self.rng.choice((0.0, 0.0, 0.3, 1.0)) if self.narrow else self.rng.choice((0.0, 0.0, 0.05))

    # -- the producer ---------------------------------------------------------------------------------

    async def _produce(self, buffer: EpisodeBuffer) -> None:
        """One life: begins anew what it had not finished, under the same key or as a further attempt."""
        rng = self.rng
        while self._done < len(self.script):
            take = self.script[self._done]
            if rng.random() < 0.5:
                await asyncio.sleep(rng.random() * 3)  # somebody waits for it
            self._do(partial(buffer.create, take.key))
            self.created.add(take.key)
            pause = rng.choice((0.0, 0.02, 0.3))
            for number in range(1, take.parts + 1):
                part = part_of(take.key, number, fat=self.narrow)
                self._do(partial(buffer.append, take.key, part.data, role=part.role))
                if rng.random() < 0.3:
                    await asyncio.sleep(rng.random() * pause)
                if rng.random() < 0.02:
                    self.committed[take.key] = max(self.committed.get(take.key, 0), number)
                    buffer.commit(take.key, number)
            if take.why is not None:
                buffer.close(take.key, take.why)
            self._done += 1
            await asyncio.sleep(rng.random() * 4)

    def _do(self, verb: Callable[[], object]) -> None:
        before = self.loop.steps
        try:
            verb()
        except LitzError as error:
            raise EpisodeInvariantError("producer", repr(error)) from error
        if self.loop.steps != before:
            raise EpisodeInvariantError("producer", "it waited")

    # -- faults ---------------------------------------------------------------------------------------

    async def _restart(self) -> None:
        """Of anybody. The publisher's buffer goes with it."""
        name = self.rng.choice(list(self.nodes))
        crash = self.rng.random() < 0.7
        self.note(f"restart {name}{' by a crash' if crash else ''}")
        self.hits[f"restart: {'publisher' if name == PUBLISHER else 'subscriber'}"] += 1
        if name == PUBLISHER:
            self.was_shut = True
            if not crash:
                await self._publisher.aclose()
            # The last one is produced again: who has not read all of it would wait for ever.
            self._done = min(self._done, len(self.script) - 1)
        await self._stop(name, crash=crash)
        await asyncio.sleep(self.rng.random() * 3)
        if name == PUBLISHER:
            await self._start_publisher()
        else:
            await self._start_follower(next(each for each in self.followers if each.name == name))

    async def _close_and_open(self) -> None:
        """The publisher stops publishing for a while; its buffer lives on."""
        self.note("the door is shut")
        self.was_shut = True
        await self._publisher.aclose()
        await asyncio.sleep(self.rng.random() * 5)
        self._publisher = publish(self.nodes[PUBLISHER].manager, self._buffer)
        self._publisher.start()
