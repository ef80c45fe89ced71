"""What must be true of episodes between nodes, whatever happens.

Invariants
  once      the parts that a subscriber is handed ascend by one from its cursor; what is missing is said by a gap, and
            only to who asked to skip
  true      each part is what was appended under its key and number
  typed     an iterator ends without an error exactly when its episode is complete and all of it was handed out
  why       every other end is one that the producer, a limit or time has caused, and names what is true
  arrives   once the faults are over every subscriber comes to the end of the last version
  producer  appending never waits and is never refused
  calm      a publisher that is away is not asked more often than the backoff allows
  left      a subscriber that left, finished or died is gone at the publisher
  closed    nothing is left running
  typed-errors  only errors that the verbs name get out
"""

from __future__ import annotations

from tests.simulation import seeds
from tests.simulation.seeds import invariant_names

INVARIANTS = invariant_names(__doc__)


class EpisodeInvariantError(seeds.InvariantError):
    """One of those above does not hold."""

    names = INVARIANTS

    @property
    def invariant(self) -> str:
        return self.name
