"""`python -m tests.simulation.spill SEED [LAST] [--trace]`."""

import sys

from tests.simulation.seeds import replay
from tests.simulation.spill.run import PACKAGE, run_seed
from tests.simulation.spill.world import REQUIRED

sys.exit(replay(PACKAGE, run_seed, REQUIRED))
