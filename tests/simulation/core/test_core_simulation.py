"""The session core in a pure simulation: seeded walks, an outside checker, and the same trace in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.core.hits import REQUIRED
from tests.simulation.core.run import SeedFailedError, SeedResult, run_seed
from tests.simulation.core.world import World

SEEDS = int(os.environ.get("LITZ_SEEDS", "3200"))
CHUNKS = 4
ROOT = Path(__file__).resolve().parents[3]


def check_together(results: list[SeedResult]) -> None:
    """What a run of many seeds must have reached. Prints how often."""
    hits: Counter[str] = Counter()
    for result in results:
        hits.update(result.hits)
    for name, count in sorted(hits.items()):
        print(f"{count:9} {name}")
    never = [name for name in REQUIRED if not hits[name]]
    assert not never, f"never hit: {never}"
    overlapping = sum(result.overlaps > 0 for result in results)
    assert overlapping * 2 >= len(results), f"only {overlapping} of {len(results)} had a lane on two wires at once"
    heals = sum(result.heals for result in results)
    assert heals >= 3 * len(results), f"only {heals} heals in {len(results)} seeds"


@pytest.mark.limit(max(120, SEEDS // 10))
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_invariant_holds_and_everything_is_hit(chunk: int) -> None:
    size = SEEDS // CHUNKS
    check_together([run_seed(seed) for seed in range(chunk * size, (chunk + 1) * size)])


@pytest.mark.soak
@pytest.mark.limit(36_000)
def test_soak() -> None:
    seeds = int(os.environ.get("LITZ_SEEDS", "100000"))
    check_together([run_seed(seed) for seed in range(1_000_000, 1_000_000 + seeds)])


def test_same_seed_same_trace_in_any_process() -> None:
    code = "from tests.simulation.core.run import run_seed; print([run_seed(s).digest for s in range(40)])"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "4242")
    }
    assert digests == {f"{[run_seed(seed).digest for seed in range(40)]}\n"}


def test_a_failing_seed_names_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(world: World) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(World, "step", broken)
    with pytest.raises(SeedFailedError, match=r"impossible-state[^$]*python -m tests\.simulation\.core 7 --trace"):
        run_seed(7)


def test_the_command_replays_a_seed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.core", "5", "--trace"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert " heal\n" in done.stdout
    assert "1 seeds, 0 failed" in done.stdout
