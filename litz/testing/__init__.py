"""What litz is tested with, shipped so that you can test your own wires and managers with it."""

from litz.testing.sim_loop import (
    ForbiddenInSimulationError,
    SimDeadlockError,
    SimLeakError,
    SimLimitError,
    SimLoop,
    SimulationError,
)
from litz.testing.simulation import SimRun, run_simulation

__all__ = [
    "ForbiddenInSimulationError",
    "SimDeadlockError",
    "SimLeakError",
    "SimLimitError",
    "SimLoop",
    "SimRun",
    "SimulationError",
    "run_simulation",
]
