"""What litz is tested with, shipped so that you can test your own wires and managers with it."""

from litz.testing.manager_contract import MANAGER_CHECKS, VIRTUAL_TIME_CHECKS, check_manager, check_transport_manager
from litz.testing.nemesis import Nemesis
from litz.testing.recording import MakePair, RecordingSink
from litz.testing.sim_builder import SimListener, SimWireBuilder
from litz.testing.sim_loop import (
    ForbiddenInSimulationError,
    SimDeadlockError,
    SimLeakError,
    SimLimitError,
    SimLoop,
    SimulationError,
)
from litz.testing.sim_network import DialFault, SimHost, SimNetwork, WireSpec
from litz.testing.sim_pipe import Link
from litz.testing.sim_stream import SimStream, SimTransport
from litz.testing.sim_wire import SimConnection, SimWire
from litz.testing.simulation import SimRun, run_simulation
from litz.testing.wire_contract import WIRE_CHECKS, check_wire

__all__ = [
    "MANAGER_CHECKS",
    "VIRTUAL_TIME_CHECKS",
    "WIRE_CHECKS",
    "DialFault",
    "ForbiddenInSimulationError",
    "Link",
    "MakePair",
    "Nemesis",
    "RecordingSink",
    "SimConnection",
    "SimDeadlockError",
    "SimHost",
    "SimLeakError",
    "SimLimitError",
    "SimListener",
    "SimLoop",
    "SimNetwork",
    "SimRun",
    "SimStream",
    "SimTransport",
    "SimWire",
    "SimWireBuilder",
    "SimulationError",
    "WireSpec",
    "check_manager",
    "check_transport_manager",
    "check_wire",
    "run_simulation",
]
