"""Key files: the private key of a node, and the list of ids it trusts. Blocking file access; not for the loop.

The private key is PKCS #8 in PEM, without a password, readable by its owner only. The trust file has one
`id publickey` a line; `#` starts a comment. Errors are `KeyFileError`, whose text names the cure.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from litz.dest import validate_dest
from outproc.security.key_file_error import KeyFileError
from outproc.security.key_ring import KeyRing
from outproc.security.key_text import parse_public_key, public_key_text

MAX_KEY_FILE = 16 * 1024
MAX_TRUST_FILE = 16 * 1024 * 1024


def new_key(path: Path) -> str:
    """Make a private key, store it in a new file of mode 0600, and return its public key in the one-line form.

    Never overwrites: raises `KeyFileError` if something is at `path`. Directories that are missing are made, for
    their owner only.
    """
    private_key = Ed25519PrivateKey.generate()
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"cannot make the directory {path.parent}: {error.strerror}") from error
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise KeyFileError(
            f"{path} exists; a key is never overwritten. Choose another name, or move it away first"
        ) from error
    except OSError as error:
        raise KeyFileError(f"cannot make the key file {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask says
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise KeyFileError(f"cannot write the key file {path}: {error.strerror}") from error
    return public_key_text(private_key.public_key().public_bytes_raw())


def load_key(path: Path) -> Ed25519PrivateKey:
    """The private key in `path`. Raises `KeyFileError` if there is none, if others than its owner can read or write
    it, or if it is not an Ed25519 key without a password."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            pem = file.read(MAX_KEY_FILE + 1)
    except FileNotFoundError as error:
        raise KeyFileError(f"there is no key file {path}; make one with: litz key new") from error
    except OSError as error:
        raise KeyFileError(f"cannot read the key file {path}: {error.strerror}") from error
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise KeyFileError(
            f"others can read the key file {path} (mode {stat.S_IMODE(status.st_mode):04o}); "
            f"run: chmod 600 {path} - and make a new key if somebody may have read it"
        )
    try:
        private_key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        # The cause is not chained: a parser's error may quote what it read.
        raise KeyFileError(f"{path} holds no private key in PEM without a password") from None
    except Exception as error:  # an algorithm that the library knows and does not support
        raise KeyFileError(f"{path} holds a key that cannot be used: {type(error).__name__}") from None
    if not isinstance(private_key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds a key of another kind; an Ed25519 key is wanted")
    return private_key


def load_trust(path: Path) -> KeyRing:
    """The ring that the trust file describes; an empty one if there is no such file. Raises `KeyFileError` that names
    the line that cannot be read."""
    ring = KeyRing()
    for number, line in enumerate(_read_trust(path), start=1):
        content = line.partition("#")[0].split()
        if not content:
            continue
        try:
            peer_id, key = content
            ring.trust(peer_id, key)
        except ValueError as error:
            detail = str(error) if len(content) == 2 else "a line is: id publickey"
            raise KeyFileError(f"{path}, line {number}: {detail}") from error
    return ring


def add_trust(path: Path, peer_id: str, key: str) -> bool:
    """Write into the trust file that `key` (one-line form) may prove `peer_id`. Returns False if it said so already.

    The file is replaced in one step, so a reader sees the old or the new one, and keeps its comments. Raises
    `KeyFileError` if the file cannot be read or written, ValueError for an id or a key that is not legal.
    """
    validate_dest(peer_id)
    if "#" in peer_id:
        raise ValueError(f"{peer_id!r} cannot be in a trust file: '#' starts a comment there")
    public_key = parse_public_key(key)
    ring = load_trust(path)
    if ring.trusts(peer_id, public_key):
        return False
    ring.trust(peer_id, public_key)  # refuses a derived id with a foreign key
    lines = [*_read_trust(path), f"{peer_id} {public_key_text(public_key)}"]
    _replace(path, "".join(f"{line}\n" for line in lines))
    return True


def remove_trust(path: Path, peer_id: str) -> bool:
    """Take every line of `peer_id` out of the trust file. Returns False if there was none."""
    lines = _read_trust(path)
    kept = [line for line in lines if line.partition("#")[0].split()[:1] != [peer_id]]
    if len(kept) == len(lines):
        return False
    _replace(path, "".join(f"{line}\n" for line in kept))
    return True


def _read_trust(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(MAX_TRUST_FILE + 1)
        if mode & 0o022:
            raise KeyFileError(
                f"others can write the trust file {path} (mode {mode:04o}); check what is in it, and then run: "
                f"chmod go-w {path}"
            )
        if len(raw) > MAX_TRUST_FILE:
            raise KeyFileError(f"the trust file {path} has more than {MAX_TRUST_FILE} bytes")
        return raw.decode("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise KeyFileError(f"the trust file {path} is not UTF-8 text") from error
    except KeyFileError:
        raise
    except OSError as error:
        raise KeyFileError(f"cannot read the trust file {path}: {error.strerror}") from error


def _replace(path: Path, text: str) -> None:
    path = path.resolve()  # a link stays a link
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                with suppress(FileNotFoundError):
                    os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise KeyFileError(f"cannot write the trust file {path}: {error.strerror}") from error
