"""Worker processes of a proof: started, talked to, frozen, killed, watched, and always reaped.

async with Worker("tests.prove.some_module:function", seed=3) as worker:
    await worker.control.call("send", count=1000)
    worker.freeze()
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.prove.control import Control

ROOT = Path(__file__).resolve().parents[2]
GRACE = 5.0
"""Seconds for a worker to end after its control socket closed; then it is killed."""
START = 120.0
"""Seconds for a worker to say `ready`."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Worker:
    """One process that runs `target` ("module:function"); see `tests/prove/worker.py`. Linux only (pidfd)."""

    def __init__(
        self,
        target: str,
        *,
        loop: str = "asyncio",
        cpu: int | None = None,
        prefix: Sequence[str] = (),
        **parameters: Any,
    ) -> None:
        """`prefix` is a command that runs another in its place: `Namespace.prefix`."""
        self._command = [loop, target, json.dumps(parameters)]
        self._prefix = prefix
        self._cpu = cpu
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `__aexit__`, with the process
        self._process: subprocess.Popen[bytes] | None = None
        self._control: Control | None = None
        self.ready: dict[str, Any] = {}
        """What the worker said with its `ready`."""

    @property
    def control(self) -> Control:
        """The worker's commands and events."""
        assert self._control is not None, "the worker has not been entered"
        return self._control

    @property
    def pid(self) -> int:
        return self._popen.pid

    async def __aenter__(self) -> Self:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            self._process = self._spawn(theirs.fileno())
        try:
            if self._cpu is not None:
                pin(self.pid, self._cpu)
            self._control = await Control.open(ours)
            async with asyncio.timeout(START):
                first = await self._control.events.get()
            if first is None or first["event"] != "ready":
                with suppress(TimeoutError):
                    async with asyncio.timeout(GRACE):
                        await self.wait()  # so that all it has to say is there
                raise RuntimeError(f"{self._command[1]} did not say `ready` but {first}:\n{self.stderr()}")
            self.ready = first
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ask it to end by closing its control socket; kill it if it does not; reap it."""
        try:
            if self._control is not None:
                await self._control.aclose()
            if self._popen.returncode is None:
                with suppress(ProcessLookupError):
                    self.thaw()
                with suppress(TimeoutError):
                    async with asyncio.timeout(GRACE):
                        await self.wait()
        finally:
            if self._popen.returncode is None:
                self._popen.kill()
                self._popen.wait()  # SIGKILL: at once
            self._stderr.close()

    def freeze(self) -> None:
        """SIGSTOP: it lives and its sockets stay open, but it does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL, and reap it."""
        self._popen.kill()
        await self.wait()

    async def wait(self) -> int:
        """Wait for its end and reap it; the return code."""
        if self._popen.returncode is None:
            await _ended(self.pid)
        return self._popen.wait()

    def rss(self) -> int:
        """Resident memory in bytes. 0 when the process is gone."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE
        except OSError:
            return 0

    def stderr(self) -> str:
        """What it wrote to standard error so far."""
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")

    def _spawn(self, descriptor: int) -> subprocess.Popen[bytes]:
        arguments = [*self._prefix, sys.executable, "-m", "tests.prove.worker", str(descriptor), *self._command]
        return subprocess.Popen(
            arguments, cwd=ROOT, pass_fds=[descriptor], stdin=subprocess.DEVNULL, stderr=self._stderr
        )

    @property
    def _popen(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the worker has not been entered"
        return self._process


async def _ended(pid: int) -> None:
    """Return when the process has ended, without a thread and without a signal handler."""
    descriptor = os.pidfd_open(pid)
    try:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
    finally:
        os.close(descriptor)


def pin(pid: int, cpu: int) -> None:
    """Bind a process to one of the cores it may use (counted round), where the system lets us."""
    with suppress(AttributeError, OSError):
        allowed = sorted(os.sched_getaffinity(pid))
        os.sched_setaffinity(pid, [allowed[cpu % len(allowed)]])


class MemoryLog:
    """Resident memory of some workers over time.

    async with MemoryLog(alice, bob) as log: ...
    log.growth(alice)
    """

    def __init__(self, *workers: Worker, every: float = 0.1) -> None:
        self._every = every
        self.samples: dict[Worker, list[int]] = {worker: [worker.rss()] for worker in workers}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._take()

    def growth(self, worker: Worker) -> int:
        """Bytes from the first sample to the highest."""
        return max(self.samples[worker]) - self.samples[worker][0]

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            self._take()

    def _take(self) -> None:
        for worker, samples in self.samples.items():
            samples.append(worker.rss())
