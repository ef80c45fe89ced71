"""Numbers, names and tables for people: what `litz status`, `litz ping` and others are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from litz.event_words import printable
from litz.payload import REPLY_LANE, PayloadType
from outproc.session.fixed_lanes import INTERNAL_BULK, INTERNAL_SIGNAL

if TYPE_CHECKING:
    from rich.console import Console

LINE_WIDTH = 200
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size_text(count: float) -> str:
    """A number of bytes as people read it."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("there is a last unit")


def time_text(seconds: float | None) -> str:
    """A time as people read it; a dash when it is not known."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def lane_text(lane: int) -> str:
    """The name of a lane."""
    names = {REPLY_LANE: "replies", INTERNAL_SIGNAL: "internal", INTERNAL_BULK: "internal bulk"}
    if lane in names:
        return names[lane]
    return PayloadType(lane).name if lane in list(PayloadType) else str(lane)


def print_table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, unless it is empty. Nothing in the rows is markup."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    if table.row_count:
        console.print(table)


def print_columns(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in columns without lines between, for narrow terminals; the last column takes what is left, and wraps.
    Nothing without rows. Columns whose name begins with ">" stand to the right. Nothing in the rows is markup."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    last = len(columns) - 1
    for index, column in enumerate(columns):
        right = column.startswith(">")
        table.add_column(
            column.removeprefix(">"),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=index < last and index > 0,
            ratio=1 if index == last and not right else None,
        )
    for row in rows:
        table.add_row(*(escape(printable(str(value))) for value in row))
    if table.row_count:
        if title:
            console.print(f"[bold]{escape(title)}[/bold]")
        console.print(table)


def console_for_tables() -> Console:
    """Standard output; in a file or a pipe nothing has to fit a screen."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = LINE_WIDTH
    return console
