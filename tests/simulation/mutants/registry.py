"""All mutants, by name. A list of another level is added here with its own entry point."""

from __future__ import annotations

from tests.simulation.mutants.driver_mutants import DRIVER_MUTANTS
from tests.simulation.mutants.durable_mutants import DURABLE_MUTANTS
from tests.simulation.mutants.ends_mutants import ENDS_MUTANTS
from tests.simulation.mutants.episode_mutants import EPISODE_MUTANTS
from tests.simulation.mutants.hard_times_mutants import HARD_TIMES_MUTANTS
from tests.simulation.mutants.inbox_mutants import INBOX_MUTANTS
from tests.simulation.mutants.internal_mutants import INTERNAL_MUTANTS
from tests.simulation.mutants.lossy_mutants import LOSSY_MUTANTS
from tests.simulation.mutants.movement_mutants import MOVEMENT_MUTANTS
from tests.simulation.mutants.mutant import Mutant
from tests.simulation.mutants.ordering_mutants import ORDERING_MUTANTS
from tests.simulation.mutants.outage_mutants import OUTAGE_MUTANTS
from tests.simulation.mutants.pairing_mutants import PAIRING_MUTANTS
from tests.simulation.mutants.relay_mutants import RELAY_MUTANTS
from tests.simulation.mutants.restart_mutants import RESTART_MUTANTS
from tests.simulation.mutants.resumable_mutants import RESUMABLE_MUTANTS
from tests.simulation.mutants.rights_mutants import RIGHTS_MUTANTS
from tests.simulation.mutants.signaling_mutants import SIGNALING_MUTANTS
from tests.simulation.mutants.spill_mutants import SPILL_MUTANTS
from tests.simulation.mutants.strand_mutants import STRAND_MUTANTS
from tests.simulation.mutants.stream_driver_mutants import STREAM_DRIVER_MUTANTS
from tests.simulation.mutants.stream_lane_mutants import STREAM_LANE_MUTANTS
from tests.simulation.mutants.traffic_mutants import TRAFFIC_MUTANTS
from tests.simulation.mutants.travel_mutants import TRAVEL_MUTANTS
from tests.simulation.mutants.trust_mutants import TRUST_MUTANTS
from tests.simulation.mutants.wake_mutants import WAKE_MUTANTS

ALL: tuple[Mutant, ...] = (
    *PAIRING_MUTANTS,
    *TRAFFIC_MUTANTS,
    *DRIVER_MUTANTS,
    *INBOX_MUTANTS,
    *TRUST_MUTANTS,
    *INTERNAL_MUTANTS,
    *RELAY_MUTANTS,
    *SIGNALING_MUTANTS,
    *WAKE_MUTANTS,
    *TRAVEL_MUTANTS,
    *MOVEMENT_MUTANTS,
    *STRAND_MUTANTS,
    *LOSSY_MUTANTS,
    *HARD_TIMES_MUTANTS,
    *DURABLE_MUTANTS,
    *SPILL_MUTANTS,
    *RESTART_MUTANTS,
    *RIGHTS_MUTANTS,
    *ENDS_MUTANTS,
    *ORDERING_MUTANTS,
    *OUTAGE_MUTANTS,
    *EPISODE_MUTANTS,
    *RESUMABLE_MUTANTS,
    *STREAM_LANE_MUTANTS,
    *STREAM_DRIVER_MUTANTS,
)
PROVED: frozenset[str] = frozenset(mutant.name for mutant in RIGHTS_MUTANTS if mutant.killers == ("verdict",))
"""Hunted by `make prove` only: unit tests notice them too, and each costs a process."""

MUTANTS: dict[str, Mutant] = {mutant.name: mutant for mutant in ALL}
