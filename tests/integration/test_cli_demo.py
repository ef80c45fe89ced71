"""`litz demo` as a user runs it: it proves what it says, and its verdict can be bad.

The parts are `outproc.cli.demo`, `outproc.cli.demo_node`, `outproc.cli.demo_wires` and `outproc.cli.demo_children`.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.integration.cli_process import Litz, litz

PATIENCE = 240.0
"""Seconds: processes that load WebRTC begin slowly on a busy machine."""


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def runs(pid: str) -> bool:
    """Whether the process is there and not just waiting to be reaped by whoever has adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_nothing_is_lost_while_wires_of_three_kinds_are_killed(tmp_path: Path) -> None:
    result = litz(tmp_path, "demo", "--seconds", "7", "--json", timeout=PATIENCE)
    verdict = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0, ""), verdict
    assert verdict["ok"]
    assert (verdict["lost"], verdict["doubled"], verdict["reordered"], verdict["damaged"]) == (0, 0, 0, 0)
    assert verdict["messages"] >= 3500
    assert verdict["not_shown"] == {}
    assert set(verdict["heals_by_kind"]) == {"websocket", "webrtc", "relay"}
    assert min(verdict["heals_by_kind"].values()) >= 1
    assert verdict["heals"] == sum(verdict["heals_by_kind"].values()) <= verdict["kills"]
    assert verdict["all_down"] >= 1


def test_where_webrtc_cannot_open_it_says_so_and_shows_the_others(tmp_path: Path) -> None:
    result = litz(tmp_path, "demo", "--seconds", "5", timeout=PATIENCE, LITZ_DEMO_NO_UDP="1")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert re.search(r"^WebRTC did not open \(.*\); going on with the others$", result.stdout, re.MULTILINE)
    *_, verdict, last = result.stdout.splitlines()
    assert re.match(r"OK: .*; healed: [1-9]\d* WebSocket, [1-9]\d* relay; 0 lost, 0 doubled, 0 reordered$", verdict)
    assert last.startswith("NOT SHOWN: WebRTC, which did not open here: ")


def test_the_verdict_can_fail(tmp_path: Path) -> None:
    """One message that the checkers do not get to see; `test_cli_demo_check` has the other faults."""
    options = ("--seconds", "1", "--min-messages", "1000000000", "--min-heals", "0", "--json")
    result = litz(tmp_path, "demo", *options, timeout=PATIENCE, LITZ_DEMO_SABOTAGE="drop")
    assert result.returncode == 1, result.stdout
    verdict = json.loads(result.stdout)
    assert not verdict["ok"]
    assert verdict["lost"] == 3
    assert [reason.split(" ", 1)[1] for reason in verdict["reasons"]] == [
        "messages were lost",
        "messages arrived, and at least 1000000000 had to",
    ]


def test_a_line_a_second_without_a_terminal_and_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    with Litz(tmp_path, "demo", "--seconds", "60") as demo:
        demo.hear(r"1\.\d s +[\d,]+ messages .* kills .* WebSocket \d+ WebRTC \d+ relay \d+ .* lost .* round trip")
        nodes = children_of(demo.process.pid)
        assert len(nodes) == 4
        demo.process.send_signal(signal.SIGINT)
        assert demo.wait() == 130
        assert "interrupted: no verdict" in demo.text
        assert "Traceback" not in demo.text
        assert not [pid for pid in nodes if runs(pid)]


def test_ctrl_c_in_a_terminal_does_not_disturb_nodes_that_still_begin(tmp_path: Path) -> None:
    """A terminal sends SIGINT to all of its foreground group: to the command and to children in the same group."""
    with Litz(tmp_path, "demo", "--seconds", "60") as demo:
        deadline = time.monotonic() + PATIENCE
        while len(nodes := children_of(demo.process.pid)) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        group = os.getpgid(demo.process.pid)
        # Between its fork and its own session a child is in the group of its parent, for a moment.
        soon = time.monotonic() + PATIENCE
        while any(os.getpgid(pid) == group for pid in map(int, nodes)) and time.monotonic() < soon:
            time.sleep(0.01)
        for pid in (*map(int, nodes), demo.process.pid):
            if os.getpgid(pid) == group:
                os.kill(pid, signal.SIGINT)
        assert demo.wait() == 130
        assert demo.text == "interrupted: no verdict\n"
        assert not [pid for pid in nodes if runs(pid)]


def test_the_nodes_end_with_a_killed_parent(tmp_path: Path) -> None:
    with Litz(tmp_path, "demo", "--seconds", "60") as demo:
        demo.hear("messages")
        nodes = [os.pidfd_open(int(pid)) for pid in children_of(demo.process.pid)]
        assert nodes
        demo.process.kill()
        demo.wait()
        for node in nodes:
            assert select.select([node], [], [], 20.0)[0], "a node lives on without its parent"
            os.close(node)


def test_the_installed_command_is_the_same() -> None:
    installed = Path(sys.executable).with_name("litz")
    done = subprocess.run([installed, "--version"], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout[:5]) == (0, "litz ")
