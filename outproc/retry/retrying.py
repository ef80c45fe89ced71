"""The driver around backoff and classify: call a coroutine function until it succeeds or it is pointless."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from outproc.retry.backoff import DEFAULT_BACKOFF, Backoff, RetryState
from outproc.retry.classify import Decision, Verdict, classify

T = TypeVar("T")


class Sleeper:
    """A sleep that others can cut short or end. For one sleeper at a time, in one event loop."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._error: BaseException | None = None

    def wake(self) -> None:
        """End the sleep under way, or the next one if there is none, at once."""
        self._news.set()

    def abort(self, error: BaseException) -> None:
        """Make the sleep under way and all later ones raise `error`. The first call counts."""
        if self._error is None:
            self._error = error
        self._news.set()

    async def sleep(self, seconds: float) -> bool:
        """Sleep. True when the time is over, False when `wake` ended it. Raises what `abort` was given.

        May be cancelled at any time; a wake that came in the same moment is then kept for the next sleep.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            if not self._news.is_set():
                return True
        if self._error is not None:
            raise self._error
        self._news.clear()
        return False


async def retry_with_backoff(
    func: Callable[[], Awaitable[T]],
    *,
    backoff: Backoff = DEFAULT_BACKOFF,
    attempts: int | None = None,
    attempt_timeout: float | None = None,
    decide: Callable[[BaseException], Decision] = classify,
    on_failure: Callable[[Exception, int, float], None] | None = None,
    sleeper: Sleeper | None = None,
    rng: Random | None = None,
) -> T:
    """Await `func()` until it returns, and return what it returned.

    attempts         how often to try at most; None: without limit
    attempt_timeout  seconds for each attempt, after which it is cancelled and counts as failed with TimeoutError
    decide           the table that says whether an error is worth another attempt
    on_failure       called with the error, the number of failures so far, and the seconds until the next attempt
    sleeper          lets others cut a wait short (`wake`) or end all of it (`abort`)

    Raises the last error when `decide` says stop or the attempts are used up, with a note that tells how many
    there were; what `abort` was given; and CancelledError at once, when cancelled. One attempt runs at a time.
    """
    if attempts is not None and attempts < 1:
        raise ValueError(f"at least one attempt is needed, not {attempts}")
    rng = rng or Random()
    sleeper = sleeper or Sleeper()
    state = RetryState(backoff)
    while True:
        try:
            async with asyncio.timeout(attempt_timeout):
                return await func()
        except Exception as error:
            decision = decide(error)
            wait = decision.min_delay + state.failed(rng)
            if decision.verdict is Verdict.STOP or state.attempt == attempts:
                error.add_note(f"gave up after attempt {state.attempt}")
                raise
            if on_failure is not None:
                on_failure(error, state.attempt, wait)
        await sleeper.sleep(wait)
