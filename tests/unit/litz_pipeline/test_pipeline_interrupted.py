"""How many messages a report calls interrupted, against a model that only sees what handlers see.

A message is interrupted if it was tried and is not finished, whether its handler was cancelled or it waited for a
further attempt. One that never began is not, and neither is one that the stream ended by: nobody cut that off.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from functools import partial
from random import Random
from typing import Any

from litz.admission import Amount, Queue, Reject
from litz.backoff import Backoff
from litz.order import Fifo, PerKey
from litz.pipeline import Flow, Item, Pipeline, PipelineOptions, PipelineReport, Way
from litz.stream_options import Drain
from litz.supervision import Remedy, Supervise
from litz.testing import SimLoop, run_simulation
from tests.unit.litz_pipeline.line_pair import MemoryLine, pair

SEEDS = 300
JOBS = 8


class PolicyBugError(Exception):
    """A `retry` function of a user that has a bug."""


class Served:
    """One stream, and what its handlers saw: for each message the outcomes of its attempts."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.outcomes: defaultdict[int, list[str]] = defaultdict(list)
        self.bugs: set[int] = set()
        rejects = rng.random() < 0.3
        # One that was refused before a further attempt looks like any other from here.
        self.attempts = 1 if rejects else rng.choice((1, 2, 3))
        parallel = rng.choice((1, 2, 4))
        order = rng.choice((Fifo(), PerKey(by=lambda item: item.number % 3)))
        self.options = PipelineOptions(
            inbound=Way(
                order=order,
                parallel=parallel,
                admission=Reject(Amount(1)) if rejects else Queue(Amount(rng.choice((1, 2, 4)))),
            ),
            supervise=Supervise(
                attempts=self.attempts,
                backoff=Backoff(0.5, 1.0),
                retry=self.worth_it,
                then=rng.choice((Remedy.CLOSE, Remedy.DEAD_LETTER, Remedy.PARK_KEY, Remedy.DROP)),
                retry_share=1.0,
                retry_burst=100,
                dead_letters=rng.choice((1, 100)),
            ),
            half_close=rng.choice((Drain.BOTH, Drain.OUTBOUND)),
        )

    async def handle(self, item: Item) -> None:
        outcome = "cancelled"
        try:
            await asyncio.sleep(self.rng.choice((0.0, 0.3, 1.0)))
            if self.rng.random() < 0.4:
                outcome = "failed"
                raise LookupError(item.number)
            outcome = "ok"
        finally:
            self.outcomes[item.number].append(outcome)

    def worth_it(self, error: BaseException) -> bool:
        if self.rng.random() < 0.05:
            self.bugs.add(error.args[0])
            raise PolicyBugError
        return True

    def interrupted(self, report: PipelineReport) -> list[str]:
        """Why each of them is, of those that are not finished."""
        why = []
        for number in report.outstanding:
            outcomes = self.outcomes[number]
            if not outcomes or number in self.bugs:
                continue
            if outcomes[-1] == "cancelled":
                why.append("cancelled")
            elif len(outcomes) < self.attempts:
                why.append("between attempts")
        return why


async def cut_off(rng: Random, task: asyncio.Task[Any], flow: Flow, line: MemoryLine) -> None:
    """At a random time, in any way; sometimes while it is leaving."""
    await asyncio.sleep(rng.choice((0.0, 0.1, 0.6, 1.5, 3.0)))
    if rng.random() < 0.4:
        flow.begin_drain(rng.choice((Drain.OUTBOUND, Drain.OUTBOUND, Drain.BOTH)))
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
    how = rng.choice(("abort", "lose", "cancel", "leave"))
    if how == "abort":
        flow.abort()
    elif how == "lose":
        line.lose()
    elif how == "cancel":
        task.cancel()
    else:
        flow.begin_drain(Drain.OUTBOUND)


async def talk(loop: SimLoop, seed: int) -> Counter[str]:
    """One stream to its end; what was found of each kind."""
    rng = Random(f"interrupted {seed}")
    served = Served(rng)
    client, server = pair()
    flow = Pipeline(served.handle, served.options, rng=Random(rng.random())).flow(server)
    task = loop.create_task(flow.run())

    async def send() -> None:
        for number in range(JOBS):
            await client.send(number)
        await client.send_eof()

    sending = loop.create_task(send())
    await cut_off(rng, task, flow, client)
    await asyncio.wait([task, sending])
    for each in (task, sending):
        if not each.cancelled():
            each.exception()  # what it was is in the report
    assert flow.report is not None
    why = served.interrupted(flow.report)
    assert flow.report.interrupted == len(why), f"seed {seed}: {why} of {flow.report}; {dict(served.outcomes)}"
    found = Counter(why)
    found["never begun"] = sum(not served.outcomes[number] for number in flow.report.outstanding)
    found["ended the stream"] = len(flow.report.outstanding) - len(why) - found["never begun"]
    return found


def test_the_count_is_what_handlers_saw() -> None:
    found: Counter[str] = Counter()
    for seed in range(SEEDS):
        found += run_simulation(partial(talk, seed=seed), seed=seed).value
    assert min(found[kind] for kind in ("cancelled", "between attempts", "never begun", "ended the stream")) > 10, found
