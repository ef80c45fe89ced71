"""The one transition table of a dest's life. A move that is not in it is a bug and raises at once."""

from __future__ import annotations

from typing import Final

from litz.snapshot import DestState

TRANSITIONS: Final[dict[DestState, frozenset[DestState]]] = {
    DestState.CONNECTING: frozenset({DestState.CONNECTED, DestState.CLOSED}),
    DestState.CONNECTED: frozenset({DestState.DETACHED, DestState.CLOSING}),
    DestState.DETACHED: frozenset({DestState.CONNECTED, DestState.CLOSING}),
    DestState.CLOSING: frozenset({DestState.CLOSED}),
    DestState.CLOSED: frozenset(),
}


def move(current: DestState, to: DestState) -> DestState:
    """Return `to` if a dest may go there from `current`; raise RuntimeError otherwise."""
    if to not in TRANSITIONS[current]:
        raise RuntimeError(f"a dest cannot go from {current.value} to {to.value}")
    return to
