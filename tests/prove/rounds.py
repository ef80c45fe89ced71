"""What a machine with other work can spoil is measured again before it is judged.

A bound on a percentile or on the worst time is missed by one stand-still of the machine, about which the code says
nothing. So when the first round misses it, up to two more follow, and the verdict is on all rounds together: a good
round never excuses what most of the measurements say. Only figures are judged so; what must hold always (lost, doubled,
dialled twice) is asserted in the round itself, and fails at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

ROUNDS: Final = 3

Measured = TypeVar("Measured")


async def judged_together(
    measure: Callable[[int], Awaitable[Measured]], complaint: Callable[[Sequence[Measured]], str], rounds: int = ROUNDS
) -> None:
    """Await `measure(0)`, `measure(1)`, ... until `complaint` says nothing ("") of all that was measured so far.

    Raises AssertionError with the last complaint after so many rounds, and at once what `measure` raises."""
    found: list[Measured] = []
    complaints: list[str] = []
    for number in range(rounds):
        found.append(await measure(number))
        said = complaint(found)
        if not said:
            return
        complaints.append(f"round {number + 1}: {said}")
    raise AssertionError("\n".join(complaints))


def over(what: str, seconds: float, bound: float) -> str:
    """The complaint that `what` took more than `bound` seconds, or ""."""
    return "" if seconds <= bound else f"{what}: {seconds:.4f} s, more than {bound:.4f} s"


def all_of(*complaints: str) -> str:
    """Several complaints in one line, without those that are ""."""
    return "; ".join(filter(None, complaints))


def most_complain(complaints: Sequence[str]) -> str:
    """For a bound that every single measurement of a round must keep: what the rounds complain of, one text each with
    "" for none, if that is more than half of them; else ""."""
    return all_of(*complaints) if 2 * sum(map(bool, complaints)) > len(complaints) else ""
