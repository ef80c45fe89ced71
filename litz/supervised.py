"""One message under a policy: its attempts, the waits between them, and whose cancellation it was.

The decisions are `litz.supervision`. This runs them in a task of the caller's, and starts none.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from litz.dead_letters import MAX_TRACEBACK, DeadLetter, DeadLetters
from litz.retry_budget import RetryBudget, RetryBudgets
from litz.seldom import OF_HANDLER, Seldom
from litz.supervision import Again, Failure, Remedy, Supervise, Tally, Why, decide

log = logging.getLogger("litz.supervision")


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A message that is not tried again: what it failed with last, and what has to become of it."""

    failure: Failure
    error: BaseException | None
    attempts: int
    remedy: Remedy
    why: Why | None = None

    def __str__(self) -> str:
        said = f": {described(self.error)}" if self.error is not None else ""
        why = f", {self.why.value}" if self.why is not None and self.attempts else ""
        return f"{self.failure.value} after {self.attempts} attempts{why}{said}"


class Case:
    """How one message has fared so far."""

    __slots__ = ("attempts", "began")

    def __init__(self) -> None:
        self.attempts = 0
        self.began = 0.0
        """By the loop's clock, when the first attempt began."""


class Supervisor:
    """One policy, with what all its streams share: dead letters, and budgets of retries by dest. Belongs to one loop;
    any number of tasks may call it."""

    def __init__(self, policy: Supervise, *, rng: Random | None = None) -> None:
        """`rng`: the chance of the backoff, for tests."""
        self.policy = policy
        self.letters = DeadLetters(policy.dead_letters, policy.dead_letter_size)
        self._budgets = RetryBudgets(policy.retry_share, policy.retry_floor, policy.retry_burst)
        self._rng = rng or Random()
        self._retries, self._failures = Seldom(first=OF_HANDLER), Seldom(first=OF_HANDLER)

    def budget(self, dest: str) -> RetryBudget:
        """What may be retried for `dest`."""
        return self._budgets.of(dest, asyncio.get_running_loop().time())

    async def attend(
        self,
        attempt: Callable[[int], Any],
        tally: Tally,
        budget: RetryBudget,
        *,
        size: int = 0,
        label: object = "message",
        peer: str = "",
    ) -> Any:
        """`once`, with the waits between the attempts, until it is over: the result, or a `GivenUp`."""
        case = Case()
        while True:
            outcome = await self.once(attempt, case, tally, budget, size=size, label=label, peer=peer)
            if type(outcome) is not Again:
                if type(outcome) is not GivenUp:
                    tally.add_handled(size)
                return outcome
            await asyncio.sleep(outcome.wait)

    async def once(
        self,
        attempt: Callable[[int], Any],
        case: Case,
        tally: Tally,
        budget: RetryBudget,
        *,
        size: int = 0,
        label: object = "message",
        peer: str = "",
    ) -> Any:
        """One attempt: call `attempt(n)`, and await what it returns if that can be awaited. Returns its result; or an
        `Again`: the caller calls with the same `case` after that wait; or a `GivenUp`, whose remedy is the caller's to
        apply. One attempt of a case runs at a time.

        A `CancelledError` is passed on when this task was cancelled, and only then. It is also raised when the handler
        answered a real cancellation with another exception: nothing is tried again in a task that has to end. What is
        no `Exception` (KeyboardInterrupt, SystemExit) passes and is not counted, nor is what a `retry` function raises.
        What went well is counted by the caller (`Tally.add_handled`). Of what `peer` makes fail again and again, the
        log has the first few and then one a minute, with a count.
        """
        task = own_task()
        cancels = task.cancelling()
        loop = asyncio.get_running_loop()
        if not case.attempts:
            case.began = loop.time()
            budget.firsts += 1
        case.attempts += 1
        limit = _limit(self.policy, loop.time() - case.began)
        timer = None if limit is None else asyncio.timeout(limit)
        try:
            if timer is None:
                result = attempt(case.attempts)
                if result is not None and hasattr(result, "__await__"):
                    result = await result
            else:
                async with timer:
                    result = attempt(case.attempts)
                    if result is not None and hasattr(result, "__await__"):
                        result = await result
        except asyncio.CancelledError as caught:
            if task.cancelling() > cancels:
                raise
            return self._failed(
                Failure.CANCELLED_ITSELF, caught, case, tally, budget, size=size, label=label, peer=peer
            )
        except Exception as caught:
            if task.cancelling() > cancels:
                raise asyncio.CancelledError from caught
            late = timer is not None and timer.expired()
            failure = Failure.TIMED_OUT if late else Failure.RAISED
            return self._failed(failure, caught, case, tally, budget, size=size, label=label, peer=peer)
        return result

    def _failed(
        self,
        failure: Failure,
        error: BaseException,
        case: Case,
        tally: Tally,
        budget: RetryBudget,
        *,
        size: int,
        label: object,
        peer: str,
    ) -> Again | GivenUp:
        """Decide, count and log."""
        now = asyncio.get_running_loop().time()
        tally.add_failure(failure, size)
        decision = decide(
            self.policy,
            failure,
            error,
            attempts=case.attempts,
            elapsed=now - case.began,
            now=now,
            rng=self._rng,
            purse=budget,
        )
        if isinstance(decision, Again):
            tally.retried += 1
            said = f"{failure.value}: {described(error)}"
            more = self._retries.words(now, peer, error)
            if more is not None:
                log.info("%s: %s; attempt %d in %.3f s%s", label, said, case.attempts + 1, decision.wait, more)
            return decision
        if decision.why is Why.THROTTLED:
            tally.throttled += 1
        given_up = GivenUp(failure, error, case.attempts, decision.remedy, decision.why)
        if given_up.remedy is not Remedy.ESCALATE:
            self.tell("%s: %s%s", label, given_up, peer=peer, error=error)
        return given_up

    def tell(self, text: str, *words: object, peer: str, error: BaseException) -> None:
        """Log a failure that `peer` made happen, unless it made the like happen often lately: the tallies have all. The
        last word of `text` takes how many were left out."""
        more = self._failures.words(asyncio.get_running_loop().time(), peer, error)
        if more is not None:
            log.error(text, *words, more, exc_info=error)

    def refuse(self, failure: Failure, error: BaseException | None, tally: Tally, size: int = 0) -> GivenUp:
        """A message that no handler sees (admission, order, size): count it, and tell its remedy."""
        tally.add_failure(failure, size)
        return GivenUp(failure, error, 0, self.policy.remedy_for(failure, error))


def letter_of(
    given_up: GivenUp, *, sender: str, service: str, number: int, key: Any, data: Any, size: int
) -> DeadLetter:
    """The dead letter of a message that was given up."""
    error = given_up.error
    lines = "".join(traceback.format_exception(error)) if error is not None else ""
    return DeadLetter(
        sender,
        service,
        number,
        key,
        data,
        size,
        given_up.failure,
        given_up.attempts,
        given_up.why,
        described(error) if error is not None else given_up.failure.value,
        lines[-MAX_TRACEBACK:],
    )


def described(error: BaseException) -> str:
    """The class of an exception and what it says, in one short line."""
    try:
        said = str(error)
    except Exception:  # the exception is of a user's class
        said = "(its text cannot be made)"
    return f"{type(error).__name__}: {said}"[:500] if said else type(error).__name__


def own_task() -> asyncio.Task[Any]:
    """The task that runs."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("no task runs")
    return task


def _limit(policy: Supervise, elapsed: float) -> float | None:
    """Seconds for the next attempt."""
    if policy.deadline is None:
        return policy.timeout
    left = max(0.0, policy.deadline - elapsed)
    return left if policy.timeout is None else min(left, policy.timeout)
