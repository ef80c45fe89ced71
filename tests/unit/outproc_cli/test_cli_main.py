"""The command line: wrong usage names its cure, and every help text has an example.

Also of `outproc.cli.node_options`, `outproc.cli.joining_node` and `outproc.cli.key`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from outproc.cli.main import main
from outproc.cli.outcome import CommandError
from tests.integration.cli_process import ROOT, short_folder

WRONG = [
    (("up", "--listen", "ws://0.0.0.0:0"), "--shared-key-file FILE, or listen on 127.0.0.1"),
    (("up", "--listen", "pigeon://loft"), "schemes there are: relay, unix, webrtc, ws, wss"),
    (("up", "--id", "a b"), "space"),
    (("up", "--key", "missing"), "litz key new"),
    (("up", "--trust", "missing"), "--trust needs --key"),
    (("up", "--key", "k", "--shared-key-file", "s"), "either --key and --trust, or --shared-key-file"),
    (("up", "--shared-key-file", "missing"), "openssl rand -hex 32"),
    (("up", "--shared-key-file", "open"), "chmod 600 open"),
    (("up", "--shared-key-file", "short"), "openssl rand -hex 32"),
    (("up", "--dest", "bob"), "--dest bob=ws://"),
    (("up", "--serve", "recv", "--dir", "missing", "--listen", "ws://127.0.0.1:0"), "choose another with --dir"),
    (("up", "--expose", "ssh"), "ssh=127.0.0.1:22"),
    (("up", "--forward", "2222=bob"), "2222=bob:ssh"),
    (("expose", "22"), "ssh=127.0.0.1:22"),
    (("expose", "bob:ssh=127.0.0.1:22", "--id", "alice"), "one command is for one node"),
    (("forward", "22"), "2222=bob:ssh"),
    (("forward", "0=bob:a", "0=carol:b", "--to", "ws://127.0.0.1:1"), "--dest ID=URL"),
    (("recv", "--count", "0"), "--forever"),
    (("demo", "--seconds", "0"), "--seconds is between"),
    (("send", ".", "bob", "--to", "ws://127.0.0.1:1"), "litz send -"),
    (("send", "short", "b b", "--to", "ws://127.0.0.1:1"), "space"),
    (("send", "short", "bob"), "--to"),
    (("key", "show", "missing"), "litz key new"),
    (("key", "trust", "bob", "nonsense"), "looks like ed25519-public:"),
    (("nonsense",), "invalid choice"),
    ((), "COMMAND"),
]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LITZ_RUNTIME_DIR", short_folder(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name, mode, text in (("open", 0o644, "x" * 32), ("short", 0o600, "word")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)


def run(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as end:  # argparse
        assert isinstance(end.code, int)
        return end.code


@pytest.mark.parametrize(("arguments", "cure"), WRONG, ids=[" ".join(words) or "nothing" for words, _ in WRONG])
def test_wrong_usage_names_the_cure(arguments: tuple[str, ...], cure: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert cure in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("send", "missing", "bob", "--to", "ws://127.0.0.1:1"), "No such file or directory: missing"),
        (("send", "short", "bob", "--to", "ws://127.0.0.1:1"), "cannot reach bob; ws://127.0.0.1:1: Connection"),
        (("status",), "start one with: litz up"),
        (("status", "--node", "bob", "--json"), "no node 'bob' of yours runs here"),
    ],
)
def test_failures_exit_with_1(arguments: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 1
    assert text in capsys.readouterr().err


def test_what_a_peer_says_in_an_error_does_nothing_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(arguments: object) -> int:
        raise CommandError("bob refused the file: \x1b[2Jno\nlitz: \x9b31mall is well")

    monkeypatch.setattr("outproc.cli.ping._run", refused)
    assert main(["ping", "bob"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "litz: bob refused the file: \ufffd[2Jno litz: \ufffd31mall is well"
    ]


def test_a_taken_address_names_the_cure(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run("up", "--id", "bob", "--listen", f"ws://127.0.0.1:{taken.getsockname()[1]}") == 1
    assert "port 0 picks a free one" in capsys.readouterr().err


def test_a_node_that_runs_is_not_given_other_keys_and_ports(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for command, wanted in (("forward", "0=bob:ssh"), ("expose", "ssh=127.0.0.1:22")):
        monkeypatch.setattr(f"outproc.cli.{command}.running_node", Path)
        assert run(command, wanted, "--id", "alice", "--listen", "ws://127.0.0.1:0", "--key", "k") == 2
        assert "leave out --listen, --key, or give another --id" in capsys.readouterr().err


def test_a_taken_port_of_a_forward_names_the_cure(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run("forward", f"{taken.getsockname()[1]}=bob:ssh", "--to", "ws://127.0.0.1:1") == 1
    assert "choose another PORT (0 picks a free one)" in capsys.readouterr().err


def test_default_key_and_trust_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("key", "new") == 0
    made = capsys.readouterr().out
    assert run("key", "new") == 2
    assert "never overwritten" in capsys.readouterr().err
    assert run("key", "show") == 0
    public, own_id = capsys.readouterr().out.splitlines()
    assert public in made
    assert own_id in made
    assert own_id.startswith("ed25519:")
    assert (tmp_path / "config" / "litz" / "key").stat().st_mode & 0o777 == 0o600
    assert run("key", "trust", "bob", public) == 0
    assert run("key", "trust", "bob", public) == 0
    assert "says so already" in capsys.readouterr().out
    assert (tmp_path / "config" / "litz" / "trust").read_text() == f"bob {public}\n"
    assert run("key", "distrust", "bob") == 0
    assert (tmp_path / "config" / "litz" / "trust").read_text() == ""
    assert run("key", "distrust", "bob") == 2


@pytest.mark.parametrize(
    "words",
    [(), ("demo",), ("up",), ("send",), ("recv",), ("expose",), ("forward",), ("status",), ("key",)]
    + [("key", verb) for verb in ("new", "show", "trust", "distrust")],
    ids=" ".join,
)
def test_help_has_an_example(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words, "--help") == 0
    shown = capsys.readouterr().out
    assert "example" in shown
    assert "demo-node" not in shown
    assert len(words) == 2 or "exit codes: 0 done" in shown


def test_a_runtime_directory_that_others_can_enter_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path(os.environ["LITZ_RUNTIME_DIR"]).mkdir(mode=0o755)
    assert run("status") == 1
    assert "chmod 700" in capsys.readouterr().err


def test_control_c_while_it_loads_is_no_traceback() -> None:
    """Of `outproc.cli.entry`, in a process that is interrupted at its first heavy import."""
    code = """
import sys, signal, os
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "outproc.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from outproc.cli.entry import main
assert "outproc.manager" not in sys.modules, "so much was loaded before anybody could catch it"
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (130, "")
