"""Replay seeds: `python -m tests.simulation.managers SEED [LAST] [--trace]`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter

from tests.simulation.managers.hits import REQUIRED
from tests.simulation.managers.run import SeedFailedError, run_seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.managers")
    parser.add_argument("seed", type=int)
    parser.add_argument("last", type=int, nargs="?", help="run all seeds up to this one")
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument("--hits", action="store_true", help="print what was hit, also for one seed")
    options = parser.parse_args()
    hits: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    overlapping = heals = delivered = steps = two = 0
    seeds = range(options.seed, (options.last or options.seed) + 1)
    started = time.process_time()
    for seed in seeds:
        try:
            result = run_seed(seed, print if options.trace else None)
        except SeedFailedError as error:
            failures[error.invariant] += 1
            print(str(error) if len(seeds) == 1 else str(error)[:400])
            if len(seeds) == 1:
                traceback.print_exc(file=sys.stdout)
            continue
        hits.update(result.hits)
        heals += result.heals
        overlapping += result.overlaps > 0
        two += result.two_wires
        delivered += result.delivered
        steps += result.steps
        if len(seeds) == 1:
            print(result.digest)
    took = time.process_time() - started
    if len(seeds) > 1 or options.hits:
        for name in sorted({*hits, *REQUIRED}):
            print(f"{hits[name]:9} {name}{'' if hits[name] else '   NEVER HIT'}")
    print(
        f"{len(seeds)} seeds, failed: {dict(failures)}; {two} with two kinds of wire, {overlapping} with a lane on two"
    )
    each = len(seeds)
    print(f"{heals / each:.1f} heals, {delivered / each:.0f} messages and {steps / each:.0f} steps a seed")
    print(f"{len(seeds) / took:.1f} seeds/s")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
