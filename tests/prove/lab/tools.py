"""Programs of the system that the lab calls, installed on demand by the scripts in `.ci/servers/`."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.conftest import not_run

SCRIPTS = Path(__file__).resolve().parents[3] / ".ci" / "servers"
LOCK = Path(tempfile.gettempdir()) / "litz-tests-install.lock"
INSTALL_TIMEOUT = 280.0


def need(command: str, script: str) -> str:
    """The path of a program. Installed by `.ci/servers/SCRIPT.sh` where that can be done; else the test is not run."""
    found = _which(command)
    if found is None and os.geteuid() == 0:
        found = _install(command, script)
    if found is None:
        not_run(f"it needs {command}; as root on Debian and Ubuntu: sh .ci/servers/{script}.sh")
    return found


def _install(command: str, script: str) -> str:
    """One at a time: the package system refuses a second one, and two processes of pytest may need the same."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _which(command)
        if found is not None:
            return found
        done = subprocess.run(
            ["sh", str(SCRIPTS / f"{script}.sh")], capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False
        )
    return _which(command) or not_run(f"{command} could not be installed: {done.stderr.strip()[-500:]}")


def _which(command: str) -> str | None:
    """Also where only root's PATH looks, and where Debian keeps the programs of PostgreSQL."""
    versions = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return shutil.which(command) or shutil.which(command, path=":".join(("/usr/sbin", "/sbin", *versions)))


def run(*command: str) -> str:
    """Run a program of the system to its end; what it wrote. Raises RuntimeError, with what it said, if it failed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
