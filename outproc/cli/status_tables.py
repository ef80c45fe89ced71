"""The answer of `litz status` as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from litz.payload import REPLY_LANE, PayloadType
from outproc.session.fixed_lanes import INTERNAL_BULK, INTERNAL_SIGNAL

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


def show(nodes: Sequence[dict[str, Any]], console: Console | None = None) -> None:
    """Print every node with its tables. Ids and errors come from peers, so nothing in them is markup."""
    console = console or Console()
    if not console.is_terminal:
        console.width = LINE_WIDTH  # in a file or a pipe nothing has to fit a screen
    for node in nodes:
        console.print(
            f"node [bold]{escape(node['local_id'])}[/bold], listening at "
            f"{escape(', '.join(node['endpoints'])) or 'nothing'}; {size_text(node['logged_bytes'])} in logs, "
            f"{size_text(node['inbox_bytes'])} in the inbox",
            soft_wrap=True,
            highlight=False,
        )
        dests = node["dests"]
        print_table(
            console, "dests", ("dest", "state", "session", "verified", "heals", "replayed", "doubles"), _dests(dests)
        )
        print_table(
            console,
            "wires",
            ("dest", "kind", "route", "from - to", "state", "round trip", "rate", "dialled by", "age", "in", "out"),
            _wires(dests),
        )
        print_table(
            console, "slots", ("dest", "endpoint", "state", "dials", "failures", "retry in", "error"), _slots(dests)
        )
        print_table(
            console,
            "lanes",
            ("dest", "lane", "sent", "acked", "processed", "in log", "received", "delivered", "in inbox", "dropped"),
            _lanes(dests),
        )
        print_table(console, "which wire carries what", ("dest", "lane", "kind", "wire", "why"), _carriers(dests))


def _dests(dests: list[dict[str, Any]]) -> Iterable[Sequence[object]]:
    for dest in dests:
        yield (
            dest["dest"],
            dest["state"],
            dest["session"],
            "yes" if dest["verified"] else "no",
            dest["heals"],
            dest["replayed"],
            dest["duplicates_dropped"],
        )


def _wires(dests: list[dict[str, Any]]) -> Iterable[Sequence[object]]:
    for dest in dests:
        for wire in dest["wires"]:
            yield (
                dest["dest"],
                wire["kind"],
                wire["route"],
                f"{wire['local']} - {wire['remote']}",
                wire["state"],
                time_text(wire["round_trip"]),
                "-" if wire["throughput"] is None else f"{size_text(wire['throughput'])}/s",
                "us" if wire["dialled"] else "them",
                time_text(wire["age"]),
                size_text(wire["bytes_in"]),
                size_text(wire["bytes_out"]),
            )


def _slots(dests: list[dict[str, Any]]) -> Iterable[Sequence[object]]:
    for dest in dests:
        for slot in dest["slots"]:
            yield (
                dest["dest"],
                slot["endpoint"],
                slot["state"],
                slot["dials"],
                slot["failures"],
                time_text(slot["retry_in"]),
                slot["last_error"],
            )


def _lanes(dests: list[dict[str, Any]]) -> Iterable[Sequence[object]]:
    for dest in dests:
        for lane in sorted(dest["lanes"], key=lambda lane: int(lane["lane"])):
            if lane["sent"] or lane["received"]:
                yield (
                    dest["dest"],
                    lane_text(lane["lane"]),
                    lane["sent"],
                    lane["acked"],
                    lane["processed"],
                    lane["logged"],
                    lane["received"],
                    lane["delivered"],
                    lane["inbox"],
                    lane["dropped"],
                )


def _carriers(dests: list[dict[str, Any]]) -> Iterable[Sequence[object]]:
    for dest in dests:
        kinds = {wire["wire"]: wire["kind"] for wire in dest["wires"]}
        for lane in sorted(dest["lanes"], key=lambda lane: int(lane["lane"])):
            if lane["wire"]:
                kind = kinds.get(lane["wire"], "-") + (", urgent" if lane["urgent"] else "")
                yield dest["dest"], lane_text(lane["lane"]), kind, lane["wire"], lane["reason"]


def print_table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, unless it is empty. Nothing in the rows is markup."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    if table.row_count:
        console.print(table)
