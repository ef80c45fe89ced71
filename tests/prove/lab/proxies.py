"""Real proxies on loopback for one test: microsocks (SOCKS5) and tinyproxy (HTTP CONNECT), with a password.

async with RealProxy("microsocks") as proxy:
    WebSocketWireBuilder(proxy=proxy.url)
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.prove.lab.tools import need

START = 120.0
"""Seconds for it to listen."""

CONFIG = """\
Port {port}
Listen 127.0.0.1
Allow 127.0.0.1
BasicAuth {user} {password}
MaxClients 50
Timeout 600
DisableViaHeader Yes
"""


class RealProxy:
    """The program `name`. Killed at the end, or by `kill`; `start` starts it again at the same port."""

    def __init__(self, name: str, *, user: str = "litz", password: str = "only-for-a-test") -> None:
        self._program = need(name, "proxies")
        self._name = name
        self._user = user
        self._password = password
        self._port = _free_port()
        self._folder = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        scheme = "socks5h" if self._name == "microsocks" else "http"
        return f"{scheme}://{self._user}:{self._password}@127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self._process = self._begin()
        async with asyncio.timeout(START):
            while True:
                assert self._process.poll() is None, f"{self._name} ended with {self._process.returncode}"
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                await writer.wait_closed()
                return

    def _begin(self) -> subprocess.Popen[bytes]:
        nowhere = subprocess.DEVNULL
        return subprocess.Popen([self._program, *self._arguments()], stdout=nowhere, stderr=nowhere)

    def _arguments(self) -> list[str]:
        if self._name == "microsocks":
            return ["-i", "127.0.0.1", "-p", str(self._port), "-u", self._user, "-P", self._password]
        config = Path(self._folder.name) / "conf"
        config.write_text(CONFIG.format(port=self._port, user=self._user, password=self._password))
        return ["-d", "-c", str(config)]

    def kill(self) -> None:
        """SIGKILL: the system resets its connections."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self.kill()
        self._folder.cleanup()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
