"""What both simulations share: a seed that failed, and the command line that replays seeds."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeedResult:
    """What one run came to.

    digest     of all that happened: equal for equal runs
    hits       how often every fault, transition and refusal was hit
    heals      wires that joined a session that lived already
    overlaps   how often a lane was on two wires at once
    delivered  messages
    """

    seed: int
    digest: object
    hits: Counter[str]
    heals: int = 0
    overlaps: int = 0
    delivered: int = 0


RunSeed = Callable[[int, Callable[[str], None] | None], SeedResult]


class SeedFailedError(AssertionError):
    """One seed broke an invariant. The text ends with the command that replays it."""

    def __init__(self, package: str, seed: int, invariant: str, detail: str) -> None:
        super().__init__(f"seed {seed}: {invariant}: {detail}\nreplay: python -m {package} {seed} --trace")
        self.seed = seed
        self.invariant = invariant


class InvariantError(AssertionError):
    """An invariant does not hold. Each simulation has its own list of `names`."""

    names: tuple[str, ...] = ()

    def __init__(self, name: str, detail: str) -> None:
        assert name in self.names, name
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail


def invariant_names(doc: str | None) -> tuple[str, ...]:
    """The first words of the lines below "Invariants" in the text of a module; lines that go on are indented more."""
    lines = (doc or "").split("Invariants\n")[1].splitlines()
    return tuple(line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   "))


def print_hits(hits: Counter[str], required: Iterable[str]) -> None:
    for name in sorted({*hits, *required}):
        print(f"{hits[name]:9} {name}{'' if hits[name] else '   NEVER HIT'}")


def replay(package: str, run_seed: RunSeed, required: Sequence[str]) -> int:
    """`python -m PACKAGE SEED [LAST] [--trace] [--hits]`: how many failed, as an exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {package}")
    parser.add_argument("seed", type=int)
    parser.add_argument("last", type=int, nargs="?", help="run all seeds up to this one")
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument("--hits", action="store_true", help="print what was hit, also for one seed")
    options = parser.parse_args()
    seeds = range(options.seed, (options.last or options.seed) + 1)
    alone = len(seeds) == 1
    hits: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    overlapping = heals = delivered = 0
    started = time.process_time()
    for seed in seeds:
        try:
            result = run_seed(seed, print if options.trace else None)
        except SeedFailedError as error:
            failures[error.invariant] += 1
            print(str(error) if alone else str(error)[:400])
            if alone:
                traceback.print_exc(file=sys.stdout)
            continue
        hits.update(result.hits)
        heals += result.heals
        overlapping += result.overlaps > 0
        delivered += result.delivered
        if alone:
            print(result.digest)
    took = time.process_time() - started
    if not alone or options.hits:
        print_hits(hits, required)
    each = len(seeds)
    print(f"{each} seeds, failed: {dict(failures)}; {overlapping} with a lane on two wires at once")
    print(f"{heals / each:.1f} heals and {delivered / each:.0f} messages a seed, {each / took:.1f} seeds/s")
    return 1 if failures else 0


def replay_counted(run_seed: Callable[[int], Counter[str]], required: Iterable[str], arguments: Sequence[str]) -> None:
    """`python -m MODULE SEED [LAST]` of a simulation whose seeds return their hits. One seed raises what it found."""
    first = int(arguments[0])
    last = int(arguments[1]) if len(arguments) > 1 else first
    hits: Counter[str] = Counter()
    failed = 0
    for seed in range(first, last + 1):
        try:
            hits += run_seed(seed)
        except Exception as error:  # whatever it is, the seeds after it run too
            if first == last:
                raise
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {str(error)[:300]}")
    print_hits(hits, required)
    print(f"{last - first + 1} seeds, {failed} failed")
