"""Stories of long outages: how others got reconnection wrong, and what becomes of it here.

Told elsewhere: a reset taken for a goodbye, and a peer restarted while nobody sends (`test_stories_sessions`), a
stale reader that kills the fresh wire (mutant `stale-event-kills-the-fresh-wire`), one-way traffic that is never acked
(`test_stories_lossy_wires`, mutant of lost acks), a reset of the backoff before the link was proved (mutant
`backoff-reset-before-the-wire-proved`), a wake that only resets counters (mutant `backoff-sat-out-after-a-sleep`), a
cleanup that ends an infinite retry without a word (mutant `cold-ends-the-dialling`).
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from litz.events import DestCold, DestGivenUp, DestWarm, SessionEnded
from litz.testing import run_simulation
from litz.testing.sim_loop import SimLoop
from tests.simulation.managers.stage import Stage, Story

DAY = 86_400.0


def play_for_days(story: Story) -> None:
    """As `play`, with more time."""

    async def main(loop: SimLoop) -> None:
        async with AsyncExitStack() as stack:
            await story(Stage(loop, stack))

    run_simulation(main, seed=1, max_time=5 * DAY)


def test_a_backoff_faster_than_the_own_limit_costs_nothing_but_time() -> None:
    """Others counted what their own limiter refused as failures, used up their attempts in seconds, and gave up on a
    peer that was there. Here a dial that waits for its turn is none yet."""

    async def story(stage: Stage) -> None:
        names = [f"b{number}" for number in range(20)]
        a = await stage.actor("a", reach=names, redial_rate=1.0, backoff_base=0.001, backoff_cap=0.002)
        for name in names:
            await stage.actor(name)
            await a.manager.send(name, b"x", confirm="received")
        stage.network.partition(["a"], names)
        stage.cut()
        await asyncio.sleep(5.0)
        stage.network.heal()
        began = a.dials
        await a.until(lambda: all(a.manager.is_connected(name) for name in names), seconds=60.0)
        assert a.dials - began <= 61
        assert a.count(DestGivenUp) == a.count(DestCold) == 0

    play_for_days(story)


def test_an_infinite_retry_is_infinite() -> None:
    """Others had a cleanup of stale peers, or a limit of an hour, that ended it without a word."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], ping_after=600.0)
        b = await stage.actor("b", ping_after=600.0)
        await a.manager.send("b", b"before", confirm="received")
        await stage.crash(b)
        await asyncio.sleep(1.2 * DAY)
        (dest,) = a.manager.snapshot().dests
        assert (dest.cold, dest.given_up) == (True, False)
        assert dest.cause == "connection refused"
        assert dest.retry_in is not None
        assert a.count(SessionEnded) == 1  # loudly, when it was kept for long enough
        assert a.count(DestCold) == 1
        await a.manager.send("b", b"after")
        again = await stage.actor("b", clock=1.0)
        await again.until(lambda: again.got == [b"after"], seconds=61.0)
        assert a.count(DestWarm) == 1

    play_for_days(story)


class Dark:
    """A directory that is not there yet."""

    def __init__(self) -> None:
        self.up = False
        self.asked = 0

    async def look_up(self, dest: str) -> list[str]:
        self.asked += 1
        if not self.up:
            raise ConnectionRefusedError("the directory is down")
        return [f"sim://{dest}:1"]


def test_a_directory_that_is_down_at_the_start_is_asked_until_it_is_up() -> None:
    """Others dialled their relay once at the start; as there was no connection to lose, nothing ever tried again."""

    async def story(stage: Stage) -> None:
        dark = Dark()
        a = await stage.actor("a", directory=dark)
        b = await stage.actor("b")
        await a.manager.send("b", b"x", when_down="queue")
        await asyncio.sleep(DAY)
        assert a.count(DestCold) == 1
        assert dark.asked <= 200 + DAY / 30
        dark.up = True
        await b.until(lambda: b.got == [b"x"], seconds=61.0)
        assert a.count(DestWarm) == 1

    play_for_days(story)


def test_ten_thousand_messages_to_a_dead_peer_are_no_ten_thousand_dials() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], session_kept=10 * DAY, ping_after=600.0)
        b = await stage.actor("b", ping_after=600.0)
        await a.manager.send("b", b"before", confirm="received")
        await stage.crash(b)
        await asyncio.sleep(1000.0)
        began = a.dials
        for number in range(10_000):
            await a.manager.send("b", b"x")
            if not number % 100:
                await asyncio.sleep(1.0)
        assert a.dials - began <= 4

    play_for_days(story)
