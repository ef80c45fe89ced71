"""Which wire carries a lane: a pure policy over what is known of the wires. `BestWire` is the default one.

Give another with `TransportOptions(wire_policy=...)`: any pure function from a `Question` to a `Choice`. It is asked
for each lane when a wire comes, goes, is measured, falls sick or is well again, and now and then while there is
traffic. It must be quick, and must not raise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from litz.payload import ANY_KIND, PayloadType, WirePreference

W = TypeVar("W")

Route = Literal["direct", "reflexive", "relay"]
ROUTES: Final[tuple[Route, ...]] = ("direct", "reflexive", "relay")
"""Best first."""

BULK: Final = frozenset({PayloadType.STREAM_RELIABLE})
"""Payload types for which throughput counts before the round trip."""

NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[W]):
    """A wire that is up and may carry the lane.

    since       when it came up, in seconds of the clock of `Question.now`
    round_trip  smoothed, in seconds, as far as possible without what the wire's own load adds; None: not measured yet
    throughput  bytes a second that it took while it was the bottleneck; None: it never was, or long ago
    sick        it was given data and no ack came for long; it is not known to be dead
    """

    wire: W
    kind: str
    since: float
    round_trip: float | None = None
    throughput: float | None = None
    route: Route = "direct"
    sick: bool = False


@dataclass(frozen=True, slots=True)
class Question(Generic[W]):
    """What a policy is asked about one lane.

    candidates    all wires that are up and keep order and lose nothing, if the payload type needs that
    payload_type  what travels on the lane; replies count as RPC_SIGNAL
    preference    the user's table: kinds of wire per payload type, best first
    now           seconds
    current       the wire that carries the lane now; None if it lost its wire, or never had one
    since         when the lane was moved there by choice; minus infinity if it had no choice
    """

    candidates: Sequence[Candidate[W]]
    payload_type: PayloadType
    preference: WirePreference
    now: float = 0.0
    current: W | None = None
    since: float = NEVER


@dataclass(frozen=True, slots=True)
class Choice(Generic[W]):
    """`wire` is to carry the lane; `reason` says why, for people."""

    wire: W
    reason: str


WirePolicy = Callable[[Question[Any]], Choice[Any] | None]
"""None: no candidate may carry the lane. A lane that has a wire keeps it then; one that has none waits."""

Tier = tuple[bool, int, int]


@dataclass(frozen=True, slots=True)
class BestWire:
    """The default policy. In this order:

    1. a wire that is well, before one that is sick;
    2. the kind that the preference table puts first for the payload type;
    3. the route: direct, then reflexive, then relay;
    4. for bulk (`BULK`) the throughput, where it was measured; then the round trip;
    5. the wire that carries the lane already, then the oldest.

    What is measured is noisy, so a lane leaves its wire for a measured difference only if that is clear (`near`,
    `slack`, `faster`), and not within `stay` seconds of the last move. A better wire must have answered and be up for
    `steady` seconds before it attracts lanes, unless theirs is sick or gone.

    near    round trips up to so many times the lowest, plus `slack` seconds, count as equal
    faster  throughputs down to the highest divided by this count as equal
    """

    near: float = 1.25
    slack: float = 0.001
    faster: float = 1.5
    steady: float = 1.0
    stay: float = 5.0

    def __call__(self, question: Question[W]) -> Choice[W] | None:
        """The wire for the lane, and why."""
        ranks = question.preference.get(question.payload_type, (ANY_KIND,))
        tiers: dict[int, Tier] = {}
        allowed: list[Candidate[W]] = []
        for each in question.candidates:
            rank = _rank(each.kind, ranks)
            if rank is not None:
                tiers[id(each)] = (each.sick, rank, ROUTES.index(each.route))
                allowed.append(each)
        if not allowed:
            return None
        current = next((each for each in allowed if each.wire is question.current), None)
        chosen = self._choose(question, allowed, tiers, current)
        return Choice(chosen.wire, self._why(question, chosen, allowed, tiers))

    def _choose(
        self,
        question: Question[W],
        allowed: list[Candidate[W]],
        tiers: dict[int, Tier],
        current: Candidate[W] | None,
    ) -> Candidate[W]:
        if current is None:
            top = min(tiers.values())
            return self._first([each for each in allowed if tiers[id(each)] == top], question.payload_type)
        mine = tiers[id(current)]
        steady = [each for each in allowed if each is not current and self._is_steady(each, question.now)]
        better = [each for each in (allowed if current.sick else steady) if tiers[id(each)] < mine]
        if better:
            top = min(tiers[id(each)] for each in better)
            return self._first([each for each in better if tiers[id(each)] == top], question.payload_type)
        if question.now - question.since < self.stay:
            return current
        rivals = [each for each in steady if tiers[id(each)] == mine]
        return self._rival(current, rivals, question.payload_type) or current

    def _is_steady(self, each: Candidate[W], now: float) -> bool:
        return each.round_trip is not None and now - each.since >= self.steady

    def _first(self, group: list[Candidate[W]], payload_type: PayloadType) -> Candidate[W]:
        """The best of one tier for a lane that has no wire to stay on: near ones count as equal, the oldest wins."""
        if payload_type in BULK:
            top = max((each.throughput or 0.0 for each in group), default=0.0)
            group = [each for each in group if each.throughput is None or each.throughput * self.faster >= top]
        measured = [each.round_trip for each in group if each.round_trip is not None]
        if measured:
            limit = min(measured) * self.near + self.slack
            group = [each for each in group if each.round_trip is not None and each.round_trip <= limit]
        return min(group, key=lambda each: each.since)

    def _rival(
        self, current: Candidate[W], rivals: list[Candidate[W]], payload_type: PayloadType
    ) -> Candidate[W] | None:
        """One of the same tier that is clearly better. Who challenges must pass a stricter test than who is there, or
        noise at a limit would move a lane to and fro."""
        if payload_type in BULK:
            top = max(each.throughput or 0.0 for each in (current, *rivals))
            fast = [each for each in rivals if each.throughput is not None and each.throughput * self.near >= top]
            if fast and current.throughput is not None and current.throughput * self.faster < top:
                return min(fast, key=_trip)
            rivals = [each for each in rivals if each.throughput is None or each in fast]
        best = min(rivals, key=_trip, default=None)
        if best is None or current.round_trip is None:
            return None  # not to know is no reason to move
        return best if current.round_trip > _trip(best) * self.near + self.slack else None

    def _why(
        self, question: Question[W], chosen: Candidate[W], allowed: list[Candidate[W]], tiers: dict[int, Tier]
    ) -> str:
        others = [each for each in allowed if each is not chosen]
        if not others:
            return "the only wire that may carry it"
        mine = tiers[id(chosen)]
        better = [each for each in others if tiers[id(each)] < mine]
        if better:
            return f"until the {better[0].kind} wire ({better[0].route}) has been up for {self.steady:g} s"
        sick, rank, route = min(tiers[id(each)] for each in others)
        if sick and not chosen.sick:
            return "the others are sick: what they were given is not acknowledged"
        if rank > mine[1]:
            return f"{chosen.kind} is preferred for {question.payload_type.name}"
        if route > mine[2]:
            return f"{chosen.route}, the others are not"
        rate = chosen.throughput if question.payload_type in BULK else None
        if rate is not None and all((each.throughput or 0.0) * self.near < rate for each in others):
            return f"highest throughput, {rate / 1e6:.3g} MB/s"
        trips = [each.round_trip for each in others if each.round_trip is not None and tiers[id(each)] == mine]
        if trips and chosen.round_trip is not None and min(trips) > chosen.round_trip * self.near + self.slack:
            return f"lowest round trip, {chosen.round_trip * 1000:.3g} ms"
        return "no other is clearly better"


def _trip(each: Candidate[W]) -> float:
    return each.round_trip if each.round_trip is not None else float("inf")


def _rank(kind: str, ranks: Sequence[str]) -> int | None:
    """The place of `kind` in the table's row, or None: not allowed."""
    if kind in ranks:
        return ranks.index(kind)
    return ranks.index(ANY_KIND) if ANY_KIND in ranks else None
