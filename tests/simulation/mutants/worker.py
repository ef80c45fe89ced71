"""One mutant in one process: `python -m tests.simulation.mutants.worker NAME SEEDS`. Prints one line of JSON.

The name `control` stands for the unpatched source.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from tests.simulation.mutants.last_killers import LAST_KILLERS
from tests.simulation.mutants.mutant import CORE, Mutant
from tests.simulation.mutants.patching import install
from tests.simulation.mutants.registry import MUTANTS


def entry_of(mutant: Mutant) -> Callable[[int], Any]:
    module, _, function = mutant.entry.partition(":")
    found: Callable[[int], Any] = getattr(import_module(module), function)
    return found


def hunt(mutant: Mutant, seeds: int) -> dict[str, Any]:
    """Run seeds until an invariant kills the mutant: first the one that did so last time, then all from 0 on."""
    install(mutant.patched())
    run = entry_of(mutant)
    known = LAST_KILLERS.get(mutant.name)
    for seed in (*(() if known is None or known >= seeds else (known,)), *range(seeds)):
        try:
            run(seed)
        except AssertionError as error:
            invariant = getattr(error, "invariant", None)
            if invariant is None:
                raise
            return {"killed_by": invariant, "seeds": seed + 1, "detail": str(error)}
    return {"killed_by": None, "seeds": seeds, "detail": ""}


def main() -> None:
    name, seeds = sys.argv[1], int(sys.argv[2])
    entry = sys.argv[3] if len(sys.argv) > 3 else CORE
    mutant = Mutant("control", "none", (), (), entry) if name == "control" else MUTANTS[name]
    print(json.dumps(hunt(mutant, seeds)))


if __name__ == "__main__":
    main()
