"""Run mutants in parallel: `python -m tests.simulation.mutants [NAME ...] [--jobs N] [--seeds N]`."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.simulation.mutants.registry import MUTANTS
from tests.simulation.mutants.runner import SEEDS, Kill, kill


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("names", nargs="*", default=list(MUTANTS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    started = time.monotonic()
    failed = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        results: list[tuple[str, Kill]] = list(
            zip(options.names, pool.map(lambda name: kill(name, options.seeds), options.names), strict=True)
        )
    for name, result in results:
        mutant = MUTANTS[name]
        good = result.invariant in mutant.killers
        failed += not good
        print(f"{mutant.rule:9} {name:45} {result.seeds:5}  {result.invariant}{'' if good else '  UNEXPECTED'}")
    print(f"{len(results)} mutants, {failed} not killed as they must be, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
