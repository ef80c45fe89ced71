"""Replay seeds: `python -m tests.simulation.core SEED [LAST] [--trace]`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter

from tests.simulation.core.hits import REQUIRED
from tests.simulation.core.run import SeedFailedError, run_seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.core")
    parser.add_argument("seed", type=int)
    parser.add_argument("last", type=int, nargs="?", help="run all seeds up to this one")
    parser.add_argument("--trace", action="store_true", help="print every event")
    options = parser.parse_args()
    hits: Counter[str] = Counter()
    failed = overlapping = delivered = 0
    seeds = range(options.seed, (options.last or options.seed) + 1)
    started = time.process_time()
    for seed in seeds:
        try:
            result = run_seed(seed, print if options.trace else None)
        except SeedFailedError as error:
            failed += 1
            print(error)
            if len(seeds) == 1:
                traceback.print_exc(file=sys.stdout)
            continue
        hits.update(result.hits)
        overlapping += result.overlaps > 0
        delivered += result.delivered
    took = time.process_time() - started
    for name in sorted({*hits, *REQUIRED}):
        print(f"{hits[name]:9} {name}{'' if hits[name] else '   NEVER HIT'}")
    print(f"{len(seeds)} seeds, {failed} failed, {overlapping} with a lane on two wires at once")
    print(f"{delivered} messages delivered, {len(seeds) / took:.0f} seeds/s")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
