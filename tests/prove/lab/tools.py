"""Programs of the system that the lab calls, installed on demand by the scripts in `.ci/servers/`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import not_run

SCRIPTS = Path(__file__).resolve().parents[3] / ".ci" / "servers"
INSTALL_TIMEOUT = 300.0


def need(command: str, script: str) -> str:
    """The path of a program. Installed by `.ci/servers/SCRIPT.sh` where that can be done; else the test is not run."""
    found = _which(command)
    if found is None and os.geteuid() == 0:
        done = subprocess.run(
            ["sh", str(SCRIPTS / f"{script}.sh")], capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False
        )
        found = _which(command)
        if found is None:
            not_run(f"{command} could not be installed: {done.stderr.strip()[-500:]}")
    if found is None:
        not_run(f"it needs {command}; as root on Debian and Ubuntu: sh .ci/servers/{script}.sh")
    return found


def _which(command: str) -> str | None:
    """Also where only root's PATH looks."""
    return shutil.which(command) or shutil.which(command, path="/usr/sbin:/sbin")


def run(*command: str) -> str:
    """Run a program of the system to its end; what it wrote. Raises RuntimeError, with what it said, if it failed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
