"""Percentiles of measured values, and how several runs agree."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank, no interpolation:
    it is a value that happened). Raises ValueError for no values or a percentage outside 0 to 100."""
    if not values:
        raise ValueError("no values")
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent} is no percentage")
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def median(values: Sequence[float]) -> float:
    """The middle value (the lower of two). Raises ValueError for no values."""
    return percentile(values, 50)


def summary(values: Sequence[float], unit: str = "s") -> str:
    """One line for people: count, p50, p90, p99, maximum."""
    marks = [f"p{mark} {percentile(values, mark):.6g}" for mark in (50, 90, 99)]
    return f"n={len(values)} {' '.join(marks)} max {max(values):.6g} {unit}"
