"""One seed: `python -m tests.simulation.ordering.run SEED [LAST]`."""

from __future__ import annotations

import sys
from collections import Counter

from litz.testing import SimLoop
from tests.simulation.judged import judged
from tests.simulation.ordering.world import HITS, World

PACKAGE = "tests.simulation.ordering.run"


def run_seed(seed: int) -> Counter[str]:
    """Run it; what was hit. Raises `SeedFailedError`."""
    hits: Counter[str] = Counter()

    async def main(loop: SimLoop) -> None:
        world = World(seed, loop)
        await world.run()
        hits.update(world.hits)

    judged(PACKAGE, seed, main, starving="alive", max_time=10_000.0, max_steps=3_000_000)
    return hits


def main() -> None:
    first = int(sys.argv[1])
    last = int(sys.argv[2]) if len(sys.argv) > 2 else first
    hits: Counter[str] = Counter()
    failed = 0
    for seed in range(first, last + 1):
        try:
            hits += run_seed(seed)
        except AssertionError as error:
            if first == last:
                raise
            failed += 1
            print(str(error)[:300])
    for name in sorted({*hits, *HITS}):
        print(f"{hits[name]:9} {name}{'' if hits[name] else '   NEVER HIT'}")
    print(f"{last - first + 1} seeds, {failed} failed")


if __name__ == "__main__":
    main()
