"""Whether a round of dials is over: nothing is left to try in it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from litz.errors import Attempt
from outproc.slots import Ready, Slot, Yielded


def verdict(slots: Iterable[Slot[Any]], provided: frozenset[str], kind: str | None) -> list[Attempt] | bool:
    """How a round for wires of `kind` (None: of any) stands. True: what was asked for is up. Attempts: all that is not
    up has failed. False: there is more to come. `provided`: kinds of wire that the peer has dialled and that are up."""
    up = bool(provided if kind is None else kind in provided)
    attempts = []
    for slot in slots:
        if not slot.listed or kind not in (None, slot.endpoint.kind):
            continue
        if isinstance(slot.state, Ready):
            up = True
        elif slot.last_error is not None:
            attempts.append(Attempt(str(slot.endpoint), slot.last_error))
        elif slot.endpoint.kind not in provided and not isinstance(slot.state, Yielded):
            return False
    return up or attempts
