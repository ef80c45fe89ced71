"""Runs the `litz` command as users do: in a process of its own, with pipes and without a terminal."""

from __future__ import annotations

import atexit
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
"""Seconds: each process imports much, on a machine that does other things beside."""


def short_folder(folder: Path) -> str:
    """A folder for sockets that belongs to `folder`: the names of sockets have 107 bytes at most."""
    path = Path(tempfile.gettempdir()) / f"lz{sha256(str(folder).encode()).hexdigest()[:12]}"
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return str(path)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing of this user's own configuration is seen or touched."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LITZ_", "XDG_"))}
    own = {"LITZ_RUNTIME_DIR": short_folder(folder), "XDG_CONFIG_HOME": str(folder / "config")}
    return {**kept, **own, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error", **more}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "outproc.cli", *map(str, arguments)]


def litz(
    folder: Path, *arguments: str | Path, stdin: bytes = b"", timeout: float = PATIENCE, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    done = subprocess.run(
        command(*arguments),
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
        cwd=folder,
        env=environment(folder, **variables),
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class Litz:
    """The command running beside the test; killed at the end if need be. `lines` is what it said, both streams."""

    def __init__(self, folder: Path, *arguments: str | Path, stdin: int = subprocess.DEVNULL, **variables: str) -> None:
        self.process = subprocess.Popen(
            command(*arguments),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=environment(folder, **variables),
        )
        self.lines: list[str] = []
        self._news: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def hear(self, pattern: str) -> re.Match[str]:
        """Wait until it has said a line in which `pattern` is found."""
        while True:
            line = self._news.get(timeout=PATIENCE)
            assert line is not None, f"{pattern!r} was not said, but:\n{self.text}"
            if found := re.search(pattern, line):
                return found

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit code, once it has ended."""
        code = self.process.wait(timeout)
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._news.put(line)
        self._news.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.wait()
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
