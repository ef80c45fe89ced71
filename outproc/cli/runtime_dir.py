"""Where running nodes of this user leave their control sockets."""

from __future__ import annotations

import os
import stat
import tempfile
from hashlib import sha256
from pathlib import Path

from outproc.cli.outcome import CommandError

VARIABLE = "LITZ_RUNTIME_DIR"


def runtime_dir() -> Path:
    """The directory, made if it is missing; only this user can enter it.

    `$LITZ_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/litz`, else `litz-UID` in the directory for temporary files.
    Raises `CommandError` if somebody else owns it or can enter it.
    """
    path = _place()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise CommandError(f"cannot make the directory {path}: {error.strerror}; set {VARIABLE} to another") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise CommandError(f"{path} is not a directory of yours; set {VARIABLE} to one that is")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise CommandError(f"others can enter {path}; run: chmod 700 {path} - or set {VARIABLE} to another directory")
    return path


def socket_path(directory: Path, local_id: str) -> Path:
    """The control socket of a node: short whatever its id is, and never outside the directory."""
    readable = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in local_id[:16])
    return directory / f"{readable}-{sha256(local_id.encode()).hexdigest()[:12]}.sock"


def _place() -> Path:
    if own := os.environ.get(VARIABLE):
        return Path(own)
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base.startswith("/") and Path(base).is_dir():
        return Path(base) / "litz"
    return Path(tempfile.gettempdir()) / f"litz-{os.getuid()}"
