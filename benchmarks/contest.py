"""Contestants of one benchmark, run in turn, so that a busy moment of the machine hits all of them alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.prove.percentiles import median

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one benchmark found. `values` by contestant, each the median of its rounds; `ratio` is litz to the
    other one. `ok`: None where no limit is stated."""

    name: str
    unit: str
    values: Mapping[str, float]
    rounds: Mapping[str, list[float]] = field(default_factory=dict)
    ratio: float | None = None
    limit: str = ""
    ok: bool | None = None


async def interleaved(
    contestants: Mapping[str, Callable[[], Awaitable[float]]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """One warm-up each, which does not count, then `rounds` rounds, everybody once in each."""
    results: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            value = await run()
            if number:
                results[name].append(value)
    return results


def compare(
    name: str,
    unit: str,
    rounds: Mapping[str, list[float]],
    *,
    at_least: float | None = None,
    against: str = "websockets",
    by_round: bool = False,
) -> Outcome:
    """Medians, and the ratio of `litz` to the contestant `against`; with `at_least` the verdict on it. `by_round`: the
    ratio is the median of those of each round, whose runs are neighbours in time; else that of the medians."""
    values = {contestant: median(found) for contestant, found in rounds.items()}
    ratio = values["litz"] / values[against]
    if by_round:
        ratio = median([ours / theirs for ours, theirs in zip(rounds["litz"], rounds[against], strict=True)])
    limit = f"at least {at_least:g} times" if at_least is not None else ""
    ok = ratio >= at_least if at_least is not None else None
    return Outcome(name, unit, values, rounds, ratio, limit, ok)
