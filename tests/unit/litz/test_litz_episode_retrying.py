"""When a subscriber asks again (`litz.episode_retrying`), on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from litz import BusyError, ConnectError, ProtocolError, StreamRefusedError, UnknownDestError
from litz.backoff import Backoff
from litz.episode_retrying import STABLE, Retrying, Verdict
from litz.stream_port import Refusal
from litz.testing import SimLoop, run_simulation

AWAY = ConnectError("away", dest="bob")


def simulate(story: Callable[[SimLoop, Retrying], Awaitable[None]], *, patience: float = 100.0) -> None:
    async def main(loop: SimLoop) -> None:
        await story(loop, Retrying(Backoff(1.0, 8.0), patience, Random(3), None))

    run_simulation(main, seed=1)


def refused(why: Refusal, retry_after: float | None = None) -> StreamRefusedError:
    return StreamRefusedError("no", why=why, retry_after=retry_after)


def test_the_first_attempt_is_made_at_once_and_later_ones_after_a_backoff() -> None:
    async def story(loop: SimLoop, retrying: Retrying) -> None:
        waits = []
        for _ in range(12):
            began = loop.time()
            assert retrying.failed(AWAY, had=False) is Verdict.AGAIN
            await retrying.turn()
            waits.append(loop.time() - began)
        assert waits[0] < 0.01 and all(wait <= 8.01 for wait in waits) and max(waits[5:]) > 4.0

    simulate(story)


def test_a_turn_that_was_cancelled_is_still_to_be_waited_for() -> None:
    async def story(loop: SimLoop, retrying: Retrying) -> None:
        retrying.failed(BusyError("busy", retry_after=5.0), had=False)
        began = loop.time()
        for _ in range(4):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await retrying.turn()
        await retrying.turn()
        assert loop.time() - began == pytest.approx(5.0, abs=0.1)

    simulate(story)


def test_who_leaves_does_not_wait_for_its_turn() -> None:
    async def story(loop: SimLoop, retrying: Retrying) -> None:
        retrying.interrupt()
        retrying.failed(BusyError("busy", retry_after=5.0), had=False)
        began = loop.time()
        waiting = asyncio.ensure_future(retrying.turn())
        await asyncio.sleep(1.0)
        retrying.interrupt()
        retrying.interrupt()
        await waiting
        assert loop.time() - began == pytest.approx(1.0, abs=0.1)

    simulate(story)


def test_patience_counts_from_the_first_failure_since_a_part_came() -> None:
    async def story(loop: SimLoop, retrying: Retrying) -> None:
        for _ in range(3):
            began = loop.time()
            while retrying.failed(AWAY, had=False) is Verdict.AGAIN:
                assert loop.time() - began <= 100.1
                await retrying.turn()
            assert loop.time() - began > 80.0
            retrying.proved()

    simulate(story)


def test_a_subscription_that_stood_for_a_while_has_proved_itself_without_a_part() -> None:
    async def story(loop: SimLoop, retrying: Retrying) -> None:
        for _ in range(20):
            retrying.opened()
            await asyncio.sleep(STABLE)
            assert retrying.failed(AWAY, had=True) is Verdict.AGAIN
            await retrying.turn()
        verdicts = set()
        for _ in range(40):
            retrying.opened()
            await asyncio.sleep(STABLE / 4)
            verdicts.add(retrying.failed(AWAY, had=True))
            await retrying.turn()
        assert Verdict.IMPATIENT in verdicts

    simulate(story)


def test_what_no_patience_helps_against() -> None:
    async def story(loop: SimLoop, retrying: Retrying) -> None:
        for error in (
            ProtocolError("odd"),
            UnknownDestError("who", dest="bob"),
            refused(Refusal.REJECTED),
            refused(Refusal.UNSUPPORTED),
            refused(Refusal.REFUSED),
        ):
            assert retrying.failed(error, had=False) is Verdict.POINTLESS
        assert retrying.failed(refused(Refusal.BUSY, 7.0), had=False) is Verdict.AGAIN
        began = loop.time()
        await retrying.turn()
        assert loop.time() - began == pytest.approx(7.0, abs=0.1)
        # Of a publisher that was there, "no such service" is not the last word.
        retrying.opened()
        assert retrying.failed(refused(Refusal.REFUSED), had=False) is Verdict.AGAIN

    simulate(story)
