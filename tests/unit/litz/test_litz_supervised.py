"""Attempts of one message on virtual time: whose cancel it was, and what a time that is up means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any

import pytest

from litz.backoff import Backoff
from litz.retry_budget import RetryBudget
from litz.supervised import GivenUp, Supervisor, described, letter_of
from litz.supervision import Failure, Remedy, Supervise, Tally, Why
from litz.testing import SimLoop, run_simulation

Attempt = Callable[[int], Any]


def run(
    policy: Supervise, attempt: Attempt, *, cancel_at: tuple[float, int] | None = None, rich: bool = True
) -> tuple[Any, Tally, float]:
    """What `attend` came to (a result, a `GivenUp`, or the exception it raised), the tally, and virtual seconds."""
    tally = Tally(sizes=True)

    async def main(loop: SimLoop) -> tuple[Any, float]:
        supervisor = Supervisor(policy, rng=Random(1))
        budget = RetryBudget(1.0, 1000.0 if rich else 0.0, 1000 if rich else 1, loop.time())

        async def attended() -> Any:
            return await supervisor.attend(attempt, tally, budget, size=10)

        began = loop.time()
        task = loop.create_task(attended())
        if cancel_at is not None:
            await asyncio.sleep(cancel_at[0])
            for _ in range(cancel_at[1]):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task])
        outcome = asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()
        return outcome, loop.time() - began

    outcome, elapsed = run_simulation(main, seed=1, shuffle=False).value
    return outcome, tally, elapsed


def failing(times: int, error: Callable[[], BaseException] = ValueError) -> tuple[Attempt, list[int]]:
    """A handler that fails so often, then returns "done"; and the list of its attempts."""
    made: list[int] = []

    async def attempt(number: int) -> str:
        made.append(number)
        await asyncio.sleep(1)
        if len(made) <= times:
            raise error()
        return "done"

    return attempt, made


@pytest.mark.parametrize("attempts", [1, 2, 3])
@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_a_handler_runs_as_often_as_the_policy_says_and_never_more(attempts: int, times: int) -> None:
    attempt, made = failing(times)
    outcome, tally, _ = run(Supervise(attempts=attempts), attempt)
    runs = min(attempts, times + 1)
    assert made == list(range(1, runs + 1))
    assert tally.retried == runs - 1
    assert tally.failures.get(Failure.RAISED, 0) == min(times, attempts)
    if times < attempts:
        assert (outcome, tally.handled, tally.handled_size) == ("done", 1, 10)
    else:
        assert isinstance(outcome, GivenUp)
        assert (outcome.why, outcome.attempts, outcome.remedy) == (Why.ATTEMPTS, attempts, Remedy.DEAD_LETTER)
        assert tally.failed_size == {Failure.RAISED: 10 * attempts}


def test_sync_and_async_handlers_are_alike() -> None:
    def sync(number: int) -> int:
        if number < 3:
            raise ValueError(number)
        return number

    assert run(Supervise(attempts=3), sync)[0] == 3
    assert run(Supervise(), lambda number: None)[0] is None


class AwaitsCancelled:
    """A handler that waits for a task of its own, which somebody cancels."""

    def __init__(self) -> None:
        self.runs = 0

    async def __call__(self, number: int) -> None:
        self.runs += 1
        inner = asyncio.get_running_loop().create_task(asyncio.sleep(1000))
        asyncio.get_running_loop().call_later(0.5, inner.cancel)
        await inner


def raises_cancelled(number: int) -> None:
    raise asyncio.CancelledError("mine")


@pytest.mark.parametrize("make", [AwaitsCancelled, lambda: raises_cancelled])
def test_a_handlers_own_cancel_is_a_failure_of_its_message(make: Callable[[], Attempt]) -> None:
    outcome, tally, _ = run(Supervise(attempts=2, then=Remedy.DROP), make())
    assert isinstance(outcome, GivenUp)
    assert (outcome.failure, outcome.attempts) == (Failure.CANCELLED_ITSELF, 2)
    assert tally.failures == {Failure.CANCELLED_ITSELF: 2}


def test_a_real_cancel_at_every_step_passes_and_is_never_tried_again() -> None:
    """Attempts of 1 s with waits between them: cancelled in each quarter second and in each of the turns after it."""
    for quarter in range(18):
        for turns in range(4):
            attempt, made = failing(9)
            policy = Supervise(attempts=3, backoff=Backoff(0.5, 0.5))
            outcome, tally, elapsed = run(policy, attempt, cancel_at=(quarter / 4, turns))
            over = isinstance(outcome, GivenUp)
            assert over or isinstance(outcome, asyncio.CancelledError)
            assert over == (len(made) == 3 and tally.failures.get(Failure.RAISED) == 3)
            if not over:
                assert elapsed == pytest.approx(quarter / 4), "it ends in the moment of the cancel"
                assert tally.failures.get(Failure.RAISED, 0) in (len(made), len(made) - 1)
                assert Failure.CANCELLED_ITSELF not in tally.failures


def test_who_answers_a_real_cancel_with_another_error_is_not_run_again() -> None:
    runs: list[int] = []

    async def stubborn(number: int) -> None:
        runs.append(number)
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise RuntimeError("no") from None

    outcome, tally, _ = run(Supervise(attempts=5), stubborn, cancel_at=(1, 0))
    assert isinstance(outcome, asyncio.CancelledError)
    assert (runs, tally.failures) == ([1], {})


def test_a_cancel_from_before_does_not_make_own_cancels_ours() -> None:
    """In the clean-up of a cancelled task `cancelling()` is above 0 all the time; what counts is what comes new."""
    tally = Tally()

    async def main(loop: SimLoop) -> Any:
        async def cleaning() -> Any:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                return await Supervisor(Supervise()).attend(raises_cancelled, tally, RetryBudget(1, 1, 1, 0))

        task = loop.create_task(cleaning())
        await asyncio.sleep(1)
        task.cancel()
        return await task

    outcome = run_simulation(main, seed=1).value
    assert isinstance(outcome, GivenUp)
    assert outcome.failure is Failure.CANCELLED_ITSELF


class Stop(BaseException):
    """No Exception, as KeyboardInterrupt (which would also stop the loop)."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Stop])
def test_what_is_no_exception_passes_and_is_not_counted(error: type[BaseException]) -> None:
    tally = Tally()
    runs: list[int] = []

    def attempt(number: int) -> None:
        runs.append(number)
        raise error

    attending = Supervisor(Supervise(attempts=3)).attend(attempt, tally, RetryBudget(1, 1, 1, 0))

    async def main() -> None:
        # Stepped by hand: a loop would end with it.
        attending.send(None)

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(error):
            loop.run_until_complete(main())
    finally:
        loop.close()
    assert runs == [1]
    assert tally.plain() == Tally().plain()


def test_time_of_one_attempt() -> None:
    ends: list[str] = []

    async def slow(number: int) -> str:
        try:
            await asyncio.sleep(0.5 if number == 3 else 10)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        return "done"

    policy = Supervise(attempts=3, timeout=1, backoff=Backoff(1e-9, 1e-9))
    outcome, tally, elapsed = run(policy, slow)
    assert (outcome, ends) == ("done", ["cancelled"] * 2)
    assert elapsed == pytest.approx(2.5)
    assert tally.failures == {Failure.TIMED_OUT: 2}


def test_a_timeout_of_the_handlers_own_is_its_exception() -> None:
    async def own(number: int) -> None:
        async with asyncio.timeout(0.1):
            await asyncio.sleep(1)

    outcome, _, _ = run(Supervise(timeout=5), own)
    assert isinstance(outcome, GivenUp)
    assert outcome.failure is Failure.RAISED
    assert isinstance(outcome.error, TimeoutError)


def test_an_error_in_answer_to_our_timeout_is_a_timeout() -> None:
    async def stubborn(number: int) -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise LookupError from None

    outcome, _, _ = run(Supervise(timeout=1), stubborn)
    assert isinstance(outcome, GivenUp)
    assert (outcome.failure, type(outcome.error)) == (Failure.TIMED_OUT, LookupError)


def test_the_deadline_cuts_the_attempt_and_begins_no_wait_beyond_it() -> None:
    made: list[int] = []

    async def slow(number: int) -> None:
        made.append(number)
        await asyncio.sleep(0.4 if number == 1 else 100)
        raise ValueError

    outcome, tally, elapsed = run(Supervise(attempts=9, deadline=2, backoff=Backoff(0.1, 0.1)), slow)
    assert isinstance(outcome, GivenUp)
    assert (outcome.failure, outcome.why, made) == (Failure.TIMED_OUT, Why.DEADLINE, [1, 2])
    assert elapsed == pytest.approx(2)
    assert tally.failures == {Failure.RAISED: 1, Failure.TIMED_OUT: 1}


def test_a_dest_that_used_up_its_budget_is_not_retried() -> None:
    attempt, made = failing(9)
    outcome, tally, _ = run(Supervise(attempts=9), attempt, rich=False)
    assert isinstance(outcome, GivenUp)
    assert (outcome.why, made, tally.throttled) == (Why.THROTTLED, [1, 2], 1)


def test_budgets_are_shared_by_dest() -> None:
    async def main(loop: SimLoop) -> None:
        supervisor = Supervisor(Supervise())
        assert supervisor.budget("a") is supervisor.budget("a")
        assert supervisor.budget("a") is not supervisor.budget("b")

    run_simulation(main, seed=1)


def test_a_letter_has_the_traceback_and_no_frames() -> None:
    def attempt(number: int) -> None:
        secret = object()  # noqa: F841  # what a frame would hold
        raise LookupError("here")

    outcome, _, _ = run(Supervise(), attempt)
    letter = letter_of(outcome, sender="bob", service="jobs", number=3, key="k", data=b"x", size=1)
    assert (letter.error, letter.failure, letter.attempts) == ("LookupError: here", Failure.RAISED, 1)
    assert "in attempt" in letter.traceback
    assert letter.traceback.endswith("LookupError: here\n")
    assert str(outcome) == "raised after 1 attempts, all attempts are used up: LookupError: here"


def test_a_text_that_cannot_be_made_harms_nobody() -> None:
    class MuteError(Exception):
        """An exception of a user, with a bug of its own."""

        def __str__(self) -> str:
            raise RuntimeError

    assert described(MuteError()) == "MuteError: (its text cannot be made)"
    assert described(ValueError()) == "ValueError"


def test_types() -> None:
    """What is awaited is what can be awaited: a handler may return any awaitable."""

    def attempt(number: int) -> Awaitable[int]:
        async def inner() -> int:
            return 7

        coroutine: Coroutine[Any, Any, int] = inner()
        return asyncio.ensure_future(coroutine)

    assert run(Supervise(), attempt)[0] == 7
