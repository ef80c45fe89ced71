"""The network has changed, so what could not be reached may be reachable now: what cools down has a chance soon, and
what is dialled in the network of before has one more. Pure.

It is no proof, so failures still count: a network that comes and goes must not make each dest begin anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final, TypeVar

from litz.wire import Endpoint
from outproc.pool import Pool
from outproc.retry.classify import classify
from outproc.slots import Building, Cooling

W = TypeVar("W")

EACH: Final = 0.005
"""Seconds over which the dials of a node are spread, for each dest that it has."""


def spread(dests: int, longest: float) -> float:
    """Seconds within which `dests` dests are dialled: at once for one, and no storm of many."""
    return min(longest, EACH * dests)


def hasten(pool: Pool[W], now: float, within: float, rng: Random, concerned: Callable[[Endpoint], bool]) -> bool:
    """Make the endpoints of `pool` that are `concerned` and cool down due within so many seconds, by chance; those that
    are being dialled, once that has failed. Who was asked to stay away (busy, unauthenticated) does. Whether any is due
    sooner; then the caller asks `next_due`."""
    sooner = False
    for slot in pool.slots:
        state = slot.state
        if isinstance(state, Building) and concerned(slot.endpoint):
            slot.state = replace(state, again=within)
        if isinstance(state, Cooling) and not classify(state.error).min_delay and concerned(slot.endpoint):
            until = now + rng.random() * within
            if until < state.until:
                slot.state = replace(state, until=until, hastened=True)
                sooner = True
    return sooner
