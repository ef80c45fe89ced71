"""Pipelines between two nodes whose wires break all the time: nothing is lost, doubled or out of order, and leaving
gracefully works while there is no wire."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from random import Random
from typing import Any

import pytest

from litz.backoff import Backoff
from litz.order import PerKey
from litz.pipeline import Item, PipelineEnd, PipelineOptions, Way, open_pipeline, pipeline
from litz.stream_lifecycle import StreamState
from litz.stream_options import StreamOptions
from litz.supervision import Remedy, Supervise
from litz.testing import Nemesis, SimLoop, SimNetwork, run_simulation
from outproc import OutprocTransportManager
from outproc.local_node import Environment

PATIENT = StreamOptions(open_timeout=3000, grace=3000)
FAULTS = ("reset", "reset one side", "half open", "remote close", "stall", "delay", "partition", "one-way partition")
STREAMS = 3
MESSAGES = 40


class Known:
    """A directory that knows where the two listen."""

    def __init__(self, where: dict[str, list[str]]) -> None:
        self._where = where

    async def look_up(self, dest: str) -> list[str]:
        return self._where.get(dest, [])


class Nodes:
    """Two managers on a network that can be made bad."""

    def __init__(self, loop: SimLoop, seed: int) -> None:
        self.network = SimNetwork(loop, seed=seed)
        where: dict[str, list[str]] = {"a": ["sim://a:1"], "b": ["sim://b:1"]}
        self.managers: list[OutprocTransportManager] = []
        for name in "ab":
            host = self.network.host(name)
            rng = Random(f"{seed} {name}")

            def clock(host: Any = host) -> int:
                return int(host.wall_time() * 1e9)

            self.managers.append(
                OutprocTransportManager(
                    name,
                    directory=Known(where),
                    builders=[host.builder(max_frame=[4_096, 64_000])],
                    environment=Environment(clock, rng.randbytes, rng),
                )
            )


def key_of(item: Item) -> Any:
    """The order reads the message, so its handler need not do so again."""
    item.data = json.loads(bytes(item.data))
    return item.data["key"]


OPTIONS = PipelineOptions(
    inbound=Way(order=PerKey(by=key_of, messages=20), parallel=4),
    supervise=Supervise(attempts=3, backoff=Backoff(0.05, 0.5), then=Remedy.DEAD_LETTER, retry_share=1.0),
    grace=3000,
)


class Talk:
    """One stream: what a sends, what b handles, what comes back."""

    def __init__(self, rng: Random, stream: int) -> None:
        self.rng = rng
        self.stream = stream
        self.tries: Counter[int] = Counter()
        self.done: dict[int, list[int]] = {}
        self.replies: dict[int, list[int]] = {}

    async def handle(self, item: Item) -> bytes:
        job = item.data
        self.tries[job["number"]] += 1
        await asyncio.sleep(job["seconds"])
        if item.attempt <= job["fails"]:
            raise LookupError(job["number"])
        self.done.setdefault(job["key"], []).append(job["number"])
        return json.dumps(job).encode()

    def reply(self, item: Item) -> None:
        job = json.loads(bytes(item.data))
        self.replies.setdefault(job["key"], []).append(job["number"])

    async def run(self, manager: OutprocTransportManager) -> tuple[PipelineEnd | None, int]:
        async with (
            manager.open_stream("b", f"talk{self.stream}", options=PATIENT) as stream,
            open_pipeline(stream, PipelineOptions(grace=3000), handler=self.reply) as flow,
        ):
            for number in range(MESSAGES):
                await asyncio.sleep(self.rng.choice((0, 0, 0.05)))
                fails = self.rng.choice((0, 0, 0, 1, 2, 9))
                job = {"number": number, "key": number % 3, "fails": fails, "seconds": self.rng.choice((0, 0.02))}
                await flow.send(json.dumps(job).encode())
        assert flow.report is not None
        return flow.report.reason, flow.report.outbound.handled


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_while_wires_break(seed: int) -> None:
    async def main(loop: SimLoop) -> None:
        rng = Random(seed)
        nodes = Nodes(loop, seed)
        a, b = nodes.managers
        async with a, b:
            await a.listen("sim://a:1")
            await b.listen("sim://b:1")
            talks = [Talk(rng, number) for number in range(STREAMS)]
            served = [pipeline(talk.handle, OPTIONS) for talk in talks]
            for talk, each in zip(talks, served, strict=True):
                b.listen_streams(f"talk{talk.stream}", each, options=PATIENT)
            running = [loop.create_task(talk.run(a)) for talk in talks]
            nemesis = Nemesis(nodes.network, seed=seed)
            while not all(task.done() for task in running) and loop.time() < 1_060:
                await asyncio.sleep(rng.choice((0.02, 0.2)))
                nemesis.apply_random(FAULTS)
            nemesis.heal_all()
            assert nemesis.hits["reset"] + nemesis.hits["half open"] + nemesis.hits["remote close"], "no wire broke"
            for task in running:
                assert await task == (PipelineEnd.DRAINED, MESSAGES)
            for each in served:
                for flow in each.flows:
                    await flow.ended()
            for talk, each in zip(talks, served, strict=True):
                judge(talk, each)

    run_simulation(main, seed=seed, max_time=5000)


def judge(talk: Talk, served: Any) -> None:
    (report,) = served.reports
    lost = [letter.data["number"] for letter in served.dead_letters]
    done = [number for numbers in talk.done.values() for number in numbers]
    assert report.reason is PipelineEnd.COMPLETE
    assert sorted([*done, *lost]) == list(range(MESSAGES)), "each message once: handled, or a dead letter"
    for key, numbers in talk.done.items():
        assert numbers == sorted(numbers)
        assert talk.replies[key] == numbers, "replies in the order of their key"
    assert max(talk.tries.values()) <= 3
    assert (report.received, report.inbound.handled, report.dead_letters) == (MESSAGES, len(done), len(lost))


def test_draining_is_legal_without_any_wire() -> None:
    async def main(loop: SimLoop) -> None:
        nodes = Nodes(loop, 1)
        a, b = nodes.managers
        handled: list[bytes] = []

        async def handler(item: Item) -> None:
            await asyncio.sleep(1)
            handled.append(bytes(item.data))

        async with a, b:
            await a.listen("sim://a:1")
            await b.listen("sim://b:1")
            served = pipeline(handler, PipelineOptions(grace=3000))
            b.listen_streams("jobs", served, options=PATIENT)
            async with a.open_stream("b", "jobs", options=PATIENT) as stream:
                async with open_pipeline(stream, PipelineOptions(grace=3000)) as flow:
                    await flow.send(b"one")
                    await asyncio.sleep(0.5)
                    nodes.network.partition(["a"], ["b"])
                    await asyncio.sleep(20)
                    assert not stream.link_up
                    await flow.send(b"two")
                    flow.begin_drain()
                    await asyncio.sleep(5)
                    assert flow.state is StreamState.DRAINING
                    assert handled == [b"one"]
                    nodes.network.heal()
                assert flow.report is not None
                assert flow.report.reason is PipelineEnd.DRAINED
            for each in served.flows:
                await each.ended()
            assert handled == [b"one", b"two"]
            assert served.reports[0].reason is PipelineEnd.COMPLETE

    run_simulation(main, seed=1, max_time=5000)
