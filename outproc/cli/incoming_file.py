"""One file that is being received: written under a temporary name, checked, and renamed at the end. Blocking."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import threading
from hmac import compare_digest
from io import FileIO
from pathlib import Path

from outproc.cli.file_names import numbered, safe_name
from outproc.cli.file_records import Header, Trailer

_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV)


class TransferError(Exception):
    """The file cannot be received; the text is told to its sender."""


class IncomingFile:
    """Writes into `.litz-ID.part` in `folder`. Its methods may run in another thread, one at a time: `open`, `write` as
    often as needed, `finish`; but `discard` may come from the loop at any moment.

    Raises `TransferError` for what the sender did, OSError for what the disk did.
    """

    def __init__(self, folder: Path, transfer: bytes, header: Header) -> None:
        self.name = safe_name(header.name)
        self.size = header.size
        self.written = 0
        self.waiting_since: float | None = None
        """Since when, on the clock of the loop, its sender is waited for; None: what came is being written."""
        self.finishing = False
        """Set before `finish` is called: from then on only that tells what becomes of the file."""
        self.final: tuple[Path, str] | None = None
        """Where it is, and its sha256, once it is finished."""
        self._folder = folder
        self._part = folder / f".litz-{transfer.hex()}.part"
        self._hash = hashlib.sha256()
        self._file: FileIO | None = None
        self._given_up = False
        self._lock = threading.Lock()

    def open(self) -> None:
        """Make the file, if there is room for it."""
        if self.size is not None and self.size > (free := shutil.disk_usage(self._folder).free):
            raise TransferError(f"the file has {self.size} bytes, and only {free} are free at the receiver")
        with self._lock:
            if not self._given_up:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                self._file = FileIO(os.open(self._part, flags, 0o666), "wb")

    def write(self, offset: int, data: memoryview) -> None:
        """Append a chunk. One that is there already, because it was delivered again, is left out."""
        if offset + len(data) <= self.written:
            return
        if offset != self.written:
            raise TransferError(f"a chunk begins at {offset}, but {self.written} bytes are here")
        if self.size is not None and offset + len(data) > self.size:
            raise TransferError(f"more bytes came than the {self.size} that were announced")
        with self._lock:
            if self._file is None:
                return  # given up meanwhile
            rest = data
            while rest:
                rest = rest[self._file.write(rest) :]
            self._hash.update(data)
            self.written += len(data)

    def finish(self, trailer: Trailer) -> tuple[Path, str]:
        """Check size and hash, and give the file its name. Returns what is `final` then."""
        found = self._hash.hexdigest()
        if self.written != trailer.size:
            raise TransferError(f"{self.written} bytes arrived of {trailer.size}")
        if not compare_digest(found, trailer.sha256):
            raise TransferError(f"the sha256 of what arrived is {found}, and that of what was sent {trailer.sha256}")
        with self._lock:
            if self._file is None:
                raise TransferError("the transfer was given up")
            os.fsync(self._file.fileno())
            self.final = self._take_name(), found
            self._close()
            return self.final

    def discard(self) -> None:
        """Remove what has been written, and write no more. Idempotent; a finished file stays. Waits for what another
        thread is doing with it."""
        with self._lock:
            self._given_up = True
            if self._file is not None:  # else there is none of ours: one of that name is another transfer's
                self._close()
                with contextlib.suppress(FileNotFoundError):
                    self._part.unlink()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _take_name(self) -> Path:
        """Rename without ever replacing a file, not even one that appears at this moment."""
        for name in numbered(self.name):
            final = self._folder / name
            try:
                try:
                    final.hardlink_to(self._part)
                except OSError as error:
                    if error.errno not in _NO_HARD_LINKS:
                        raise
                    os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW))
                    self._part.replace(final)
            except FileExistsError:
                continue
            with contextlib.suppress(FileNotFoundError):
                self._part.unlink()
            return final
        raise TransferError(f"too many files are named {self.name!r} at the receiver")
