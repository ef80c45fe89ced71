"""One seed of outages.

python -m tests.simulation.outages.run 17          # replay one seed
python -m tests.simulation.outages.run 0 500       # a range, and how often everything was hit
"""

from __future__ import annotations

import sys
from collections import Counter

from litz.testing import SimLoop, run_simulation
from tests.simulation.outages.world import HITS, World

LONGEST = 10 * 86_400.0


def run_seed(seed: int) -> Counter[str]:
    """Run it; what was hit. Raises `InvariantError`."""

    async def main(loop: SimLoop) -> Counter[str]:
        world = World(seed, loop)
        await world.run()
        return world.hits

    return run_simulation(main, seed=seed, max_time=LONGEST).value


def main() -> None:
    first = int(sys.argv[1])
    last = int(sys.argv[2]) if len(sys.argv) > 2 else first
    hits: Counter[str] = Counter()
    failed = 0
    for seed in range(first, last + 1):
        try:
            hits += run_seed(seed)
        except Exception as error:
            if first == last:
                raise
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {str(error)[:300]}")
    for name in sorted({*hits, *HITS}):
        print(f"{hits[name]:9} {name}{'' if hits[name] else '   NEVER HIT'}")
    print(f"{last - first + 1} seeds, {failed} failed")


if __name__ == "__main__":
    main()
