"""What `litz demo` concludes and shows (`outproc.cli.demo_verdict`, `outproc.cli.demo_table`)."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from outproc.cli.demo_kills import KINDS
from outproc.cli.demo_table import COLUMNS, line_of, table_of
from outproc.cli.demo_verdict import Demands, judge, too_little, totals_of


def wire(route: str, *carries: str, state: str = "spare") -> dict[str, Any]:
    return {"route": route, "state": state, "round_trip": 0.001, "carries": list(carries)}


def row(**changes: Any) -> dict[str, Any]:
    wires = {
        "websocket": wire("direct", "rpc", "signal", "stream", state="in use"),
        "webrtc": wire("direct"),
        "relay": wire("relay", state="sick"),
    }
    base = {"dest": "bob", "state": "connected", "wires": wires, "session": 0, "round_trip": 0.001, "received": 100}
    heals = {"heals": dict.fromkeys(KINDS, 3), "all_down": 1, "killed": 2, "opened": list(KINDS), "trouble": {}}
    return {**base, **heals, "lost": 0, "doubled": 0, "reordered": 0, "damaged": 0, **changes}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"lost": 1}, "1 messages were lost"),
        ({"doubled": 2}, "2 messages were doubled"),
        ({"reordered": 1}, "reordered"),
        ({"damaged": 1}, "damaged"),
        ({"session": 1}, "alice lost its session with bob"),
        ({"received": 99}, "99 messages arrived, and at least 100 had to"),
        ({"heals": {"websocket": 2, "webrtc": 3, "relay": 3}}, "2 heals of WebSocket wires happened, and at least 3"),
        ({"heals": {"websocket": 3, "webrtc": 2, "relay": 3}}, "2 heals of WebRTC wires happened, and at least 3"),
        ({"heals": {"websocket": 3, "webrtc": 3, "relay": 0}}, "0 heals of relay wires happened, and at least 3"),
        ({"all_down": 0}, "no pair lost all of its wires at once"),
        ({"opened": ["websocket", "webrtc"]}, "relay wires never opened"),
    ],
)
def test_the_verdict(changes: dict[str, Any], reason: str) -> None:
    rows = {"alice": [row(**changes)], "bob": []}
    verdict = judge(rows, [], seconds=1, kills=5, demands=Demands(messages=100, heals=3))
    assert verdict.good == (not reason)
    assert verdict.plain()["ok"] == verdict.good
    assert len(verdict.reasons) == bool(reason)
    assert reason in str(verdict)
    assert str(verdict).startswith("OK" if verdict.good else "FAILED")


def test_what_is_lacking_may_still_come() -> None:
    demands = Demands(messages=100, heals=3)
    assert too_little({"alice": [row()], "bob": []}, demands) == []
    assert len(too_little({"alice": [row(received=99, all_down=0)], "bob": []}, demands)) == 2
    assert too_little({"alice": [row(lost=1, session=1)], "bob": []}, demands) == [], "more time does not mend that"


def test_webrtc_that_never_opened_is_told_and_the_rest_must_be_right() -> None:
    heals = {"websocket": 3, "webrtc": 0, "relay": 3}
    blocked = row(opened=["websocket", "relay"], trouble={"webrtc": "TimeoutError: no path"}, heals=heals)
    demands = Demands(messages=100, heals=3)
    verdict = judge({"alice": [blocked]}, [], seconds=1, kills=1, demands=demands)
    assert verdict.good
    assert verdict.plain()["not_shown"] == {"webrtc": "TimeoutError: no path"}
    assert str(verdict).endswith("\nNOT SHOWN: WebRTC, which did not open here: TimeoutError: no path")
    assert not judge({"alice": [{**blocked, "lost": 1}]}, [], seconds=1, kills=1, demands=demands).good
    # One that did open between any two, and was not healed, is a fault.
    assert not judge({"alice": [blocked, row(dest="carol", heals=heals)]}, [], seconds=1, kills=1, demands=demands).good


def test_a_complaint_of_a_node_makes_the_verdict_bad() -> None:
    verdict = judge({"alice": [row()]}, ["alice could not"], seconds=1, kills=1, demands=Demands(0, 0))
    assert verdict.reasons == ("alice could not",)


def test_one_heal_seen_by_both_sides_counts_once() -> None:
    more = {"websocket": 4, "webrtc": 1, "relay": 3}
    totals = totals_of({"alice": [row()], "bob": [row(dest="alice", heals=more, all_down=2)]})
    assert totals.heals_by_kind == {"websocket": 4, "webrtc": 3, "relay": 3}
    assert (totals.heals, totals.all_down, totals.messages) == (10, 2, 200)


def test_six_dests_with_three_wires_each_fit_a_terminal_of_100_columns_and_24_lines() -> None:
    long = {kind: wire("direct", "rpc", "signal", state="in use") for kind in KINDS}
    some = [row(received=9_999_999), row(dest="carol", wires=long)]
    rows = dict.fromkeys(("alice", "bob", "carol"), some)
    console = Console(width=100, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(table_of(rows, {("alice", "bob"): 12345.0}, "title"))
    lines = [" ".join(line.split()) for line in capture.get().splitlines()]
    assert lines[1] == " ".join(COLUMNS)
    assert len(lines) == 2 + 18
    assert not any("…" in line for line in lines)
    first, second, third = lines[2:5]
    assert first == "alice bob WebSocket direct in use 1.0 ms all 3 12,345/s 0 0 0"
    assert second == "WebRTC direct spare 1.0 ms 3"
    assert third == "relay relay sick 1.0 ms 3"


def test_in_80_columns_the_faults_share_a_column() -> None:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(table_of({"alice": [row(doubled=2)]}, {("alice", "bob"): 2345.0}, "title", width=80))
    lines = [" ".join(line.split()) for line in capture.get().splitlines()]
    assert lines[1].endswith("heals rate faults")
    assert lines[2] == "alice bob WebSocket direct in use 1.0 ms all 3 2,345/s 0/2/0"


@pytest.mark.parametrize(("opened", "state"), [(["relay"], "healing"), ([], "opening")])
def test_a_wire_that_is_not_there_is_shown_too(opened: list[str], state: str) -> None:
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(table_of({"alice": [row(wires={}, opened=opened)]}, {}, "title"))
    assert capture.get().splitlines()[4].split() == ["relay", state, "3"]


def test_the_line_without_a_terminal_has_the_heals_of_each_kind() -> None:
    line = line_of({"alice": [row()]}, seconds=1, kills=2)
    assert "100 messages" in line
    assert "2 kills  heals: WebSocket 3 WebRTC 3 relay 3  0 lost" in line
