"""A real SSH server (OpenSSH) on loopback for one test, with keys of its own for host and user.

async with SshServer() as server:
    server.client("ssh", server.port, "echo hello")
"""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.prove.lab.tools import need, run

START = 120.0
"""Seconds for it to listen."""
STOP = 30.0
"""Seconds for it to end after SIGTERM; then it is killed."""
PRIVILEGE_SEPARATION = Path("/run/sshd")
"""Where OpenSSH of Debian wants an empty directory when root runs it; made by its service, which does not run here."""

CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers {user}
PrintMotd no
PrintLastLog no
ClientAliveInterval 0
Subsystem sftp internal-sftp
"""


class SshServer:
    """The server: not a daemon, in the foreground of this test; only the user who runs the test may come in."""

    def __init__(self) -> None:
        self._program = need("sshd", "openssh")
        for name in ("ssh", "scp", "ssh-keygen"):
            need(name, "openssh")
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.user = getpass.getuser()

    @property
    def folder(self) -> Path:
        """Keys, configuration and log."""
        assert self._folder is not None, "the server has not been entered"
        return Path(self._folder.name)

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="litz-sshd-")
        try:
            self._prepare()
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end()

    def client(self, program: str, port: int, *arguments: str) -> list[str]:
        """The command that runs `ssh` or `scp` against whatever passes on to this server at `port` of loopback. No
        file of this user is read, and nothing is asked."""
        options = {
            "IdentityFile": self.folder / "user_key",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.folder / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "accept-new",
            "BatchMode": "yes",
            "ServerAliveInterval": "0",
            "TCPKeepAlive": "no",
            "LogLevel": "ERROR",
        }
        given = [each for name, value in options.items() for each in ("-o", f"{name}={value}")]
        return [need(program, "openssh"), "-F", "/dev/null", *given, "-o", f"Port={port}", *arguments]

    def log(self) -> str:
        """All it has said."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _prepare(self) -> None:
        for name in ("host_key", "user_key"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name))
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        self.port = free_port()
        (self.folder / "config").write_text(CONFIG.format(port=self.port, folder=self.folder, user=self.user))

    def _spawn(self) -> subprocess.Popen[bytes]:
        # By its whole path: sshd starts itself again for each connection.
        command = [self._program, "-D", "-e", "-f", str(self.folder / "config")]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    async def _start(self) -> None:
        self._process = self._spawn()
        async with asyncio.timeout(START):
            while not await listens(self.port):
                if self._process.poll() is not None:
                    raise RuntimeError(f"sshd ended at once:\n{self.log()[-2000:]}")
                await asyncio.sleep(0.02)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            await ended(process)
        if self._folder is not None:
            self._folder.cleanup()


async def ended(process: subprocess.Popen[bytes], within: float = STOP) -> int:
    """Reap a process that was told to end; after `within` seconds it is killed. The return code."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while process.poll() is None:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.02)
    if process.poll() is None:
        process.kill()
    return process.wait()


async def listens(port: int) -> bool:
    """Whether something takes connections at this port of loopback."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def free_port() -> int:
    """A TCP port of loopback that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
