"""An interactive program on a terminal of its own (a pty), typed into and read by a test."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.prove.lab.openssh import ended

PATIENCE = 300.0
"""Seconds for an answer."""


class Terminal:
    """`command` runs as long as it is entered; it sees a terminal."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._master = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._news = asyncio.Event()
        self.text = ""
        """All it has printed that `expect` did not take."""
        self.over = False

    async def __aenter__(self) -> Self:
        self._master, slave = pty.openpty()
        try:
            self._process = self._spawn(slave)
        finally:
            os.close(slave)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        if self._process is not None:
            self._process.terminate()
            await ended(self._process)

    def type(self, line: str) -> None:
        """As somebody at the keyboard would."""
        os.write(self._master, f"{line}\n".encode())

    async def expect(self, text: str) -> None:
        """Until it prints `text`; what came before and `text` itself are taken."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.text:
                assert not self.over, f"{text!r} was not printed before the end, but:\n{self.text}"
                self._news.clear()
                await self._news.wait()
        self.text = self.text.partition(text)[2]

    async def wait(self) -> int:
        """Its return code, once it has ended by itself."""
        assert self._process is not None
        return await ended(self._process, PATIENCE)

    def _spawn(self, slave: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)

    def _read(self) -> None:
        data = b""
        with suppress(OSError):  # the other end is closed
            data = os.read(self._master, 1 << 16)
        if not data:
            self.over = True
            asyncio.get_running_loop().remove_reader(self._master)
        self.text += data.decode(errors="replace")
        self._news.set()
