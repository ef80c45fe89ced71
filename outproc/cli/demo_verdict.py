"""What `litz demo` concludes from what its nodes report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from outproc.cli.demo_check import Faults
from outproc.cli.demo_kills import KINDS, NAMES

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""By node, what it says of each of its dests."""

MAY_BE_MISSING: Final = "webrtc"
"""The kind of wire that needs what not every host allows: UDP."""


@dataclass(frozen=True, slots=True)
class Totals:
    """All rows together. Of heals the side of each pair counts that saw more, so that one heal is not counted twice.

    heals          of wires of any kind
    heals_by_kind  of each kind
    all_down       how often a pair had no wire at all, and had one again
    """

    messages: int
    heals: int
    heals_by_kind: Mapping[str, int]
    all_down: int
    lost: int
    doubled: int
    reordered: int
    damaged: int
    round_trip: float | None


def totals_of(rows: Rows) -> Totals:
    """Add up."""
    faults = Faults()
    heals: dict[str, dict[tuple[str, str], int]] = {kind: {} for kind in (*KINDS, "")}
    messages = 0
    round_trips = []
    for node, dests in rows.items():
        for row in dests:
            pair = (min(node, row["dest"]), max(node, row["dest"]))
            for kind, count in (*row["heals"].items(), ("", row["all_down"])):
                heals[kind][pair] = max(heals[kind].get(pair, 0), count)
            messages += row["received"]
            faults.add(Faults(row["lost"], row["doubled"], row["reordered"], row["damaged"]))
            if row["round_trip"] is not None:
                round_trips.append(row["round_trip"])
    by_kind = {kind: sum(heals[kind].values()) for kind in KINDS}
    round_trip = sorted(round_trips)[len(round_trips) // 2] if round_trips else None
    all_down = sum(heals[""].values())
    return Totals(messages, sum(by_kind.values()), by_kind, all_down, **faults.plain(), round_trip=round_trip)


def not_shown(rows: Rows) -> dict[str, str]:
    """The kinds of wire that never opened between any two, and why."""
    every = [row for dests in rows.values() for row in dests]
    missing = {}
    for kind in KINDS:
        if not any(kind in row["opened"] for row in every):
            errors = [row["trouble"][kind] for row in every if kind in row["trouble"]]
            missing[kind] = errors[0] if errors else "it was never offered"
    return missing


@dataclass(frozen=True, slots=True)
class Demands:
    """What must have happened at least. `heals`: of each kind of wire that could be shown."""

    messages: int
    heals: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a demo. `reasons` is empty exactly when it is good."""

    seconds: float
    kills: int
    totals: Totals
    missing: Mapping[str, str]
    reasons: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not self.reasons

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "ok": self.good,
            "seconds": round(self.seconds, 3),
            "kills": self.kills,
            **asdict(self.totals),
            "not_shown": dict(self.missing),
            "reasons": list(self.reasons),
        }

    def __str__(self) -> str:
        t = self.totals
        heals = ", ".join(f"{t.heals_by_kind[kind]} {NAMES[kind]}" for kind in KINDS if kind not in self.missing)
        told = (
            f"{t.messages:,} messages in {self.seconds:.0f} s; {self.kills} wires killed, {t.all_down} times all of a "
            f"pair; healed: {heals}; {t.lost} lost, {t.doubled} doubled, {t.reordered} reordered"
        )
        lines = [f"OK: {told}" if self.good else f"FAILED: {told}", *(f"  - {why}" for why in self.reasons)]
        lines += [f"NOT SHOWN: {NAMES[kind]}, which did not open here: {why}" for kind, why in self.missing.items()]
        return "\n".join(lines)


def judge(rows: Rows, problems: Sequence[str], *, seconds: float, kills: int, demands: Demands) -> Verdict:
    """The verdict over the final rows. `problems`: what nodes complained about.

    A host without UDP is no fault of litz: WebRTC that never opened is told, and the rest must be right.
    """
    totals = totals_of(rows)
    missing = not_shown(rows)
    reasons = list(problems)
    for name in ("lost", "doubled", "reordered", "damaged"):
        count = getattr(totals, name)
        if count:
            reasons.append(f"{count} messages were {name}")
    for node, dests in rows.items():
        reasons += [f"{node} lost its session with {row['dest']}" for row in dests if row["session"] != 0]
    reasons += [f"{NAMES[kind]} wires never opened" for kind in missing if kind != MAY_BE_MISSING]
    reasons += too_little(rows, demands)
    return Verdict(seconds, kills, totals, missing, tuple(reasons))


def too_little(rows: Rows, demands: Demands) -> list[str]:
    """What has not happened yet and must."""
    totals, missing = totals_of(rows), not_shown(rows)
    lacking = []
    if totals.messages < demands.messages:
        lacking.append(f"{totals.messages} messages arrived, and at least {demands.messages} had to")
    for kind in KINDS:
        healed = totals.heals_by_kind[kind]
        if kind not in missing and healed < demands.heals:
            lacking.append(f"{healed} heals of {NAMES[kind]} wires happened, and at least {demands.heals} had to")
    if demands.heals and not totals.all_down:
        lacking.append("no pair lost all of its wires at once, and one had to")
    return lacking
