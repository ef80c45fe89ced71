"""What is remembered of ended sessions: their final positions, for peers that ask later (R4, R14)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from outproc.frames.records import Ack, Position
from outproc.session.identity import Pair


@dataclass(frozen=True, slots=True)
class Finals:
    """Per lane what was received, processed and durable when the session ended; nothing was taken after."""

    lanes: dict[int, Ack]
    partial: bool = False
    """Not all lanes are named: of the others nothing is known. If all are, they received nothing beyond the acks."""

    @classmethod
    def of(cls, positions: Iterable[Ack], *, partial: bool = False) -> Finals:
        """The final positions as a session states them, or as its peer did."""
        return cls({ack.lane: ack for ack in positions}, partial)

    def received(self, lane: int, acked: Position) -> Position | None:
        """What was received of `lane`, of which `acked` was acknowledged; None: nobody knows."""
        ack = self.lanes.get(lane)
        if ack is not None:
            return ack.received
        return None if self.partial else acked


class Tombstones:
    """Final positions of ended sessions of one node, bounded in number and age."""

    def __init__(self, *, keep: float = 600.0, limit: int = 4_096) -> None:
        self.keep = keep
        self.limit = limit
        self._finals: OrderedDict[Pair, tuple[float, Finals]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._finals)

    def bury(self, pair: Pair, finals: Finals, now: float) -> None:
        """Remember the end of `pair`. The first statement stands: final means final."""
        if pair not in self._finals:
            self._finals[pair] = (now, finals)
        self._expire(now)

    def look_up(self, pair: Pair, now: float) -> Finals | None:
        """The final positions of `pair`, None if they are not (or no longer) known."""
        self._expire(now)
        entry = self._finals.get(pair)
        return entry[1] if entry is not None else None

    def _expire(self, now: float) -> None:
        while self._finals:
            pair, (buried, _) = next(iter(self._finals.items()))
            if buried + self.keep > now and len(self._finals) <= self.limit:
                return
            del self._finals[pair]
