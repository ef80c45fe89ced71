"""Real managers on virtual time under seeded faults, with the checker outside of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.managers.hits import RARE, RARE_SEEDS, REQUIRED
from tests.simulation.managers.record import InvariantError
from tests.simulation.managers.run import SeedFailedError, SeedResult, run_seed
from tests.simulation.managers.users import User

SEEDS = int(os.environ.get("LITZ_SEEDS", "1040"))
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
    heals = sum(result.heals for result in results)
    print(f"{heals / len(results):.1f} heals a seed, {overlapping} of {len(results)} with a lane on two wires at once")
    assert overlapping * 2 >= len(results), f"only {overlapping} of {len(results)} had a lane on two wires at once"
    assert heals >= 3 * len(results), f"only {heals} heals in {len(results)} seeds"


@pytest.mark.limit(max(180, SEEDS))
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_invariant_holds_and_everything_is_hit(chunk: int) -> None:
    size = SEEDS // CHUNKS
    check_together([run_seed(seed) for seed in range(chunk * size, (chunk + 1) * size)])


def test_what_is_rare_is_hit_too() -> None:
    hits: Counter[str] = Counter()
    for seed in RARE_SEEDS:
        hits.update(run_seed(seed).hits)
    assert all(hits[name] for name in RARE), f"find other RARE_SEEDS: {dict(hits)}"


@pytest.mark.soak
@pytest.mark.limit(72_000)
def test_soak() -> None:
    seeds = int(os.environ.get("LITZ_SEEDS", "100000"))
    check_together([run_seed(seed) for seed in range(1_000_000, 1_000_000 + seeds)])


def test_same_seed_same_trace_in_any_process() -> None:
    code = "from tests.simulation.managers.run import run_seed; print([run_seed(s).digest for s in range(12)])"
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
    assert digests == {f"{[run_seed(seed).digest for seed in range(12)]}\n"}


def test_a_failing_seed_names_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(user: User) -> None:
        raise InvariantError("loud", "broken on purpose")

    monkeypatch.setattr(User, "run", broken)
    with pytest.raises(SeedFailedError, match=r"loud[^$]*python -m tests\.simulation\.managers 7 --trace"):
        run_seed(7)


def test_the_command_replays_a_seed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.managers", "5", "--trace"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert " HEAL\n" in done.stdout
    assert "1 seeds, failed: {}" in done.stdout
