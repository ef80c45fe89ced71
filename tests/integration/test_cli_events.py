"""`litz events` in real processes: what it shows, and how it ends. The parts are `outproc.cli.events`,
`outproc.cli.event_feed` and `outproc.cli.control_socket`."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from tests.integration.cli_process import Litz, litz

UP = r"is up at (ws://\S+)"
AT = ("--listen", "ws://127.0.0.1:0")


def items(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_events_are_followed_until_the_node_ends(tmp_path: Path) -> None:
    with Litz(tmp_path, "up", "--id", "bob", *AT) as bob:
        url = bob.hear(UP)[1]
        with (
            Litz(tmp_path, "events", "--follow", "--json", "--node", "bob") as following,
            Litz(tmp_path, "events", "alice", "--follow", "--node", "bob") as interrupted,
        ):
            following.hear("node bob is up")
            interrupted.hear("node bob is up: listening at ws://")
            with Litz(tmp_path, "up", "--id", "alice", *AT, "--dest", f"bob={url}") as alice:
                following.hear('"event": "SessionStarted"')
                following.hear('"event": "WireUp"')
                interrupted.hear(r"alice +session started: number \d+, its id is a claim")
                interrupted.process.send_signal(signal.SIGINT)
                assert interrupted.wait() == 0, interrupted.text
                alice.process.send_signal(signal.SIGTERM)
                assert alice.wait() == 0
            following.hear('"event": "SessionEnded"')
            past = litz(tmp_path, "events", "alice")
            assert past.returncode == 0, past.stderr
            assert "alice     session ended: closed by peer" in past.stdout
            bob.process.send_signal(signal.SIGTERM)
            assert bob.wait() == 0
            assert following.wait() == 0, following.text
        assert "node bob has ended" in following.text
        told = items(following.text)
        assert [item["number"] for item in told] == list(range(len(told)))
        ended = next(item for item in told if item.get("event") == "SessionEnded")
        assert (ended["dest"], ended["fields"]["reason"]) == ("alice", "closed by peer")
    assert "Traceback" not in following.text + interrupted.text + bob.text
    nobody = litz(tmp_path, "events", "--follow")
    assert nobody.returncode == 1
    assert "start one with: litz up" in nobody.stderr


def test_a_node_that_is_killed_is_told_as_such(tmp_path: Path) -> None:
    with Litz(tmp_path, "up", "--id", "bob", *AT) as bob:
        bob.hear(UP)
        with Litz(tmp_path, "events", "-f", "--json") as following:
            following.hear("node bob is up")
            bob.process.kill()
            assert following.wait() == 1
        assert "node bob died, or was killed" in following.text
    assert "Traceback" not in following.text
