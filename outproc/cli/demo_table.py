"""What `litz demo` shows: the live table, and the line where there is no terminal."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from outproc.cli.demo_kills import KINDS, NAMES
from outproc.cli.demo_verdict import Rows, totals_of
from outproc.cli.demo_wires import LANE_NAMES
from outproc.cli.status_tables import time_text

COLUMNS: Final = {
    "node": 5,
    "dest": 5,
    "wire": 9,
    "route": 6,
    "state": 7,
    "round trip": 10,
    "carries": 14,
    "heals": 5,
    "rate": 8,
    "lost": 4,
    "doubled": 7,
    "reordered": 9,
}
"""With their least widths, so that nothing moves to and fro while it runs."""
FAULTS: Final = ("lost", "doubled", "reordered")
NARROW: Final = {
    **{name: 0 if name == "carries" else least for name, least in COLUMNS.items() if name not in FAULTS},
    "faults": 6,
}
WIDTH: Final = 100
LEFT: Final = ("node", "dest", "wire", "route", "state", "carries")
STYLES: Final = {"in use": "bold green", "spare": "green", "sick": "bold red", "healing": "bold yellow"}


def table_of(rows: Rows, rates: Mapping[tuple[str, str], float], title: str, *, width: int = WIDTH) -> Table:
    """The live table: three lines for each node and dest, one for each kind of wire. Made for 100 columns, 24 lines;
    in less than that the faults share a column, so that it still fits 80."""
    narrow = width < WIDTH
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column, least in (NARROW if narrow else COLUMNS).items():
        table.add_column(column, justify="left" if column in LEFT else "right", min_width=least, no_wrap=True)
    for number, (node, row) in enumerate((node, row) for node, dests in rows.items() for row in dests):
        shade = "on grey11" if number % 2 else None
        for kind in KINDS:
            first = kind == KINDS[0]
            names = (escape(node), escape(row["dest"])) if first else ("", "")
            bad = [_bad(row[name]) for name in FAULTS] if first else []
            table.add_row(
                *names,
                *_wire(row, kind),
                f"{rates.get((node, row['dest']), 0.0):,.0f}/s" if first else "",
                *(["/".join(bad)] if narrow else bad),
                style=shade,
            )
    return table


def _bad(count: int) -> str:
    return f"[bold red]{count}[/bold red]" if count else "0"


def _wire(row: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    wire = row["wires"].get(kind)
    heals = str(row["heals"][kind])
    if wire is None:
        state = "healing" if kind in row["opened"] else "opening"
        return NAMES[kind], "", f"[{STYLES.get(state, 'dim')}]{state}[/]", "", "", heals
    state = wire["state"]
    return (
        NAMES[kind],
        wire["route"],
        f"[{STYLES[state]}]{state}[/]",
        time_text(wire["round_trip"]),
        carried(wire),
        heals,
    )


def carried(wire: Mapping[str, Any]) -> str:
    """Which payload types travel on a wire; "other": only replies or messages of litz itself."""
    names: Collection[str] = wire["carries"]
    if not names:
        return "other" if wire["state"] == "in use" else ""
    return "all" if len(names) == len(LANE_NAMES) else ", ".join(names)


def line_of(rows: Rows, *, seconds: float, kills: int) -> str:
    """One line a second, where there is no terminal."""
    t = totals_of(rows)
    heals = " ".join(f"{NAMES[kind]} {t.heals_by_kind[kind]}" for kind in KINDS)
    return (
        f"{seconds:5.1f} s  {t.messages:>9,} messages  {kills:>3} kills  heals: {heals}  {t.lost} lost  "
        f"{t.doubled} doubled  {t.reordered} reordered  round trip {time_text(t.round_trip)}"
    )
