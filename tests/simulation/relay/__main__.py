"""Replay seeds: `python -m tests.simulation.relay SEED [LAST] [--trace] [--hits]`."""

from __future__ import annotations

from tests.simulation.relay.run import MUST_HIT, PACKAGE, run_seed
from tests.simulation.seeds import replay

if __name__ == "__main__":
    raise SystemExit(replay(PACKAGE, run_seed, MUST_HIT))
