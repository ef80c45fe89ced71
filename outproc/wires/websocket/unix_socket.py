"""Listening Unix sockets: only for this user, never stealing a live one, never stopped by a dead one."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Final

MAX_PATH: Final = 107 if sys.platform == "linux" else 103
"""Bytes of the path of a socket: as many as the system's structure holds."""


def bind_unix(file: str) -> socket.socket:
    """Bind a stream socket to `file`, mode 0600, not yet listening.

    A socket file that nobody listens on (its process died) is replaced. Raises `OSError` (EADDRINUSE) when
    somebody listens there, or when `file` is something else than a socket; nothing is removed then.
    """
    if len(os.fsencode(file)) > MAX_PATH:
        too_long = f"the path of a socket has at most {MAX_PATH} bytes; choose a shorter one"
        raise OSError(errno.ENAMETOOLONG, too_long, file)
    _clear(file)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(file)
        Path(file).chmod(0o600)  # before listen(): nobody can have connected yet
    except BaseException:
        sock.close()
        raise
    return sock


def identity(file: str) -> tuple[int, int] | None:
    """What tells this socket file from a later one with the same name; None when there is none."""
    try:
        found = os.stat(file)  # noqa: PTH116 - the two numbers are all that is wanted
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove(file: str, known: tuple[int, int] | None) -> None:
    """Remove `file` if it still is the one that `known` names."""
    if known is not None and identity(file) == known:
        with contextlib.suppress(OSError):
            Path(file).unlink()


def _clear(file: str) -> None:
    try:
        mode = Path(file).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EADDRINUSE, "the path exists and is no socket; choose another one", file)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(file)
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                Path(file).unlink()
            return
        except BlockingIOError:
            pass  # somebody listens, with a full backlog
    raise OSError(errno.EADDRINUSE, "another process listens on this socket; stop it or choose another path", file)
