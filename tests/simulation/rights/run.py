"""One seed of rights: proofs drawn at random and their verdicts, then managers whose rights change.

python -m tests.simulation.rights.run 17          # replay one seed
python -m tests.simulation.rights.run 0 500       # a range, and how often everything was hit
"""

from __future__ import annotations

import sys
from collections import Counter
from random import Random

from litz.testing import SimLoop
from tests.simulation.judged import judged
from tests.simulation.rights.shop import WITH_STREAMS
from tests.simulation.rights.verdicts import certificate_verdict, token_verdict
from tests.simulation.rights.world import World

VERDICTS = 40


def run_seed(seed: int) -> Counter[str]:
    """Run it; what was hit. Raises `SeedFailedError`."""
    hits: Counter[str] = Counter()

    async def main(loop: SimLoop) -> None:
        rng = Random(f"verdicts {seed}")
        for _ in range(VERDICTS):
            await token_verdict(rng, hits)
            await certificate_verdict(rng, hits)
        await World(seed, hits).run()

    judged("tests.simulation.rights.run", seed, main, starving="allowed-in", max_time=600.0)
    return hits


def run_streams(seed: int) -> Counter[str]:
    """One of the seeds whose peers open streams."""
    return run_seed(WITH_STREAMS + seed)


def main(arguments: list[str]) -> None:
    first = int(arguments[0])
    last = int(arguments[1]) if len(arguments) > 1 else first + 1
    hits: Counter[str] = Counter()
    for seed in range(first, last):
        hits += run_seed(seed)
    for name, count in sorted(hits.items()):
        print(f"{count:8} {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
