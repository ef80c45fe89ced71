"""The policy of supervision: every cell of a small table, and what a policy refuses to be."""

from __future__ import annotations

import asyncio
import itertools
from random import Random

import pytest

from litz.backoff import Backoff
from litz.supervision import RETRYABLE, Again, Failure, GiveUp, Remedy, Supervise, Tally, Why, decide


class Purse:
    """Pays as often as it is told."""

    def __init__(self, coins: int = 0) -> None:
        self.coins = coins
        self.asked = 0

    def take(self, now: float) -> bool:
        self.asked += 1
        if not self.coins:
            return False
        self.coins -= 1
        return True


class Full(Random):
    """Always draws (almost) the ceiling."""

    def random(self) -> float:
        return 1.0


ERRORS: dict[Failure, BaseException | None] = {
    Failure.RAISED: LookupError("x"),
    Failure.TIMED_OUT: TimeoutError(),
    Failure.CANCELLED_ITSELF: asyncio.CancelledError(),
    Failure.REFUSED: None,
    Failure.ORDER_BROKEN: None,
    Failure.TOO_LARGE: None,
    Failure.UNDELIVERED: None,
}


@pytest.mark.parametrize("failure", Failure)
def test_every_cell_of_the_table(failure: Failure) -> None:
    """All kinds, policies of 1 to 3 attempts, with and without a deadline, rich and poor: nothing but the first reason
    in the order of the rules decides, and a retry is paid for only when it is made."""
    policies = itertools.product((1, 2, 3), (None, 1.0), ((Exception,), (KeyError,), ()))
    for attempts, deadline, retry in policies:
        policy = Supervise(
            attempts=attempts, deadline=deadline, retry=retry, backoff=Backoff(0.4, 0.4), then=Remedy.DROP
        )
        for made, elapsed, coins in itertools.product(range(1, attempts + 1), (0.0, 0.59, 0.61, 5.0), (0, 1)):
            purse = Purse(coins)
            error = ERRORS[failure]
            verdict = decide(policy, failure, error, attempts=made, elapsed=elapsed, now=0.0, rng=Full(), purse=purse)
            worth = failure in (Failure.TIMED_OUT, Failure.CANCELLED_ITSELF) or (
                failure is Failure.RAISED and retry == (Exception,)
            )
            why = None
            if not worth:
                why = Why.NOT_WORTH_IT
            elif made == attempts:
                why = Why.ATTEMPTS
            elif deadline is not None and elapsed > 0.6:
                why = Why.DEADLINE
            elif not coins:
                why = Why.THROTTLED
            if why is None:
                assert verdict == Again(0.4)
                assert purse.coins == 0
            else:
                remedy = Remedy.CLOSE if failure is Failure.ORDER_BROKEN else Remedy.DROP
                assert verdict == GiveUp(remedy, why)
                assert purse.coins == coins, "nothing is paid for what is not made"
                assert purse.asked == (why is Why.THROTTLED)


def test_the_wait_has_full_jitter_and_grows_to_its_cap() -> None:
    policy = Supervise(attempts=50, backoff=Backoff(base=0.1, cap=1.0))
    rng = Random(7)
    for attempts, ceiling in ((1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.0), (49, 1.0)):
        waits = []
        for _ in range(400):
            verdict = decide(
                policy,
                Failure.RAISED,
                ValueError(),
                attempts=attempts,
                elapsed=0.0,
                now=0.0,
                rng=rng,
                purse=Purse(1),
            )
            assert isinstance(verdict, Again)
            waits.append(verdict.wait)
        assert 0 <= min(waits) < ceiling * 0.1
        assert ceiling * 0.9 < max(waits) <= ceiling


def test_the_nearest_class_decides_then_the_kind_then_the_rest() -> None:
    policy = Supervise(
        then=Remedy.DROP,
        remedies={LookupError: Remedy.PARK_KEY, KeyError: Remedy.ESCALATE, Failure.RAISED: Remedy.CLOSE},
    )
    assert policy.remedy_for(Failure.RAISED, KeyError()) is Remedy.ESCALATE
    assert policy.remedy_for(Failure.RAISED, IndexError()) is Remedy.PARK_KEY
    assert policy.remedy_for(Failure.RAISED, ValueError()) is Remedy.CLOSE
    assert policy.remedy_for(Failure.TIMED_OUT, TimeoutError()) is Remedy.DROP
    assert policy.remedy_for(Failure.TOO_LARGE, None) is Remedy.DROP


@pytest.mark.parametrize("then", Remedy)
def test_a_broken_order_is_terminal_whatever_the_policy_says(then: Remedy) -> None:
    found = Supervise(then=then).remedy_for(Failure.ORDER_BROKEN, None)
    assert found is (then if then is Remedy.ESCALATE else Remedy.CLOSE)
    mild = Supervise(remedies={RuntimeError: Remedy.DROP})
    assert mild.remedy_for(Failure.ORDER_BROKEN, RuntimeError()) is Remedy.CLOSE


@pytest.mark.parametrize("failure", Failure)
def test_only_what_may_go_better_parks_its_key(failure: Failure) -> None:
    found = Supervise(then=Remedy.PARK_KEY).remedy_for(failure, None)
    assert found is (Remedy.PARK_KEY if failure in RETRYABLE else Remedy.CLOSE)


def test_a_function_may_say_what_is_worth_retrying() -> None:
    policy = Supervise(attempts=2, retry=lambda error: "later" in str(error))
    assert policy.worth_retrying(Failure.RAISED, ValueError("later"))
    assert not policy.worth_retrying(Failure.RAISED, ValueError("never"))
    assert not policy.worth_retrying(Failure.TIMED_OUT, TimeoutError())
    assert not policy.worth_retrying(Failure.TOO_LARGE, ValueError("later")), "nobody is asked about what cannot help"


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"deadline": -1},
        {"deadline": float("inf")},
        {"retry_share": 1.5},
        {"retry_floor": -0.1},
        {"retry_burst": 0},
        {"dead_letters": 0},
        {"dead_letter_size": 0},
        {"remedies": {Failure.ORDER_BROKEN: Remedy.DROP}},
    ],
)
def test_nonsense_is_refused_when_the_policy_is_made(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)) if "remedies" not in wrong else "order"):
        Supervise(**wrong)  # type: ignore[arg-type]  # what a caller without a type checker might write


def test_a_remedy_is_a_remedy() -> None:
    with pytest.raises(TypeError, match="Remedy"):
        Supervise(then="drop")  # type: ignore[arg-type]  # what a caller without a type checker might write


def test_a_tally_counts_by_kind_and_sizes_only_when_asked() -> None:
    plain, sized = Tally(), Tally(sizes=True)
    for tally in (plain, sized):
        tally.add_failure(Failure.RAISED, 10)
        tally.add_failure(Failure.RAISED, 5)
        tally.add_failure(Failure.TIMED_OUT, 1)
        tally.add_remedy(Remedy.DROP)
    assert plain.plain() == {
        "handled": 0,
        "retried": 0,
        "throttled": 0,
        "failed: raised": 2,
        "failed: timed out": 1,
        "remedy: drop": 1,
    }
    assert sized.plain()["failed bytes: raised"] == 15
    assert sized.plain()["handled bytes"] == 0


def test_tallies_add_up() -> None:
    one, two = Tally(sizes=True), Tally(sizes=True)
    for tally, count in ((one, 1), (two, 2)):
        for _ in range(count):
            tally.add_handled(10)
            tally.add_failure(Failure.RAISED, 3)
            tally.add_failure(Failure.TIMED_OUT if count == 2 else Failure.TOO_LARGE, 1)
            tally.add_remedy(Remedy.DROP)
        tally.retried = tally.throttled = count
    one.add(two)
    assert one.plain() == {
        "handled": 3,
        "retried": 3,
        "throttled": 3,
        "failed: raised": 3,
        "failed: too large": 1,
        "failed: timed out": 2,
        "remedy: drop": 3,
        "handled bytes": 30,
        "failed bytes: raised": 9,
        "failed bytes: too large": 1,
        "failed bytes: timed out": 2,
    }
