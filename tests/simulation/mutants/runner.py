"""Kill a mutant in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

from tests.simulation.mutants.mutant import CORE, ROOT

SEEDS = 2_000
TIMEOUT = 1000.0


@dataclass(frozen=True, slots=True)
class Kill:
    """`invariant` None: it survived all `seeds`."""

    invariant: str | None
    seeds: int
    detail: str


def kill(name: str, seeds: int = SEEDS, *, entry: str = CORE) -> Kill:
    """Hunt the mutant `name` (or `control`, the unpatched source, with `entry`) in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.mutants.worker", name, str(seeds), entry],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"the hunt for {name} failed:\n{done.stderr}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return Kill(answer["killed_by"], answer["seeds"], answer["detail"])
