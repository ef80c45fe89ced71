"""One seed: `python -m tests.simulation.ordering.run SEED [LAST]`."""

from __future__ import annotations

import sys
from collections import Counter

from tests.simulation.judged import counted
from tests.simulation.ordering.world import HITS, World
from tests.simulation.seeds import replay_counted

PACKAGE = "tests.simulation.ordering.run"


def run_seed(seed: int) -> Counter[str]:
    """Run it; what was hit. Raises `SeedFailedError`."""
    return counted(PACKAGE, seed, World, max_time=10_000.0, max_steps=3_000_000)


if __name__ == "__main__":
    replay_counted(run_seed, HITS, sys.argv[1:])
