"""One seed: `python -m tests.simulation.inbox.run SEED [LAST]`."""

from __future__ import annotations

import sys
from collections import Counter

from tests.simulation.inbox.world import HITS, World
from tests.simulation.judged import counted
from tests.simulation.seeds import replay_counted

PACKAGE = "tests.simulation.inbox.run"


def run_seed(seed: int) -> Counter[str]:
    """Run it; what was hit. Raises `SeedFailedError`."""
    return counted(PACKAGE, seed, World, max_time=1_000.0)


if __name__ == "__main__":
    replay_counted(run_seed, HITS, sys.argv[1:])
