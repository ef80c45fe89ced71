"""`python -m tests.simulation.episodes SEED [LAST] [--trace]`."""

import sys

from tests.simulation.episodes.run import PACKAGE, REQUIRED, run_seed
from tests.simulation.seeds import replay

sys.exit(replay(PACKAGE, run_seed, REQUIRED))
