"""One seed of outages.

python -m tests.simulation.outages.run 17          # replay one seed
python -m tests.simulation.outages.run 0 500       # a range, and how often everything was hit
"""

from __future__ import annotations

import sys
from collections import Counter

from litz.testing import SimLoop, run_simulation
from tests.simulation.outages.world import HITS, World
from tests.simulation.seeds import replay_counted

LONGEST = 10 * 86_400.0


def run_seed(seed: int) -> Counter[str]:
    """Run it; what was hit. Raises `InvariantError`."""

    async def main(loop: SimLoop) -> Counter[str]:
        world = World(seed, loop)
        await world.run()
        return world.hits

    return run_simulation(main, seed=seed, max_time=LONGEST).value


if __name__ == "__main__":
    replay_counted(run_seed, HITS, sys.argv[1:])
