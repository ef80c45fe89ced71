"""Runs node.js, which is what litz.js is tested with outside of a browser. Without it a test is "not run"."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.conftest import not_run
from tests.prove.lab.tools import need

FOLDER = Path(__file__).parent / "js"
OLDEST = 20
"""The first node.js with all that the tests use: `node --test`, WebCrypto, `CustomEvent`."""


def in_ci() -> bool:
    """Whether tests may install what they need, and must not be left out."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


@cache
def _version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=240).stdout
    found = re.match(r"v(\d+)\.", said)
    return int(found[1]) if found else 0


def node_js() -> str:
    """The path of node.js; ends the test where there is none that is new enough."""
    node = shutil.which("node")
    if node is None and in_ci():
        node = need("node", "nodejs")
    if node is None or _version(node) < OLDEST:
        not_run(f"it needs node.js {OLDEST} or newer; on Debian: apt install nodejs")
    return node


def run_javascript_tests(names: Sequence[str], timeout: float, **variables: str) -> str:
    """Run test files of `js/` and return what they said; AssertionError with it when one fails."""
    paths = [str(FOLDER / name) for name in names]
    command = [node_js(), "--test", "--test-reporter=spec", *paths]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env={**os.environ, **variables}
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout
