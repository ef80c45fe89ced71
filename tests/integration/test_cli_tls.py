"""`litz up`, `recv` and `send` over `wss://` with a certificate of one's own, and what is said when it is not right.

Covers `outproc.cli.tls_options`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration.cli_process import Litz, litz
from tests.unit.outproc_websocket.certificates import pem_pair

WSS = "wss://127.0.0.1:0"


def new_key(encryption: serialization.KeySerializationEncryption) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a certificate, its key, another key, one with a password, and what is neither."""
    certificate, key = pem_pair()
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "both.pem").write_bytes(certificate + key)
    (tmp_path / "other.pem").write_bytes(new_key(serialization.NoEncryption()))
    (tmp_path / "locked.pem").write_bytes(new_key(serialization.BestAvailableEncryption(b"secret")))
    (tmp_path / "text.pem").write_text("nothing of the kind")
    (tmp_path / "in").mkdir()
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    return tmp_path


@pytest.mark.parametrize("pair", [("--cert", "cert.pem", "--cert-key", "key.pem"), ("--cert", "both.pem")])
def test_a_file_crosses_over_tls_to_who_trusts_the_authority(folder: Path, pair: Sequence[str]) -> None:
    with Litz(folder, "recv", "--listen", WSS, *pair, "--dir", "in") as recv:
        port = recv.hear(r"--to wss://127\.0\.0\.1:(\d+)").group(1)
        done = litz(folder, "send", "file", "recv", "--to", f"wss://127.0.0.1:{port}", "--ca", "cert.pem")
        assert done.returncode == 0, done.stderr
        assert recv.wait() == 0
    assert (folder / "in" / "file").read_bytes() == b"x" * 100_000


def test_who_does_not_trust_the_authority_is_told_the_cure(folder: Path) -> None:
    with Litz(folder, "recv", "--listen", WSS, "--cert", "both.pem", "--dir", "in") as recv:
        port = recv.hear(r"--to wss://127\.0\.0\.1:(\d+)").group(1)
        done = litz(folder, "send", "file", "recv", "--to", f"wss://127.0.0.1:{port}")
        assert done.returncode == 1
        assert "is not trusted" in done.stderr
        assert "--ca FILE" in done.stderr


def test_a_node_listens_on_both_and_another_stays_connected_to_it(folder: Path) -> None:
    ports = ("--listen", WSS, "--listen", "ws://127.0.0.1:0", "--cert", "both.pem")
    with Litz(folder, "up", "--id", "bob", *ports) as bob:
        port = bob.hear(r"bob is up at wss://127\.0\.0\.1:(\d+), ws://").group(1)
        dest = f"bob=wss://127.0.0.1:{port}"
        with Litz(
            folder, "up", "--id", "amy", "--listen", "ws://127.0.0.1:0", "--dest", dest, "--ca", "cert.pem"
        ) as amy:
            amy.hear("amy is up")
            status = ""
            for _ in range(100):
                status = litz(folder, "status", "--node", "amy").stdout
                if "connected" in status:
                    break
            assert "connected" in status


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["--listen", WSS], f"{WSS} needs a certificate: give --cert FILE"),
        (
            ["--cert", "cert.pem", "--cert-key", "key.pem"],
            "--cert is for wss:// ports, and this is ws://127.0.0.1:8400",
        ),
        (["--listen", WSS, "--cert-key", "key.pem"], "--cert-key needs --cert FILE"),
        (["--listen", WSS, "--cert", "gone.pem"], f"no file gone.pem (the certificate for {WSS})"),
        (["--listen", WSS, "--cert", "cert.pem", "--cert-key", "gone.pem"], "no file gone.pem (the private key for"),
        (["--listen", WSS, "--cert", "in"], "cannot read in"),
        (["--listen", WSS, "--cert", "cert.pem", "--cert-key", "other.pem"], "does not belong to the certificate in"),
        (["--listen", WSS, "--cert", "cert.pem"], "give --cert-key FILE"),
        (["--listen", WSS, "--cert", "text.pem", "--cert-key", "key.pem"], "a certificate and its private key in PEM"),
        (["--listen", WSS, "--cert", "cert.pem", "--cert-key", "locked.pem"], "has a password"),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(folder: Path, arguments: Sequence[str], cure: str) -> None:
    for verb in ("up", "recv"):
        done = litz(folder, verb, *arguments)
        assert done.returncode == 2, done.stderr
        assert cure in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("file", "cure"), [("gone.pem", "no file gone.pem (the authority)"), ("text.pem", "text.pem holds no certificate")]
)
def test_an_authority_that_is_none_is_named(folder: Path, file: str, cure: str) -> None:
    done = litz(folder, "send", "file", "recv", "--to", "wss://127.0.0.1:1", "--ca", file)
    assert done.returncode == 2, done.stderr
    assert cure in done.stderr
