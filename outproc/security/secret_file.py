"""A secret in a file that only its owner can read: a shared key, a token. Blocking."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from outproc.security.key_file_error import KeyFileError


def read_secret_file(path: Path, what: str, limit: int, *, cure: str = "") -> str:
    """The text in `path`, without white space around it. `cure`: what makes such a file. Raises `KeyFileError` that
    names what to do, and never what is in the file."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(limit + 1)
    except FileNotFoundError as error:
        raise KeyFileError(f"there is no {what} file {path}" + (f"; make one with: {cure}" if cure else "")) from error
    except OSError as error:
        raise KeyFileError(f"cannot read the {what} file {path}: {error.strerror}") from error
    if mode & 0o077:
        raise KeyFileError(
            f"others can read the {what} file {path} (mode {mode:04o}); run: chmod 600 {path} - and make a new "
            "secret if somebody may have read it"
        )
    if len(raw) > limit:
        raise KeyFileError(f"the {what} file {path} has more than {limit} bytes")
    try:
        return raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise KeyFileError(f"the {what} file {path} is not text") from None
