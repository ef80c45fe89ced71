"""The task of a pipeline, or of who sends, is cancelled before each turn of the loop of a run; or the line is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from litz.admission import Amount, Queue
from litz.backoff import Backoff
from litz.errors import LitzError
from litz.order import PerKey
from litz.pipeline import Item, Pipeline, PipelineEnd, PipelineOptions, Way
from litz.supervision import Remedy, Supervise
from litz.testing import SimLoop, run_simulation
from tests.unit.litz_pipeline.line_pair import pair

OPTIONS = PipelineOptions(
    inbound=Way(order=PerKey(by=lambda item: item.data[0], messages=4), admission=Queue(Amount(2)), parallel=3),
    outbound=Way(admission=Queue(Amount(1))),
    supervise=Supervise(attempts=2, backoff=Backoff(0.2, 0.2), then=Remedy.DEAD_LETTER),
)
WORK = ("a1", "a2 fails once", "b1", "c1 fails", "b2", "c2", "a3")


class Scenario:
    """A client that sends, a server that fails now and then and replies; one of four tasks is cancelled at turn k."""

    def __init__(self, victim: str, at: int) -> None:
        self.victim = victim
        self.at = at
        self.turns = 0
        self.runs: dict[str, int] = {}
        self.done: list[str] = []
        self.told: list[str] = []

    async def handle(self, item: Item) -> Any:
        self.runs[item.data] = self.runs.get(item.data, 0) + 1
        await asyncio.sleep(0.1)
        if "fails" in item.data and ("once" not in item.data or item.attempt == 1):
            raise ValueError(item.data)
        self.done.append(item.data)
        return "re " + item.data

    async def main(self, loop: SimLoop) -> None:
        client, server = pair()
        serving = Pipeline(self.handle, OPTIONS)
        asking = Pipeline(lambda item: self.told.append(item.data), OPTIONS)
        flows = {"server": serving.flow(server), "client": asking.flow(client)}
        tasks: dict[str, asyncio.Task[Any]] = {name: loop.create_task(flow.run()) for name, flow in flows.items()}

        async def send() -> None:
            for data in WORK:
                await flows["client"].send(data)
            flows["client"].begin_drain()

        tasks["sender"] = loop.create_task(send())
        self._cancel_at(loop, tasks[self.victim].cancel if self.victim in tasks else client.lose)
        await asyncio.wait([tasks["sender"]])
        flows["client"].begin_drain()
        await asyncio.wait(tasks.values())
        for name, flow in flows.items():
            report = flow.report
            if report is None:
                assert name == self.victim, "cancelled before its first step: it never ran"
                assert tasks[name].cancelled()
                continue
            # A cancel in the clean-up does not change the reason.
            assert tasks[name].cancelled() or report.reason is not PipelineEnd.CANCELLED
            handled = len(self.done) if name == "server" else len(self.told)
            assert report.inbound.handled == handled
            assert report.received == handled + report.dead_letters + len(report.outstanding)
        for limiter in (x for each in (serving, asking) for x in (each.inbound_limiter, each.outbound_limiter)):
            assert limiter.used == limiter.queued == Amount(0, 0)
        for data, runs in self.runs.items():
            assert runs <= 2 if "fails" in data else runs == 1
        assert len(set(self.done)) == len(self.done)
        if tasks["sender"].done() and not tasks["sender"].cancelled() and (error := tasks["sender"].exception()):
            assert isinstance(error, LitzError)

    def _cancel_at(self, loop: SimLoop, cancel: Callable[[], object]) -> None:
        run_once = loop._run_once

        def counted() -> None:
            self.turns += 1
            if self.turns == self.at:
                cancel()
            run_once()

        loop._run_once = counted  # type: ignore[method-assign]  # the only place that sees every turn


@pytest.mark.parametrize("victim", ["server", "client", "sender", "the line is lost"])
def test_cancelled_before_every_turn(victim: str) -> None:
    whole = Scenario(victim, 0)
    run_simulation(whole.main, seed=1, shuffle=False)
    assert sorted(whole.done) == sorted(data for data in WORK if data != "c1 fails")
    assert sorted(whole.told) == sorted("re " + data for data in whole.done)
    assert whole.turns > 50
    for at in range(3, whole.turns):  # from when all tasks have begun
        try:
            run_simulation(Scenario(victim, at).main, seed=1, shuffle=False)
        except BaseException as error:
            error.add_note(f"{victim}, before turn {at} of {whole.turns}")
            raise
