"""One end of a wire, and the handler queue behind a session."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from outproc.session.fixed_lanes import FIXED_LANES, INTERNAL_LANES
from outproc.session.identity import Half, Incarnation
from outproc.session.session import Session
from outproc.session.tombstones import Finals

if TYPE_CHECKING:
    from tests.simulation.core.driver import Peer
    from tests.simulation.core.network import SimWire


STATED_SIZE = 50
"""Bytes that the handshake here needs for the position of one lane."""
ALL_LANES = (*FIXED_LANES, *INTERNAL_LANES)
"""Every reliable lane; the internal ones come when they are first used."""


class Strand:
    """One end of the second strand of a wire."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.wire = link.wire
        self.index = link.side + 2

    def write(self, *message: Any) -> None:
        self.wire.write(self.index, message)

    @property
    def writable(self) -> bool:
        return self.wire.writable(self.index)

    def __repr__(self) -> str:
        return f"{self.link}'"


class Link:
    """One end of a wire."""

    def __init__(self, peer: Peer, wire: SimWire, side: int) -> None:
        self.peer = peer
        self.wire = wire
        self.side = self.index = side
        self.dialled = side == 0
        self.alive = True
        self.session: Session | None = None
        self.joins = 0
        self.answered = False
        self.life: Incarnation | None = None
        """The life of the peer that answered our HELLO."""
        self.named: Half | None = None
        """The half of the peer that the latest JOIN named."""
        self.early: int | None = 0
        """Bytes of data written since it joined, None once it has answered a ping since."""
        self.carried = False
        self.heard_at = 0.0
        self.pings: dict[int, float] = {}
        self.link = self
        self.urgent = Strand(self) if len(wire.ways) > 2 else None
        wire.ends[side] = self
        peer.links.append(self)

    def write(self, *message: Any) -> None:
        self.wire.write(self.side, message)

    def named_of(self, finals: Finals) -> Finals:
        """As many of them as one MISMATCH on this wire has room for."""
        named = list(finals.lanes.values())[: self.wire.max_frame // STATED_SIZE]
        return Finals.of(named, partial=finals.partial or len(named) < len(finals.lanes))

    @property
    def writable(self) -> bool:
        return self.wire.writable(self.side)

    def close(self) -> None:
        """Flush, then close. It leaves its session at once."""
        if self.alive:
            self.alive = False
            self.wire.close(self.side)
            self.peer.links.remove(self)
            self.peer.drop_link(self)

    def __repr__(self) -> str:
        return f"{self.peer.node.name}{'>' if self.dialled else '<'}{self.peer.id}#{self.wire.number}"


@dataclass(slots=True)
class Consumer:
    """The handler queue of one session, and what was taken out of it."""

    queues: dict[int, deque[tuple[int, int]]] = field(default_factory=lambda: {lane: deque() for lane in ALL_LANES})
    """(number, size)"""
    messages: dict[int, int] = field(default_factory=lambda: dict.fromkeys(ALL_LANES, 0))
    size: dict[int, int] = field(default_factory=lambda: dict.fromkeys(ALL_LANES, 0))
