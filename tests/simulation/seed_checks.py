"""Checks that hold for both simulations: what many seeds must reach, and that a seed can be replayed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.simulation.seeds import RunSeed, SeedResult, print_hits

ROOT = Path(__file__).resolve().parents[2]


def check_together(results: Sequence[SeedResult], required: Iterable[str]) -> None:
    """What a run of many seeds must have reached. Prints how often."""
    hits: Counter[str] = Counter()
    for result in results:
        hits.update(result.hits)
    print_hits(hits, ())
    never = [name for name in required if not hits[name]]
    assert not never, f"never hit: {never}"
    overlapping = sum(result.overlaps > 0 for result in results)
    heals = sum(result.heals for result in results)
    print(f"{heals / len(results):.1f} heals a seed, {overlapping} of {len(results)} with a lane on two wires at once")
    assert overlapping * 2 >= len(results), f"only {overlapping} of {len(results)} had a lane on two wires at once"
    assert heals >= 3 * len(results), f"only {heals} heals in {len(results)} seeds"


def check_soak(run_seed: RunSeed, required: Iterable[str]) -> None:
    """`LITZ_SEEDS` seeds (100,000) that no other test runs."""
    seeds = int(os.environ.get("LITZ_SEEDS", "100000"))
    check_together([run_seed(seed, None) for seed in range(1_000_000, 1_000_000 + seeds)], required)


def check_same_trace(package: str, run_seed: RunSeed, seeds: int) -> None:
    """The same seed gives the same trace, in this process and in others with other hashes."""
    code = f"from {package}.run import run_seed; print([run_seed(s).digest for s in range({seeds})])"
    digests = {_python(["-c", code], hash_seed=hash_seed).stdout for hash_seed in ("1", "4242")}
    assert digests == {f"{[run_seed(seed, None).digest for seed in range(seeds)]}\n"}


def check_command(package: str, line: str) -> None:
    """The command that a failing seed names replays it, and prints `line` among others."""
    done = _python(["-m", package, "5", "--trace"])
    assert done.returncode == 0, done.stderr
    assert f" {line}\n" in done.stdout
    assert "1 seeds, failed: {}" in done.stdout


def _python(arguments: Sequence[str], *, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
