"""`python -m tests.simulation.travels SEED [LAST] [--trace]`."""

import sys

from tests.simulation.seeds import replay
from tests.simulation.travels.run import PACKAGE, REQUIRED, run_seed

sys.exit(replay(PACKAGE, run_seed, REQUIRED))
