"""`litz up`, `status` and `key` in real processes.

The parts are `outproc.cli.up`, `outproc.cli.status`, `outproc.cli.ping`, `outproc.cli.key`,
`outproc.cli.main` and `outproc.cli.running`.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path

import pytest

from litz import PayloadType
from outproc import OutprocTransportManager, TransportOptions
from outproc.cli.main import main
from outproc.security import SharedKeyAuthenticator
from tests.integration.cli_process import Litz, litz, short_folder

UP = r"is up at (ws://\S+)"


def test_a_node_is_up_is_shown_and_ends(tmp_path: Path) -> None:
    with Litz(tmp_path, "up", "--id", "bob", "--listen", "ws://127.0.0.1:0") as bob:
        url = bob.hear(UP)[1]
        with Litz(tmp_path, "up", "--id", "alice", "--listen", "ws://127.0.0.1:0", "--dest", f"bob={url}") as alice:
            alice.hear(UP)
            deadline = time.monotonic() + 20
            nodes: dict[str, dict[str, object]] = {}
            while time.monotonic() < deadline:
                answer = json.loads(litz(tmp_path, "status", "--json").stdout)
                nodes = {node["local_id"]: node for node in answer["nodes"]}
                if all(node["dests"] for node in answer["nodes"]) and len(nodes) == 2:
                    break
            assert nodes["bob"]["endpoints"] == [url]
            only = json.loads(litz(tmp_path, "status", "--json", "--node", "alice").stdout)["nodes"]
            (dest,) = only[0]["dests"]
            assert (dest["dest"], dest["state"], dest["verified"]) == ("bob", "connected", False)
            assert dest["wires"][0]["kind"] == "websocket"
            assert dest["slots"][0]["endpoint"] == url
            assert {lane["lane"] for lane in dest["lanes"]} >= {0, 1, 2, 3, 8}
            overview = litz(tmp_path, "status").stdout
            assert all(word in overview for word in ("node alice", "node bob", "connected", "websocket")), overview
            tables = litz(tmp_path, "status", "bob").stdout
            words = ("node alice", "wires", "endpoints", "which wire carries what", "history", "session started")
            assert all(word in tables for word in words), tables
            about = json.loads(litz(tmp_path, "status", "bob", "--json").stdout)["nodes"]
            assert [(node["local_id"], [each["dest"] for each in node["dests"]]) for node in about] == [
                ("alice", ["bob"])
            ]
            unknown = litz(tmp_path, "status", "dora")
            assert unknown.returncode == 1
            assert "knows 'dora'" in unknown.stderr
            # A WebRTC wire may have come up beside the WebSocket, which is preferred.
            assert "the only wire that may carry it" in tables or "prefer" in tables
            pinged = litz(tmp_path, "ping", "bob", "--count", "2", "--json")
            assert pinged.returncode == 0, pinged.stderr
            (ping,) = json.loads(pinged.stdout)["pings"]
            wire = next(each for each in ping["wires"] if each["kind"] == "websocket")
            assert (ping["node"], ping["dest"], wire["kind"], wire["route"]) == ("alice", "bob", "websocket", "direct")
            assert len(wire["round_trips"]) == 2
            assert all(0 <= trip < 5 for trip in wire["round_trips"])
            assert all(lane["kind"] == "websocket" for lane in ping["lanes"] if lane["wire"])
            shown = litz(tmp_path, "ping", "bob").stdout
            assert all(word in shown for word in ("alice to bob: ", "1/1", "in use", "RPC_SIGNAL", "why"))
            nobody = litz(tmp_path, "ping", "carol")
            assert nobody.returncode == 1
            assert "no session with carol" in nobody.stderr
            assert Path(short_folder(tmp_path)).stat().st_mode & 0o777 == 0o700
            assert {path.stat().st_mode & 0o777 for path in Path(short_folder(tmp_path)).iterdir()} == {0o600}
            again = litz(tmp_path, "up", "--id", "alice", "--listen", "ws://127.0.0.1:0")
            assert again.returncode == 1
            assert "choose another --id" in again.stderr
            alice.process.send_signal(signal.SIGTERM)
            assert alice.wait(TransportOptions().close_timeout) == 0
            assert "says goodbye" in alice.text
        bob.process.send_signal(signal.SIGINT)
        assert bob.wait(TransportOptions().close_timeout) == 0
    assert "Traceback" not in alice.text + bob.text
    assert list(Path(short_folder(tmp_path)).iterdir()) == []


async def test_echo_answers_requests(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("0123456789abcdef0123456789abcdef\n")
    with Litz(tmp_path, "up", "--id", "bob", "--listen", "ws://127.0.0.1:0", "--shared-key-file", secret) as bob:
        url = (await asyncio.to_thread(bob.hear, UP))[1]
        member = SharedKeyAuthenticator("0123456789abcdef0123456789abcdef")
        async with OutprocTransportManager("alice", directory={"bob": [url]}, authenticator=member) as alice:
            assert await alice.request("bob", b"hello", timeout=120) == b"hello"
            await alice.send("bob", b"dropped", payload_type=PayloadType.RPC_SIGNAL, confirm="processed")


def test_a_dead_nodes_socket_is_no_node_and_is_replaced(tmp_path: Path) -> None:
    with Litz(tmp_path, "up", "--id", "bob", "--listen", "ws://127.0.0.1:0") as bob:
        bob.hear(UP)
        bob.process.kill()
        bob.wait()
    assert len(list(Path(short_folder(tmp_path)).iterdir())) == 1
    shown = litz(tmp_path, "status")
    assert shown.returncode == 1
    assert "start one with: litz up" in shown.stderr
    with Litz(tmp_path, "up", "--id", "bob", "--listen", "ws://127.0.0.1:0") as bob:
        bob.hear(UP)
        assert litz(tmp_path, "status", "--node", "bob").returncode == 0


def test_keys_that_the_command_made_prove_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def key(*words: str) -> list[str]:
        assert main(["key", *words]) == 0
        return capsys.readouterr().out.splitlines()

    alice, bob, trust = (str(tmp_path / name) for name in ("alice.key", "bob.key", "bob.trust"))
    key("new", alice)
    key("new", bob)
    key("trust", "alice", key("show", alice)[0], "--trust", trust)
    (tmp_path / "file").write_bytes(b"content")
    options = ("--key", bob, "--trust", trust, "--dir", tmp_path)
    with Litz(tmp_path, "recv", *options, "--listen", "ws://0.0.0.0:0") as recv:
        port = recv.hear(r"--to ws://0\.0\.0\.0:(\d+)")[1]
        target = ("file", key("show", bob)[1], "--to", f"ws://127.0.0.1:{port}", "--trust", tmp_path / "none")
        # Bob's own key is not the one that is trusted for alice.
        stranger = litz(tmp_path, "send", *target, "--key", bob, "--id", "alice")
        assert stranger.returncode == 1, stranger.stderr
        sent = litz(tmp_path, "send", *target, "--key", alice, "--id", "alice")
        assert sent.returncode == 0, sent.stderr
        assert recv.wait() == 0
    assert (tmp_path / "file (1)").read_bytes() == b"content"
