"""The command line with mutual TLS, tokens and `--allow`, and SIGHUP, which reads keys and certificates again.

Covers `outproc.cli.credentials`, `outproc.cli.hangup`, `outproc.security.secret_file`.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from outproc.cli.main import main
from outproc.security.keys import add_trust, new_key, remove_trust
from tests.integration.cli_process import Litz, litz
from tests.integration.identities import (
    authority,
    issuer_key,
    node_key,
    public_pem,
    secret_pem,
    stranger_authority,
    token,
)

WSS = "wss://127.0.0.1:0"
WS = "ws://127.0.0.1:0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With what a and b need."""
    (tmp_path / "in").mkdir()
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "ca.pem").write_bytes(authority().pem)
    for name in ("a", "b"):
        (tmp_path / f"{name}.pem").write_bytes(b"".join(authority().issue(name)))
        private(tmp_path / f"{name}.token", token(name, "litz", holder=node_key(name)).encode())
        private(tmp_path / f"{name}.key", secret_pem(node_key(name)))
    (tmp_path / "issuer.pem").write_bytes(public_pem(issuer_key()))
    return tmp_path


def private(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def with_mtls(name: str) -> list[str]:
    return ["--id", name, "--mtls", "--cert", f"{name}.pem", "--ca", "ca.pem"]


def with_tokens(name: str) -> list[str]:
    own = ["--id", name, "--token-file", f"{name}.token", "--key", f"{name}.key"]
    return [*own, "--token-authority", "issuer.pem", "--token-issuer", "https://issuer.example"]


@pytest.mark.parametrize(
    ("listen", "to", "of_b", "of_a"),
    [
        (WSS, "wss", with_mtls("b"), with_mtls("a")),
        (WS, "ws", with_tokens("b"), with_tokens("a")),
    ],
    ids=["mtls", "token"],
)
def test_a_file_crosses(folder: Path, listen: str, to: str, of_b: Sequence[str], of_a: Sequence[str]) -> None:
    with Litz(folder, "recv", "--listen", listen, *of_b, "--allow", "a", "--dir", "in") as recv:
        port = recv.hear(rf"--to {to}://127\.0\.0\.1:(\d+)").group(1)
        done = litz(folder, "send", "file", "b", "--to", f"{to}://127.0.0.1:{port}", *of_a)
        assert done.returncode == 0, done.stderr
        assert recv.wait() == 0
    assert (folder / "in" / "file").read_bytes() == b"x" * 100_000


def test_who_is_not_allowed_sends_nothing(folder: Path) -> None:
    with Litz(folder, "recv", "--listen", WSS, *with_mtls("b"), "--allow", "c", "--dir", "in") as recv:
        port = recv.hear(r"--to wss://127\.0\.0\.1:(\d+)").group(1)
        done = litz(folder, "send", "file", "b", "--to", f"wss://127.0.0.1:{port}", *with_mtls("a"))
        assert done.returncode == 1
        assert "did not accept this node as 'a'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["--mtls"], "--mtls needs --cert FILE"),
        (["--mtls", "--cert", "a.pem"], "--mtls needs --cert FILE"),
        (["--mtls", "--cert", "a.pem", "--ca", "gone.pem"], "there is no file gone.pem (the authority)"),
        (["--mtls", "--cert", "a.pem", "--ca", "file"], "file holds no certificate of an authority"),
        (["--token-file", "a.token"], "--token-file needs --id ID"),
        (["--id", "a", "--token-file", "a.token", "--trust", "t"], "either --token-file, or --trust"),
        (["--id", "a", "--token-file", "gone", "--token-authority", "issuer.pem"], "there is no token file gone"),
        (["--id", "a", "--token-file", "file", "--token-authority", "issuer.pem"], "others can read the token file"),
        (["--id", "a", "--token-file", "a.token", "--token-authority", "file"], "public key in PEM"),
        (
            ["--id", "a", "--token-file", "a.token", "--token-authority", "issuer.pem", "--token-algorithm", "none"],
            "algorithm is one of",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(
    folder: Path,
    arguments: Sequence[str],
    cure: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (folder / "file").chmod(0o644)
    monkeypatch.chdir(folder)
    assert main(["up", "--listen", WS, *arguments]) == 2
    said = capfd.readouterr().err
    assert cure in said
    assert "eyJ" not in said


def test_sighup_reads_keys_and_trust_again_and_drops_who_is_not_trusted_any_more(folder: Path) -> None:
    for name in ("amy", "bob"):
        (folder / f"{name}.public").write_text(new_key(folder / f"{name}.id"))
    trust = folder / "trust"
    for name in ("amy", "bob"):
        add_trust(trust, name, (folder / f"{name}.public").read_text())
    keys = ["--trust", str(trust), "--listen", WS]
    with Litz(folder, "up", "--id", "bob", "--key", "bob.id", *keys) as bob:
        port = bob.hear(r"bob is up at ws://127\.0\.0\.1:(\d+)").group(1)
        dest = ["--dest", f"bob=ws://127.0.0.1:{port}"]
        with Litz(folder, "up", "--id", "amy", "--key", "amy.id", *keys, *dest) as amy:
            amy.hear("amy is up")
            assert connected(folder, "amy")
            bob.process.send_signal(signal.SIGHUP)
            bob.hear("read again; dropped: nobody")
            text = trust.read_text()
            trust.write_text("amy not-a-key\n")
            bob.process.send_signal(signal.SIGHUP)
            bob.hear("the old keys and certificates stay in force: .*trust, line 1")
            assert connected(folder, "amy")
            trust.write_text(text)
            remove_trust(trust, "amy")
            bob.process.send_signal(signal.SIGHUP)
            bob.hear("read again; dropped: amy")


def test_sighup_renews_a_certificate_and_takes_an_authority_out_of_use(folder: Path) -> None:
    (folder / "ca.pem").write_bytes(authority().pem + stranger_authority().pem)
    (folder / "a.pem").write_bytes(b"".join(stranger_authority().issue("a")))
    with Litz(folder, "up", "--listen", WSS, *with_mtls("b")) as b:
        port = b.hear(r"b is up at wss://127\.0\.0\.1:(\d+)").group(1)
        with Litz(folder, "up", *with_mtls("a"), "--listen", WS, "--dest", f"b=wss://127.0.0.1:{port}") as a:
            a.hear("a is up")
            assert connected(folder, "a")
            (folder / "b.pem").write_bytes(b"".join(authority().issue("b")))
            b.process.send_signal(signal.SIGHUP)
            b.hear("read again; dropped: nobody")
            (folder / "b.pem").write_text("damaged")
            b.process.send_signal(signal.SIGHUP)
            b.hear("the old keys and certificates stay in force: .*b.pem")
            (folder / "b.pem").write_bytes(b"".join(authority().issue("b")))
            (folder / "ca.pem").write_bytes(authority().pem)
            b.process.send_signal(signal.SIGHUP)
            b.hear("read again; dropped: a")
    assert "Traceback" not in b.text


def connected(folder: Path, name: str) -> bool:
    return any("connected" in litz(folder, "status", "--node", name).stdout for _ in range(100))
