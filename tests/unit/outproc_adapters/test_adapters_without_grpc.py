"""Without grpcio the adapter says what to install, and nothing else of litz needs it."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = "import sys; sys.modules['grpc'] = None; import {module}"


def run(module: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(module=module)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)


def test_the_error_names_the_cure() -> None:
    done = run("outproc.adapters.grpc_pipeline")
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ImportError: the gRPC adapter needs grpcio: pip install 'litz[grpc]'")


def test_nothing_else_needs_it() -> None:
    done = run("litz, inproc, outproc, litz.pipeline, outproc.cli.entry")
    assert (done.returncode, done.stderr) == (0, "")
