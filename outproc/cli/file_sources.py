"""Where the bytes of a file that is sent come from: FILE, or standard input."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Protocol

from outproc.cli.file_records import CHUNK_SIZE, MAX_NAME
from outproc.cli.outcome import UsageError


class Source(Protocol):
    """Where the bytes come from. `size` is None when it is not known."""

    name: str
    size: int | None

    def chunks(self) -> AsyncIterator[bytes]:
        """The content in pieces of `CHUNK_SIZE`; only the last is shorter, and none is empty."""

    def close(self) -> None:
        """Free it, read or not."""


class FileSource:
    """An open file that lets nobody wait: a regular one, from where it stands, or a device such as /dev/null."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        status = os.fstat(file.fileno())
        self._file = file
        self.name = name
        self.size: int | None = status.st_size - file.tell() if stat.S_ISREG(status.st_mode) else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Source`."""
        while data := await asyncio.to_thread(self._file.read, CHUNK_SIZE):
            yield data

    def close(self) -> None:
        """See `Source`."""
        self._file.close()


class StreamSource:
    """Standard input, when it is a pipe or a terminal: waited for without a thread, so that Ctrl-C ends it."""

    size: int | None = None

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self.name = name

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Source`."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=CHUNK_SIZE)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), self._file)
        try:
            while True:
                try:
                    yield await reader.readexactly(CHUNK_SIZE)
                except asyncio.IncompleteReadError as rest:
                    if rest.partial:
                        yield rest.partial
                    return
        finally:
            transport.close()

    def close(self) -> None:
        """See `Source`."""
        self._file.close()


def source_of(file: str, name: str | None) -> Source:
    """The source that FILE and --name mean. Raises OSError, `UsageError`."""
    if name is not None and len(name) > MAX_NAME:
        raise UsageError(f"--name has at most {MAX_NAME} characters")
    source = _standard_input() if file == "-" else _file(Path(file))
    # File names are bytes: what is no UTF-8 cannot be said to the receiver.
    source.name = os.fsencode(source.name if name is None else name).decode("utf-8", "replace")
    return source


def _file(path: Path) -> FileSource:
    if path.is_dir():
        raise UsageError(f"{path} is a directory; send what packs it: tar c {path} | litz send - ...")
    # A named pipe would be waited for here, where not even Ctrl-C is heard.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    opened = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        opened.close()
        raise UsageError(f"{path.name} is no regular file; to send what a command prints, pipe it into: litz send -")
    return FileSource(opened, path.name)


def _standard_input() -> Source:
    if sys.stdin is None:  # its descriptor was closed when Python started
        raise UsageError("standard input is closed; pipe into litz send - what is to be sent, or name a file")
    opened = sys.stdin.buffer
    mode = os.fstat(opened.fileno()).st_mode
    waited_for = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or opened.isatty()
    return StreamSource(opened, "stdin") if waited_for else FileSource(opened, "stdin")
