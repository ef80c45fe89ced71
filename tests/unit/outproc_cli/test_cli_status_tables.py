"""Numbers and columns for people, in which peers cannot draw."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from outproc.cli.status_tables import lane_text, print_columns, size_text, time_text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1 << 20, "1.0 MiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(None, "-"), (0.0015, "1.5 ms"), (2.5, "2.5 s"), (180, "3 min")])
def test_times(seconds: float | None, text: str) -> None:
    assert time_text(seconds) == text


def test_lanes_have_names() -> None:
    assert [lane_text(lane) for lane in (0, 8, 99)] == ["RPC_RELIABLE", "replies", "99"]


def test_columns_fit_a_narrow_terminal_and_peers_cannot_draw_in_them() -> None:
    out = StringIO()
    console = Console(file=out, width=40)
    print_columns(
        console, "title", ("dest", ">count", "why"), [("[red]bob[/red]", 7, "word " * 20), ("b", 12, "\x1b[2J")]
    )
    lines = out.getvalue().splitlines()
    assert lines[0] == "title"
    assert all(len(line) <= 40 for line in lines)
    assert lines[2].startswith("[red]bob[/red]      7  word word")
    assert lines[-1].split() == ["b", "12", "\N{REPLACEMENT CHARACTER}[2J"]
    print_columns(console, "nothing", ("dest",), [])
    assert "nothing" not in out.getvalue()
