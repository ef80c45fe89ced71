"""A real TURN server (coturn) for one test, in a namespace of its or on loopback.

async with Coturn(addresses=["10.91.0.2"], within=middle) as turn:
    IceServer(turn.url("10.91.0.2"), turn.user, turn.password)
"""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.prove.lab.namespaces import Namespace
from tests.prove.lab.tools import need, run

START = 120.0
"""Seconds for it to listen."""
STOP = 30.0
"""Seconds for it to end after SIGTERM; then it is killed."""

DENIED = (
    "0.0.0.0-0.255.255.255",
    "127.0.0.0-127.255.255.255",
    "169.254.0.0-169.254.255.255",
    "224.0.0.0-255.255.255.255",
)
"""Peers that a TURN server must never reach for strangers: its own host, link-local, multicast."""


class Coturn:
    """The server. `addresses` are those it listens at and relays from; `denied` is added to what no peer may be."""

    def __init__(
        self,
        addresses: Sequence[str] = ("127.0.0.1",),
        *,
        within: Namespace | None = None,
        denied: Sequence[str] = (),
        user: str = "litz",
        password: str = "only for a test",
    ) -> None:
        self._program = need("turnserver", "coturn")
        self._addresses = tuple(addresses)
        self._within = within
        self._denied = tuple(denied)
        self.user = user
        self.password = password
        self.port = 3478 if within is not None else _free_port()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, address: str | None = None) -> str:
        """For `ice_servers`."""
        return f"turn:{address or self._addresses[0]}:{self.port}"

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="litz-coturn-")
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
        if self._folder is not None:
            self._folder.cleanup()

    async def start(self) -> None:
        """Run it, and return once it listens. Its log goes on after a restart."""
        self._process = self._spawn()
        async with asyncio.timeout(START):
            while not self._listening():
                if self._process.poll() is not None:
                    raise RuntimeError(f"coturn ended at once:\n{self.log()[-2000:]}")
                await asyncio.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with Path(self._path("log")).open("ab") as log:
            return subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    async def stop(self) -> None:
        """SIGTERM, and wait for its end. All its allocations are gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP):
                while process.poll() is None:  # noqa: ASYNC110 - a process
                    await asyncio.sleep(0.02)
        except TimeoutError:
            process.kill()
            process.wait()

    async def kill(self) -> None:
        """SIGKILL: clients are told nothing."""
        if self._process is not None:
            self._process.kill()
            await self.stop()

    def log(self) -> str:
        """All it has said."""
        path = Path(self._path("log"))
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def allocations(self) -> int:
        """Relays that it ever made."""
        return len(re.findall(r"ALLOCATE processed, success", self.log()))

    def _path(self, name: str) -> str:
        assert self._folder is not None, "the server has not been entered"
        return f"{self._folder.name}/{name}"

    def _command(self) -> list[str]:
        denied = [each for each in (*DENIED, *self._denied) if self._within is not None or not each.startswith("127.")]
        return [
            *(self._within.prefix if self._within is not None else ()),
            self._program,
            "-n",  # no configuration file
            *("--no-cli", "--no-tls", "--no-dtls", "--no-tcp-relay", "--no-multicast-peers", "--fingerprint"),
            *("--lt-cred-mech", "--realm", "litz.test", "--user", f"{self.user}:{self.password}"),
            *("--listening-port", str(self.port)),
            *(f"--listening-ip={each}" for each in self._addresses),
            *(f"--relay-ip={each}" for each in self._addresses),
            *(f"--denied-peer-ip={each}" for each in denied),
            *(() if self._within is not None else ("--allow-loopback-peers",)),
            *("--verbose", "--log-file", "stdout", "--simple-log"),
            *("--pidfile", self._path("pid"), "--userdb", self._path("users")),
        ]

    def _listening(self) -> bool:
        """Whether a UDP socket is bound at its port, on every address."""
        command = ("cat", "/proc/net/udp")
        table = self._within.run(*command) if self._within is not None else run(*command)
        bound = {line.split()[1] for line in table.splitlines()[1:]}
        return all(f"{_little_endian(each)}:{self.port:04X}" in bound for each in self._addresses)


def _little_endian(address: str) -> str:
    return socket.inet_aton(address)[::-1].hex().upper()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
