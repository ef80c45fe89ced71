"""Which of several wires of one pair and kind go (R12). A pure function, so that both sides agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strand:
    """A joined wire as this decision sees it.

    dialled   by this side
    endpoint  where to; known to the dialler only, '' on the accepting side
    carried   whether the peer has sent a frame on it since it joined
    """

    kind: str
    endpoint: str
    dialled: bool
    carried: bool


def losers(mine: str, theirs: str, strands: Sequence[Strand]) -> list[int]:
    """The indexes of the wires that this side closes as DUPLICATE; `strands` in the order they joined.

    Of two wires of one kind dialled from both sides, those of the smaller id stay. Among one node's own dials to
    one endpoint the newest stays. Nothing goes before its winner has carried a frame from the peer.
    """
    gone = []
    for index, strand in enumerate(strands):
        dialler_wins = strand.dialled == (mine < theirs)
        for other_index, other in enumerate(strands):
            if other.kind != strand.kind or not other.carried or other_index == index:
                continue
            crossed = other.dialled != strand.dialled and not dialler_wins
            newer = strand.dialled and other.dialled and other.endpoint == strand.endpoint and other_index > index
            if crossed or newer:
                gone.append(index)
                break
    return gone
