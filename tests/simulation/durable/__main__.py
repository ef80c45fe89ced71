"""Replay seeds: `python -m tests.simulation.durable SEED [LAST] [--trace] [--hits]`."""

from __future__ import annotations

from tests.simulation.durable.hits import REQUIRED
from tests.simulation.durable.run import PACKAGE, run_seed
from tests.simulation.seeds import replay

if __name__ == "__main__":
    raise SystemExit(replay(PACKAGE, run_seed, REQUIRED))
