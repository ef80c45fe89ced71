"""Looks at the frames on the network and at counters, and counts what was hit. Knows only what is on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from litz.events import LaneMoved, SessionEnded, WireDown, WireUp
from tests.simulation.managers.record import InvariantError

if TYPE_CHECKING:
    from outproc.session.session import Session
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

JSON = b'{"type":"'
READABLE = ("hello", "challenge", "refuse")
"""Frames of the handshake before a wire is sealed."""
MOVED_FOR = ("sick", "direct, the others", "reflexive, the others", "preferred", "round trip", "throughput")
"""Words of the reasons of moves."""
LEAVE_REASONS = {1: "DUPLICATE", 2: "DISPLACED"}


class Sniffer:
    """Sits on the notes that the network takes of each frame that arrives."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hits = world.hits
        self.heals = 0
        self._note: Callable[..., None] = world.network.note
        self._joining: dict[int, None] = {}
        """Connections with a JOIN that named a pair and has no answer yet."""
        self.shaking: dict[int, None] = {}
        """Connections whose dialler has said HELLO and got no answer to its JOIN."""
        self._seen: dict[Session, dict[str, int]] = {}
        self._counted: dict[Life, int] = {}
        self._wires: dict[tuple[Life, str], tuple[int, bool]] = {}
        world.network.note = self._frame

    def _frame(self, *facts: Any) -> None:
        self._note(*facts)
        if len(facts) == 3 and isinstance(facts[2], bytes):
            pipe, _, frame = facts
            if pipe < 0:
                self.hits["urgent frame"] += 1
                if self._sealed(-pipe // 2):
                    raise InvariantError("proved", f"a frame goes around the seal of connection {-pipe // 2}")
                return
            connection = pipe // 2
            if frame.startswith(JSON):
                self._handshake(pipe, frame)
            elif pipe % 2 == 0 and connection in self._joining:
                self.hits["early data"] += 1
            else:
                self.shaking.pop(connection, None)
            self.world.trust_faults.arrived(connection, "dialler" if pipe % 2 else "acceptor", frame)

    def _handshake(self, pipe: int, frame: bytes) -> None:
        kind = frame[9:20].partition(b'"')[0].decode()
        connection = pipe // 2
        if self.world.trace is not None:
            self.world.log("frame", connection, frame.partition(b"\n")[0].decode())
        if kind not in READABLE and self._sealed(connection):
            raise InvariantError(
                "proved", f"{kind!r} travels readable on connection {connection}, which is to be sealed"
            )
        if kind in ("hello", "challenge", "join"):
            self.shaking[connection] = None
        else:
            self.shaking.pop(connection, None)
        if kind == "refuse":
            kind += " " + frame.partition(b'"code":"')[2].partition(b'"')[0].decode()
        elif kind == "join":
            named = b'"yours":null' not in frame
            kind += " again" if b'"join":1,' not in frame else " resume" if named else " new"
            if named:
                self._joining[connection] = None
        elif kind == "mismatch":
            kind += " unknown" if b'"final":null' in frame else " with finals"
        if not kind.startswith("join"):
            self._joining.pop(connection, None)
        self.hits[f"frame {kind}"] += 1

    def _sealed(self, connection: int) -> bool:
        sealed = self.world.plan.proofs.sealed_kinds
        lives = [life.host for life in self.world.lives]
        return any(
            c.number == connection and c.kind in sealed and c.source in lives for c in self.world.network.connections
        )

    def count(self, lives: Iterable[Life]) -> None:
        """Take over counters that only grow, and the events that are new."""
        for life in lives:
            for _, session in life.sessions():
                self._count_session(session)
            events = life.events
            for _, event in events[self._counted.get(life, 0) :]:
                self.hits[f"event {type(event).__name__}"] += 1
                if isinstance(event, LaneMoved) and event.before:
                    why = next((word for word in MOVED_FOR if word in event.reason), "other")
                    self.hits[f"lane moved: {why}"] += 1
                if isinstance(event, SessionEnded):
                    self.hits[f"ended {event.reason.name}"] += 1
                    for entry in event.lost:
                        self.hits[f"lost {entry.outcome.name}"] += 1
                    self._wires.pop((life, event.dest), None)
                elif isinstance(event, WireDown):
                    left = self._wires.get((life, event.dest), (0, False))
                    self._wires[life, event.dest] = (left[0], True)
                    for reason in LEAVE_REASONS.values():
                        self.hits[f"wire {reason}"] += reason.lower() in event.cause.lower()
                elif isinstance(event, WireUp):
                    wires, broke = self._wires.get((life, event.dest), (0, False))
                    self.heals += broke
                    self._wires[life, event.dest] = (wires + 1, False)
                    self.hits["relayed"] += event.kind == "relay"
            self._counted[life] = len(events)

    def _count_session(self, session: Session) -> None:
        now = {
            "replayed": sum(lane.replayed for lane in session.send_lanes.values()),
            "trimmed front": sum(lane.duplicates for lane in session.receive_lanes.values()),
            "lower epoch dropped": session.stale_batches,
            "receive fault": session.faults.total,
        }
        before = self._seen.setdefault(session, dict.fromkeys(now, 0))
        for name, value in now.items():
            if value > before[name]:
                self.hits[name] += value - before[name]
                before[name] = value
