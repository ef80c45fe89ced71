"""`benchmarks.contest`: everybody in turn, warm-ups not counted, medians, and an honest verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from benchmarks.__main__ import run, show
from benchmarks.contest import Outcome, compare, interleaved
from benchmarks.suite import BENCHMARKS


async def test_contestants_take_turns_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []

    def contestant(name: str) -> Callable[[], Awaitable[float]]:
        async def take_part() -> float:
            order.append(name)
            return float(len(order))

        return take_part

    rounds = await interleaved({"a": contestant("a"), "b": contestant("b")})
    assert order == ["a", "b"] * 4
    assert rounds == {"a": [3, 5, 7], "b": [4, 6, 8]}


@pytest.mark.parametrize(("litz", "ok"), [(1500.0, True), (1499.0, False)])
def test_the_ratio_of_medians_is_held_against_the_limit(litz: float, ok: bool) -> None:
    outcome = compare("x", "/s", {"websockets": [90.0, 100.0, 5000.0], "litz": [1.0, litz, 9999.0]}, at_least=15)
    assert outcome.ok is ok
    assert outcome.ratio == litz / 100
    assert ("NO" in show(outcome)) is not ok


def test_round_by_round_a_slow_moment_of_the_machine_hits_all() -> None:
    rounds = {"bare": [100.0, 10.0, 90.0], "litz": [95.0, 9.5, 100.0]}
    assert compare("x", "/s", rounds, against="bare", by_round=True).ratio == 0.95
    assert compare("x", "/s", rounds, against="bare").ratio == 95 / 90


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (None, 0), (False, 1)])
async def test_a_missed_limit_fails_the_command(
    ok: bool | None, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def found() -> Outcome:
        return Outcome("mine", "bytes", {"litz": 12345.0}, ok=ok, limit="at most 1")

    monkeypatch.setitem(BENCHMARKS, "mine", found)
    assert await run(["mine"], as_json=False) == code
    assert "12,345 bytes" in capsys.readouterr().out


async def test_a_benchmark_that_cannot_run_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken() -> Outcome:
        raise RuntimeError("no manager yet")

    monkeypatch.setitem(BENCHMARKS, "broken", broken)
    assert await run(["broken"], as_json=True) == 1
    assert "not measured: no manager yet" in capsys.readouterr().err
