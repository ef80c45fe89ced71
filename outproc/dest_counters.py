"""What is counted per dest."""

from __future__ import annotations

from dataclasses import dataclass

from outproc.session.session import Session


@dataclass(slots=True)
class Counters:
    """Counted since the transport was made."""

    heals: int = 0
    replayed: int = 0
    duplicates: int = 0

    def add(self, session: Session) -> None:
        """A session is over: keep what it counted."""
        self.replayed += sum(lane.replayed for lane in session.send_lanes.values())
        self.duplicates += sum(lane.duplicates for lane in session.receive_lanes.values())
