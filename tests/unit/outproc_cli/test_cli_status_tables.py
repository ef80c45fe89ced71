"""The tables of `litz status` show what a snapshot holds, and peers cannot draw in them."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from inproc import Hub, InprocTransportManager
from outproc.cli.status import status_of
from outproc.cli.status_tables import lane_text, show, size_text, time_text


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


async def test_a_snapshot_becomes_tables() -> None:
    hub = Hub()
    name = "[red]bob[/red]"
    async with InprocTransportManager("alice", hub) as alice, InprocTransportManager(name, hub):
        await alice.send(name, "hello")
        out = StringIO()
        show([status_of(alice)], Console(file=out))
    text = out.getvalue()
    assert all(word in text for word in ("node alice", name, "connected", "RPC_RELIABLE"))
