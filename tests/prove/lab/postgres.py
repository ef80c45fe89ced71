"""A real PostgreSQL server for one test, on loopback and on a Unix socket, with a database of its own.

async with Postgres() as server:
    server.psql("127.0.0.1", server.port)
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.conftest import not_run
from tests.prove.lab.openssh import ended, free_port, listens
from tests.prove.lab.tools import need

START = 120.0
"""Seconds for it to make its database, and for it to listen."""
PATIENCE = 300
"""Seconds that a client may be silent in the middle of its login. PostgreSQL's own 60 are little for a slow machine."""
UNPRIVILEGED = ("postgres", "nobody")
"""Who runs it where a test is run by root, which PostgreSQL refuses."""

CONFIG = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
shared_buffers = 16MB
max_connections = 20
authentication_timeout = {patience}s
"""


class Postgres:
    """The server. Anybody on this host who can reach it is its user `litz`, as long as the test runs."""

    def __init__(self) -> None:
        self._initdb = need("initdb", "postgresql")
        self._postgres = need("postgres", "postgresql")
        self._psql = need("psql", "postgresql")
        self._as = _somebody() if os.geteuid() == 0 else {}
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def folder(self) -> Path:
        """Database, log and Unix socket."""
        assert self._folder is not None, "the server has not been entered"
        return self._folder

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.folder / f".s.PGSQL.{self.port}"

    async def __aenter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="litz-pg-"))
        try:
            if self._as:
                shutil.chown(self.folder, self._as["user"])
            await self._make()
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end()

    def psql(self, host: str | Path, port: int) -> list[str]:
        """The command for a session without a terminal, which ends with 3 at the first error. `host` may be the folder
        of a Unix socket."""
        where = ["-h", str(host), "-p", str(port), "-U", "litz", "-d", "postgres"]
        return [self._psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *where]

    def log(self) -> str:
        """All it has said."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def _make(self) -> None:
        data = str(self.folder / "data")
        process = self._spawn(self._initdb, "-D", data, "-U", "litz", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        if await ended(process, START):
            raise RuntimeError(f"initdb failed:\n{self.log()[-2000:]}")

    async def _start(self) -> None:
        self.port = free_port()
        with (self.folder / "data" / "postgresql.conf").open("a") as config:
            config.write(CONFIG.format(port=self.port, folder=self.folder, patience=PATIENCE))
        self._process = self._spawn(self._postgres, "-D", str(self.folder / "data"))
        async with asyncio.timeout(START):
            # It takes connections before it is ready, and says then that it is starting up.
            while "ready to accept connections" not in self.log() or not await listens(self.port):
                if self._process.poll() is not None:
                    raise RuntimeError(f"postgres ended at once:\n{self.log()[-2000:]}")
                await asyncio.sleep(0.02)

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                **self._as,
            )

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(2)  # SIGINT: it ends its sessions and stops
            await ended(process)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _somebody() -> Mapping[str, Any]:
    """Arguments of `Popen` for somebody who is not root."""
    users = {each.pw_name: each for each in pwd.getpwall()}
    found = next((users[name] for name in UNPRIVILEGED if name in users), None)
    if found is None:
        not_run(f"root may not run PostgreSQL, and there is no user {' or '.join(UNPRIVILEGED)}")
    return {"user": found.pw_name, "group": found.pw_gid, "extra_groups": ()}
