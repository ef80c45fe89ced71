"""Replay seeds: `python -m tests.simulation.managers SEED [LAST] [--trace] [--hits]`."""

from __future__ import annotations

from tests.simulation.managers.hits import REQUIRED
from tests.simulation.managers.run import PACKAGE, run_seed
from tests.simulation.seeds import replay

if __name__ == "__main__":
    raise SystemExit(replay(PACKAGE, run_seed, REQUIRED))
