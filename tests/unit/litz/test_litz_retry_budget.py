"""Retries are at most a share of first attempts plus a floor, over any span of any history."""

from __future__ import annotations

from random import Random

from litz.retry_budget import RetryBudget, RetryBudgets


def test_no_span_of_a_random_history_has_more_retries_than_the_law() -> None:
    for seed in range(60):
        rng = Random(seed)
        share, floor, burst = rng.choice([0.0, 0.1, 0.5, 1.0]), rng.choice([0.0, 0.5, 3.0]), rng.randint(1, 20)
        budget = RetryBudget(share, floor, burst, 0.0)
        now, first, history = 0.0, 0, [(0.0, 0, 0)]
        retries = 0
        for _ in range(400):
            now += rng.choice([0.0, 0.01, 0.3, 5.0])
            for _ in range(rng.choice([0, 1, 7])):
                budget.firsts += 1
                first += 1
            for _ in range(rng.choice([0, 1, 30])):
                retries += budget.take(now)
            history.append((now, first, retries))
        for _ in range(300):
            a, b = sorted(rng.sample(range(len(history)), 2))
            (t0, f0, r0), (t1, f1, r1) = history[a], history[b]
            # What came in with the first entry itself belongs to the span too.
            assert r1 - r0 <= burst + share * (f1 - f0) + floor * (t1 - t0) + 1e-6
        assert budget.firsts >= 0


def test_the_budget_is_really_given() -> None:
    budget = RetryBudget(0.2, 0.0, 10, 0.0)
    assert sum(budget.take(0.0) for _ in range(50)) == 10, "the burst"
    given = 0
    for _ in range(1000):
        budget.firsts += 1
        given += budget.take(0.0)
    assert given in (199, 200), "the share"
    slow = RetryBudget(0.0, 0.5, 1, 0.0)
    assert sum(slow.take(float(second)) for second in range(101)) == 51, "the floor"


def test_a_refused_retry_costs_nothing() -> None:
    budget = RetryBudget(0.0, 1.0, 1, 0.0)
    assert budget.take(0.0)
    assert [budget.take(0.25 * turn) for turn in range(1, 5)] == [False, False, False, True]


def test_dests_do_not_pay_for_each_other_and_are_bounded() -> None:
    budgets = RetryBudgets(0.0, 0.0, 2, limit=3)
    assert [budgets.of("a", 0).take(0) for _ in range(3)] == [True, True, False]
    assert budgets.of("b", 0).take(0)
    for dest in ("c", "a", "d"):  # b tried longest ago
        budgets.of(dest, 0)
    assert len(budgets) == 3
    assert not budgets.of("a", 0).take(0), "a was asked for lately, so it is remembered"
    assert [budgets.of("b", 0).take(0) for _ in range(2)] == [True, True], "b begins anew"
