"""`litz chat` in real processes, as people try it. The parts are `outproc.cli.chat`, `outproc.cli.chat_talk`,
`outproc.cli.typed_lines` and `outproc.cli.local_nodes`."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path

import pytest

from outproc.cli.main import main
from tests.integration.cli_process import Litz, litz
from tests.integration.outproc_nodes import LOOPBACK, node
from tests.integration.small_proxies import SmallHttpProxy

UP = r"is up at (ws://\S+)"


def chat(folder: Path, *arguments: str) -> Litz:
    """A chat whose input is written by the test."""
    return Litz(folder, "chat", *arguments, stdin=subprocess.PIPE)


def type_line(who: Litz, text: str) -> None:
    assert who.process.stdin is not None
    who.process.stdin.write(text + "\n")
    who.process.stdin.flush()


def end_input(who: Litz) -> None:
    assert who.process.stdin is not None
    who.process.stdin.close()


def test_two_terminals(tmp_path: Path) -> None:
    with chat(tmp_path, "bob", "--id", "alice") as alice:
        type_line(alice, "are you there?")
        alice.hear("-- bob is not here; waiting for: litz chat alice --id bob")
        with chat(tmp_path, "alice", "--id", "bob") as bob:
            bob.hear("^alice: are you there\\?$")
            type_line(bob, "yes: \x1b[2J")
            alice.hear("^bob: yes: \N{REPLACEMENT CHARACTER}\\[2J$")
            bob.process.kill()
            alice.hear("-- .*(wire was lost|cannot be reached|is not here)")
            type_line(alice, "typed while bob was dead")
        with chat(tmp_path, "alice", "--id", "bob") as bob:
            bob.hear("^alice: typed while bob was dead$")
            alice.hear("-- connected to bob, which was restarted")
            type_line(alice, "bye")
            end_input(alice)
            assert alice.wait() == 0, alice.text
            bob.hear("^alice: bye$")
            bob.hear("-- alice has left")
            bob.process.send_signal(signal.SIGINT)
            assert bob.wait() == 0, bob.text
    assert "Traceback" not in alice.text + bob.text
    assert alice.text.count("bob: yes") == 1


def test_with_a_node_that_echoes_and_in_a_pipe(tmp_path: Path) -> None:
    with Litz(tmp_path, "up", "--id", "bob", "--listen", "ws://127.0.0.1:0") as bob:
        bob.hear(UP)
        piped = litz(tmp_path, "chat", "bob", "--id", "alice", stdin=b"one\ntwo\nthree")
        assert (piped.returncode, piped.stdout) == (0, "bob: one\nbob: two\nbob: three\n"), piped.stderr
        assert "-- connected to bob" in piped.stderr
    nobody = litz(tmp_path, "chat", "dora", "--id", "alice", "--timeout", "0", stdin=b"hello\n")
    assert nobody.returncode == 1
    assert nobody.stderr.splitlines()[-1] == "litz: not confirmed by dora: hello"


def test_a_chat_with_oneself_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "alice", "--id", "alice"]) == 2
    assert "give --id" in capsys.readouterr().err


async def test_a_chat_through_a_proxy(tmp_path: Path) -> None:
    """Also of `outproc.cli.proxy_option`."""
    async with SmallHttpProxy(user="me", password="secret-of-mine") as proxy, node("bob", listen=LOOPBACK) as bob:
        heard: list[bytes] = []
        serving = asyncio.create_task(bob.serve(lambda message: heard.append(bytes(message.data))))
        arguments = ("chat", "bob", "--id", "alice", "--to", bob.endpoints[0], "--proxy")
        piped = await asyncio.to_thread(litz, tmp_path, *arguments, proxy.url, stdin=b"hello\n")
        assert piped.returncode == 0, piped.stderr
        assert heard == [b"hello"]
        assert proxy.tunnels >= 1
        wrong = proxy.url.replace("secret-of-mine", "guessed")
        refused = await asyncio.to_thread(litz, tmp_path, *arguments, wrong, "--timeout", "0", stdin=b"again\n")
        assert refused.returncode == 1
        assert "guessed" not in refused.stderr
        serving.cancel()
        await asyncio.wait([serving])


def test_a_proxy_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "bob", "--id", "alice", "--proxy", "ftp://me:pw-secret@host"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("litz: --proxy: this is no URL of a proxy")
    assert "pw-secret" not in told
