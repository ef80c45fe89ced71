"""What `litz status` shows of exposed services and forwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from outproc.cli.status_tables import print_columns, size_text

if TYPE_CHECKING:
    from rich.console import Console

_COUNTS = (">open", ">total", ">sent", ">received", ">refused", "last error")


def show_passages(console: Console, exposed: Iterable[dict[str, Any]], forwards: Iterable[dict[str, Any]]) -> None:
    """A line for each; nothing if there is none. Bytes are those sent to peers and received from them."""
    print_columns(
        console,
        "exposed",
        ("service", "target", *_COUNTS),
        ((each["service"], each["target"], *_counts(each)) for each in exposed),
    )
    print_columns(
        console,
        "forwards",
        ("at", "to", *_COUNTS),
        ((each["at"], f"{each['dest']}:{each['service']}", *_counts(each)) for each in forwards),
    )


def _counts(row: dict[str, Any]) -> Sequence[object]:
    return (
        row["open"],
        row["total"],
        size_text(row["sent"]),
        size_text(row["received"]),
        row["refused"],
        row["last_error"],
    )
