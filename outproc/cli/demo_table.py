"""What `litz demo` shows and concludes: rows, the table, the line without a terminal, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from outproc.cli.demo_check import Faults
from outproc.cli.status_tables import time_text

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""By node, what it says of each of its dests."""

COLUMNS = ("node", "dest", "wires", "round trip", "rate", "heals", "lost", "doubled", "reordered")


@dataclass(frozen=True, slots=True)
class Totals:
    """All rows together. `heals`: of each pair the side that saw more, so that one heal is not counted twice."""

    messages: int
    heals: int
    lost: int
    doubled: int
    reordered: int
    damaged: int
    round_trip: float | None


def totals_of(rows: Rows) -> Totals:
    """Add up."""
    faults = Faults()
    heals: dict[tuple[str, str], int] = {}
    messages = 0
    round_trips = []
    for node, dests in rows.items():
        for row in dests:
            pair = (min(node, row["dest"]), max(node, row["dest"]))
            heals[pair] = max(heals.get(pair, 0), row["heals"])
            messages += row["received"]
            faults.add(Faults(row["lost"], row["doubled"], row["reordered"], row["damaged"]))
            if row["round_trip"] is not None:
                round_trips.append(row["round_trip"])
    round_trip = sorted(round_trips)[len(round_trips) // 2] if round_trips else None
    return Totals(messages, sum(heals.values()), **faults.plain(), round_trip=round_trip)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a demo. `reasons` is empty exactly when it is good."""

    seconds: float
    cuts: int
    totals: Totals
    reasons: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not self.reasons

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "ok": self.good,
            "seconds": round(self.seconds, 3),
            "cuts": self.cuts,
            **asdict(self.totals),
            "reasons": list(self.reasons),
        }

    def __str__(self) -> str:
        t = self.totals
        told = (
            f"{t.messages:,} messages in {self.seconds:.0f} s; {self.cuts} connections cut, {t.heals} heals; "
            f"{t.lost} lost, {t.doubled} doubled, {t.reordered} reordered"
        )
        return f"OK: {told}" if self.good else f"FAILED: {told}\n" + "\n".join(f"  - {why}" for why in self.reasons)


def judge(
    rows: Rows, problems: Sequence[str], *, seconds: float, cuts: int, min_messages: int, min_heals: int
) -> Verdict:
    """The verdict over the final rows. `problems`: what nodes complained about."""
    totals = totals_of(rows)
    reasons = list(problems)
    for name in ("lost", "doubled", "reordered", "damaged"):
        count = getattr(totals, name)
        if count:
            reasons.append(f"{count} messages were {name}")
    for node, dests in rows.items():
        reasons += [f"{node} lost its session with {row['dest']}" for row in dests if row["session"] != 0]
    if totals.messages < min_messages:
        reasons.append(f"{totals.messages} messages arrived, and at least {min_messages} had to")
    if totals.heals < min_heals:
        reasons.append(f"{totals.heals} heals happened, and at least {min_heals} had to")
    return Verdict(seconds, cuts, totals, tuple(reasons))


def table_of(rows: Rows, rates: Mapping[tuple[str, str], float], title: str) -> Table:
    """The live table."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("node", "dest") else "right")
    for node, dests in rows.items():
        for row in dests:
            bad = [row["lost"], row["doubled"], row["reordered"]]
            table.add_row(
                escape(node),
                escape(row["dest"]),
                str(row["wires"]) if row["wires"] else "[yellow]healing[/yellow]",
                time_text(row["round_trip"]),
                f"{rates.get((node, row['dest']), 0.0):,.0f}/s",
                str(row["heals"]),
                *(f"[bold red]{count}[/bold red]" if count else "0" for count in bad),
            )
    return table


def line_of(rows: Rows, *, seconds: float, cuts: int) -> str:
    """One line a second, where there is no terminal."""
    t = totals_of(rows)
    return (
        f"{seconds:5.1f} s  {t.messages:>9,} messages  {cuts:>3} cuts  {t.heals:>3} heals  {t.lost} lost  "
        f"{t.doubled} doubled  {t.reordered} reordered  round trip {time_text(t.round_trip)}"
    )
