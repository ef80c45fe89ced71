"""Which wire carries a payload type: a pure function of what is known of the wires."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from litz.payload import ANY_KIND, DEFAULT_WIRE_PREFERENCE, PayloadType, WirePreference

W = TypeVar("W")

NEAR_FACTOR: Final = 1.25
NEAR_SLACK: Final = 0.001
"""Round trips up to 1.25 times the lowest plus 1 ms count as equal, so that noise moves no lane."""


@dataclass(frozen=True, slots=True)
class Candidate(Generic[W]):
    """A wire that is up. `round_trip` in seconds, None: not measured; `since`: when it came up, in seconds."""

    wire: W
    kind: str
    since: float
    round_trip: float | None = None
    ordered: bool = True
    reliable: bool = True


def choose_wire(
    candidates: Sequence[Candidate[W]],
    payload_type: PayloadType,
    preference: WirePreference = DEFAULT_WIRE_PREFERENCE,
    current: W | None = None,
) -> W | None:
    """The wire for `payload_type`, or None: no wire that is up may carry it, and the caller waits for another.

    First the kind that the table prefers; then the lowest round trip, where near ones count as equal; among
    equals `current`, the wire that carries it now, and then the oldest. A reliable payload type rides only on
    wires that are ordered and reliable. The caller binds the lane to what is returned, if that is not `current`
    already, and asks again when a wire comes, goes or was measured.
    """
    ranks = preference.get(payload_type, (ANY_KIND,))
    fit = [each for each in candidates if not payload_type.reliable or (each.ordered and each.reliable)]
    best = min((rank for each in fit if (rank := _rank(each.kind, ranks)) is not None), default=None)
    if best is None:
        return None
    equals = _near([each for each in fit if _rank(each.kind, ranks) == best], current)
    for each in equals:
        if each.wire is current:
            return each.wire
    return min(equals, key=lambda each: each.since).wire


def _rank(kind: str, ranks: Sequence[str]) -> int | None:
    """The place of `kind` in the table's row, or None: not allowed."""
    if kind in ranks:
        return ranks.index(kind)
    return ranks.index(ANY_KIND) if ANY_KIND in ranks else None


def _near(candidates: list[Candidate[W]], current: W | None) -> list[Candidate[W]]:
    """Those with about the lowest round trip. What was never measured is near only if it is the current wire, or
    if nothing was measured: not to know is no reason to move."""
    measured = [each.round_trip for each in candidates if each.round_trip is not None]
    if not measured:
        return candidates
    limit = min(measured) * NEAR_FACTOR + NEAR_SLACK
    return [
        each for each in candidates if (each.wire is current if each.round_trip is None else each.round_trip <= limit)
    ]
