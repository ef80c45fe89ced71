"""Key files and trust files: made safe, refused when they are not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from outproc.security import Ed25519Authenticator, KeyFileError, public_key_text
from outproc.security.keys import add_trust, load_key, load_trust, new_key, remove_trust

ALICE = Ed25519Authenticator(b"a" * 32)
MALLORY = Ed25519Authenticator(b"m" * 32)
ALICE_TEXT = public_key_text(ALICE.public_key)
MALLORY_TEXT = public_key_text(MALLORY.public_key)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write(path: Path, data: bytes, permissions: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(permissions)
    return path


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_new_key_is_for_its_owner_only_and_can_be_loaded(tmp_path: Path, umask: int) -> None:
    previous = os.umask(umask)
    try:
        text = new_key(tmp_path / "key.pem")
    finally:
        os.umask(previous)
    assert mode(tmp_path / "key.pem") == 0o600
    loaded = load_key(tmp_path / "key.pem")
    assert public_key_text(loaded.public_key().public_bytes_raw()) == text


def test_missing_directories_are_made_for_the_owner_only(tmp_path: Path) -> None:
    new_key(tmp_path / "a" / "key.pem")
    assert mode(tmp_path / "a") == 0o700


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    new_key(path)
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match="never overwritten"):
        new_key(path)
    assert path.read_bytes() == before
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(KeyFileError):
        new_key(tmp_path / "link")
    assert not (tmp_path / "nowhere").exists()


def test_a_key_file_that_cannot_be_made(tmp_path: Path) -> None:
    write(tmp_path / "file", b"")
    with pytest.raises(KeyFileError, match="cannot make the directory"):
        new_key(tmp_path / "file" / "key.pem")


@pytest.mark.parametrize("permissions", [0o640, 0o604, 0o620, 0o602, 0o601, 0o666])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, permissions: int) -> None:
    path = tmp_path / "key.pem"
    new_key(path)
    path.chmod(permissions)
    with pytest.raises(KeyFileError, match=f"mode {permissions:04o}.*run: chmod 600 {path}"):
        load_key(path)
    path.chmod(0o400)
    load_key(path)


def test_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="make one with: litz key new"):
        load_key(tmp_path / "key.pem")
    with pytest.raises(KeyFileError, match="cannot read"):
        load_key(tmp_path)


def pem(encryption: KeySerializationEncryption, *, ed25519: bool = True) -> bytes:
    key = Ed25519PrivateKey.generate() if ed25519 else generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def test_files_that_hold_no_usable_key(tmp_path: Path) -> None:
    good = pem(NoEncryption())
    for data in (b"", b"secret words", good[: len(good) // 2], good.replace(b"M", b"%"), ALICE_TEXT.encode()):
        with pytest.raises(KeyFileError, match="holds no private key") as raised:
            load_key(write(tmp_path / "key", data))
        assert "secret words" not in str(raised.value)
    with pytest.raises(KeyFileError, match="without a password"):
        load_key(write(tmp_path / "key", pem(BestAvailableEncryption(b"x"))))
    with pytest.raises(KeyFileError, match="of another kind"):
        load_key(write(tmp_path / "key", pem(NoEncryption(), ed25519=False)))


def test_trust_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "trust"
    assert len(load_trust(path)) == 0
    assert add_trust(path, "alice", ALICE_TEXT)
    assert not add_trust(path, "alice", f"{ALICE_TEXT}\n")
    assert add_trust(path, "alice", MALLORY_TEXT)
    assert add_trust(path, ALICE.derived_id, ALICE_TEXT)
    assert mode(path) == 0o600
    ring = load_trust(path)
    assert all(ring.trusts("alice", key) for key in (ALICE.public_key, MALLORY.public_key))
    assert ring.trusts(ALICE.derived_id, ALICE.public_key)
    assert sorted(tmp_path.iterdir()) == [path]


def test_comments_mode_and_links_are_kept(tmp_path: Path) -> None:
    real = write(tmp_path / "real", f"# friends\n\nalice {ALICE_TEXT}  # since May\n".encode(), 0o644)
    link = tmp_path / "link"
    link.symlink_to(real)
    add_trust(link, "mallory", MALLORY_TEXT)
    assert link.is_symlink()
    assert mode(real) == 0o644
    assert real.read_text() == f"# friends\n\nalice {ALICE_TEXT}  # since May\nmallory {MALLORY_TEXT}\n"
    assert remove_trust(link, "alice")
    assert not remove_trust(link, "alice")
    assert real.read_text() == f"# friends\n\nmallory {MALLORY_TEXT}\n"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"alice\n", "line 1: a line is: id publickey"),
        (b"\n# x\nalice a b\n", "line 3: a line is: id publickey"),
        (b"alice nonsense\n", "line 1: 'nonsense' is no public key"),
        (f"{MALLORY.derived_id} {ALICE_TEXT}\n".encode(), "belongs to another key"),
        (b"\xff\n", "not UTF-8"),
        (b"a\x01 " + ALICE_TEXT.encode(), "control character"),
    ],
)
def test_trust_files_that_cannot_be_read(tmp_path: Path, content: bytes, match: str) -> None:
    path = write(tmp_path / "trust", content)
    with pytest.raises(KeyFileError, match=match):
        load_trust(path)
    with pytest.raises(KeyFileError, match=match):
        add_trust(path, "bob", MALLORY_TEXT)
    assert path.read_bytes() == content


def test_a_trust_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "trust", b"", 0o664)
    with pytest.raises(KeyFileError, match=f"run: chmod go-w {path}"):
        load_trust(path)


def test_trust_that_makes_no_sense_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "trust"
    for peer_id, key in (("a b", ALICE_TEXT), ("a#b", ALICE_TEXT), ("a", "x"), (MALLORY.derived_id, ALICE_TEXT)):
        with pytest.raises(ValueError, match=r"."):
            add_trust(path, peer_id, key)
    assert not path.exists()


def test_a_disk_that_fails_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust = write(tmp_path / "trust", f"alice {ALICE_TEXT}\n".encode())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match=r"cannot write the key file .*: No space left"):
        new_key(tmp_path / "key.pem")
    with pytest.raises(KeyFileError, match=r"cannot write the trust file .*: No space left"):
        add_trust(trust, "mallory", MALLORY_TEXT)
    assert sorted(tmp_path.iterdir()) == [trust]
    assert trust.read_text() == f"alice {ALICE_TEXT}\n"


def test_a_trust_file_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot read the trust file"):
        load_trust(tmp_path)
    write(tmp_path / "file", b"")
    with pytest.raises(KeyFileError, match="cannot read the trust file"):
        add_trust(tmp_path / "file" / "trust", "alice", ALICE_TEXT)
