"""The driver: calls until it succeeds or is pointless, one attempt at a time, and its waits can be cut short."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from litz.errors import BusyError, InvalidEndpointError, UnauthenticatedError
from outproc.retry.backoff import Backoff
from outproc.retry.retrying import Sleeper, retry_with_backoff

FAST = Backoff(base=1e-6, cap=1e-6)
NEVER = Backoff(base=1e6, cap=1e6)


class Always(Random):
    def random(self) -> float:
        return 1.0


class Flaky:
    """Fails with each of `errors` in turn, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_it_calls_until_it_succeeds() -> None:
    func = Flaky(OSError(1), OSError(2))
    assert await retry_with_backoff(func, backoff=FAST) == "done"
    assert func.calls == 3


async def test_what_is_pointless_is_not_tried_again() -> None:
    func = Flaky(OSError(), InvalidEndpointError("no such scheme"))
    with pytest.raises(InvalidEndpointError) as caught:
        await retry_with_backoff(func, backoff=FAST)
    assert func.calls == 2
    assert caught.value.__notes__ == ["gave up after attempt 2"]


async def test_attempts_are_counted_and_the_last_error_is_raised() -> None:
    func = Flaky(OSError("1"), OSError("2"), OSError("3"), OSError("4"))
    with pytest.raises(OSError, match="3"):
        await retry_with_backoff(func, backoff=FAST, attempts=3)
    assert func.calls == 3


async def test_one_attempt_means_one() -> None:
    func = Flaky(OSError())
    with pytest.raises(OSError):
        await retry_with_backoff(func, attempts=1)
    with pytest.raises(ValueError, match="at least one"):
        await retry_with_backoff(func, attempts=0)
    assert func.calls == 1


async def test_waits_are_told_and_follow_the_backoff_and_the_peer() -> None:
    told: list[tuple[str, int, float]] = []
    sleeper = Sleeper()

    def failed(error: Exception, failures: int, wait: float) -> None:
        told.append((type(error).__name__, failures, wait))
        sleeper.wake()

    func = Flaky(OSError(), BusyError("", retry_after=7.0), UnauthenticatedError(), OSError())
    await retry_with_backoff(
        func, backoff=Backoff(base=100.0, cap=300.0), on_failure=failed, sleeper=sleeper, rng=Always()
    )
    assert told == [
        ("OSError", 1, 100.0),
        ("BusyError", 2, 207.0),
        ("UnauthenticatedError", 3, 330.0),
        ("OSError", 4, 300.0),
    ]


async def test_each_attempt_has_its_own_deadline() -> None:
    calls = 0

    async def func() -> int:
        nonlocal calls
        calls += 1
        if calls < 3:
            await asyncio.Event().wait()
        return calls

    assert await retry_with_backoff(func, backoff=FAST, attempt_timeout=0.01) == 3


async def test_cancelling_ends_it_at_once_in_an_attempt_and_in_a_wait() -> None:
    entered = asyncio.Event()

    async def hang() -> None:
        entered.set()
        await asyncio.Event().wait()

    async def fail() -> None:
        entered.set()
        raise OSError

    for func in (hang, fail):
        entered.clear()
        task = asyncio.create_task(retry_with_backoff(func, backoff=NEVER, rng=Always()))
        await entered.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_abort_ends_a_wait_with_its_error() -> None:
    sleeper = Sleeper()
    failed = asyncio.Event()
    func = Flaky(OSError(), OSError())
    retrying = retry_with_backoff(
        func, backoff=NEVER, sleeper=sleeper, rng=Always(), on_failure=lambda *_: failed.set()
    )
    task = asyncio.create_task(retrying)
    await failed.wait()
    sleeper.abort(RuntimeError("closing"))
    sleeper.abort(RuntimeError("too late"))
    with pytest.raises(RuntimeError, match="closing"):
        await task
    with pytest.raises(RuntimeError, match="closing"):
        await sleeper.sleep(1e6)
    assert func.calls == 1


async def test_a_sleep_ends_by_itself() -> None:
    sleeper = Sleeper()
    assert await sleeper.sleep(0.0) is True
    assert await sleeper.sleep(0.001) is True


async def test_a_wake_counts_for_one_sleep_even_when_it_comes_before() -> None:
    sleeper = Sleeper()
    sleeper.wake()
    assert await sleeper.sleep(1e6) is False
    assert await sleeper.sleep(0.001) is True


async def test_a_cancel_does_not_eat_a_wake() -> None:
    sleeper = Sleeper()
    task = asyncio.create_task(sleeper.sleep(1e6))
    await asyncio.sleep(0)
    task.cancel()
    sleeper.wake()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await sleeper.sleep(1e6) is False


async def test_a_wake_in_the_moment_the_time_is_over_counts() -> None:
    sleeper = Sleeper()
    task = asyncio.create_task(sleeper.sleep(0.0))
    await asyncio.sleep(0)
    sleeper.wake()
    assert await task is False
