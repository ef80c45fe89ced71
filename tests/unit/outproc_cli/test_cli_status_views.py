"""`litz status` for people: what a snapshot holds is shown, and fits a terminal. Also of `outproc.cli.status`."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from inproc import Hub, InprocTransportManager
from litz import PayloadType
from outproc import OutprocTransportManager
from outproc.cli.status import status_of
from outproc.cli.status_views import show_detail, show_overview
from outproc.outbox import Inbox, Outbox

WIDTH = 80


def overview(*nodes: dict[str, Any]) -> str:
    out = StringIO()
    show_overview(nodes, Console(file=out, width=WIDTH, force_terminal=True, color_system=None))
    return out.getvalue()


def detail(dest: str, *nodes: dict[str, Any]) -> str:
    out = StringIO()
    assert show_detail(nodes, dest, Console(file=out, width=WIDTH, force_terminal=True, color_system=None))
    return out.getvalue()


async def alice_with_bob() -> dict[str, Any]:
    """The status of alice, who has sent bob a message, as it comes over the control socket."""
    async with OutprocTransportManager("bob") as bob:
        await bob.listen("ws://127.0.0.1:0")
        async with OutprocTransportManager("alice", directory={"bob": bob.endpoints}) as alice:
            await alice.send("bob", b"hello", confirm="received")
            answer: dict[str, Any] = json.loads(json.dumps(status_of(alice)))
            return answer


async def test_a_line_for_each_dest_and_one_dest_in_detail() -> None:
    status = await alice_with_bob()
    lines = overview(status).splitlines()
    assert lines[0].startswith("node alice, listening at nothing; 0 B in logs")
    (line,) = (line for line in lines if line.startswith("bob "))
    assert line.split()[:3] == ["bob", "connected", "websocket"]
    text = detail("bob", status)
    parts = (
        "bob: connected",
        "a claim",
        "wires",
        "endpoints",
        "lanes out",
        "RPC_RELIABLE",
        "history",
        "session started",
    )
    assert all(part in text for part in parts), text
    assert all(len(each) <= WIDTH for each in (*lines, *text.splitlines()))
    assert not show_detail([status], "carol", Console(file=StringIO()))


async def test_streams_are_counted_and_shown_one_by_one() -> None:
    status = await alice_with_bob()
    (bob,) = status["dests"]
    assert "streams" not in overview(status)
    row = {"number": 16, "service": "[red]files", "state": "open", "attached": False}
    row |= {"bytes_in": 5, "bytes_out": 3_000, "queued": 0, "unread": 2_048}
    counted = dict.fromkeys(("opened", "accepted", "refused_here", "refused_there", "aborted", "evicted", "lost"), 7)
    bob["streams"] = {**counted, "count": 4_000, "rows": [row]}
    header, line = (each.split() for each in overview(status).splitlines() if each.startswith(("dest ", "bob ")))
    assert line[header.index("streams")] == "4000"
    text = detail("bob", status)
    assert "streams: 4000; 7 opened, 7 accepted" in text
    (shown,) = (each.split() for each in text.splitlines() if each.startswith("16 "))
    assert shown == ["16", "[red]files", "open,", "unused", "5", "B", "2.9", "KiB", "0", "B", "2.0", "KiB"]
    assert all(len(each) <= WIDTH for each in text.splitlines())


async def test_why_a_dest_is_not_up_and_what_next() -> None:
    status = await alice_with_bob()
    (bob,) = status["dests"]
    bob |= {"state": "detached", "wires": [], "cause": "nobody listens", "retry_in": 300.0, "cold": True}
    (line,) = (line for line in overview(status).splitlines() if line.startswith("bob "))
    assert "nobody listens" in line
    said = " ".join(overview(status).split())
    assert "cold: only probed now and then" in said
    assert "next attempt in 5 min" in said
    bob |= {"cold": False, "given_up": True, "retry_in": None}
    assert "given up: not dialled by itself any more" in " ".join(detail("bob", status).split())


async def test_who_left_and_what_happened_lately() -> None:
    status = await alice_with_bob()
    status["dests"] = []
    status["draining"] = True
    status["departed"] = [{"dest": "bob", "reason": "restart", "age": 12.0, "returning_in": 30.0}]
    status["history"] = [
        {"at": 5.0, "until": 65.0, "what": "connecting failed", "cause": "[red]x\x1b[2J", "times": 9, "dest": "dora"}
    ]
    text = overview(status)
    assert "leaving: takes nothing new" in text
    assert "bob said goodbye 12 s ago (restart); back in 30 s" in text
    assert "connecting failed: [red]x\N{REPLACEMENT CHARACTER}[2J; 9 times in 60 s" in " ".join(text.split())
    assert "dora" not in detail("bob", status)
    assert "9 times" in detail("dora", status)


async def test_durable_messages_that_wait_are_shown(tmp_path: Path) -> None:
    outbox, inbox = Outbox(tmp_path / "out"), Inbox(tmp_path / "in")
    async with OutprocTransportManager("alice", outbox=outbox, inbox=inbox) as alice:
        await alice.send("bob", b"later", payload_type=PayloadType.RPC_DURABLE)
        status = json.loads(json.dumps(status_of(alice)))
    text = overview(status)
    assert "outbox: 1 message (" in text
    (line,) = (line for line in text.splitlines() if line.startswith("bob ") and "no session" in line)
    assert line.split()[1] == "1"
    assert "inbox: 0 messages not committed" in text
    assert "no session" in detail("bob", status)


async def test_a_node_of_an_older_version_and_ids_that_look_like_markup() -> None:
    hub = Hub()
    name = "[red]bob[/red]"
    async with InprocTransportManager("alice", hub) as alice, InprocTransportManager(name, hub):
        await alice.send(name, "hello")
        status = status_of(alice)
    for key in ("outbox", "inbox", "history", "departed", "draining"):
        status.pop(key, None)
    for key in ("cause", "retry_in", "cold", "given_up", "history"):
        status["dests"][0].pop(key, None)
    assert name in overview(status)
    assert name in detail(name, status)


@pytest.mark.parametrize("size", ["x" * 255, "\u00e9" * 100])
async def test_long_ids_do_not_push_the_rest_off_the_screen(size: str) -> None:
    status = await alice_with_bob()
    status["dests"][0]["dest"] = size
    assert all(len(line) <= WIDTH for line in overview(status).splitlines())
