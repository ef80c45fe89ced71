"""What a pool knows of one endpoint: its state, which carries its data, and its history. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from litz.wire import Endpoint
from outproc.retry.backoff import RetryState

W = TypeVar("W")


@dataclass(frozen=True, slots=True)
class Idle:
    """Not dialled yet, or told to start afresh. Due as the race allows."""


@dataclass(frozen=True, slots=True)
class Building:
    """A dial is under way since `since`; it is number `attempt` since the endpoint last proved well, from 0. `again`:
    if it fails, the next is due within so many seconds: it began before the network changed, or the machine slept."""

    since: float
    attempt: int
    again: float | None = None


@dataclass(frozen=True, slots=True)
class Ready(Generic[W]):
    """`wire` is up since `since`. `proved`: it has carried an answer, so its loss is a new story."""

    wire: W
    since: float
    proved: bool = False


@dataclass(frozen=True, slots=True)
class Cooling:
    """Due again at `until`, after `failures` failures in a row (0: a wire that was well broke). `leisurely`: so late
    only because another wire is up; `cold`: because the dest is cold. `hastened`: so soon because the network changed,
    or the machine woke; that holds for this once, also if the dest grows cold."""

    until: float
    failures: int
    error: BaseException
    leisurely: bool = False
    cold: bool = False
    hastened: bool = False


@dataclass(frozen=True, slots=True)
class Yielded:
    """Its wire was the loser of a tie. Not dialled while the winner lives (R12)."""


@dataclass(frozen=True, slots=True)
class Dead:
    """Not dialled by itself any more, because of `error`."""

    error: BaseException


State = Idle | Building | Ready[W] | Cooling | Yielded | Dead


@dataclass(slots=True)
class Slot(Generic[W]):
    """One endpoint of the dest. Read it; only its pool changes it, and `outproc.hastening`.

    dials       how often it was dialled, ever
    failures    how often a dial failed, ever
    displaced   how often in a row its wire made room for a newer one at the limit of wires
    spent_until when all of its dials at once are there again (see `AT_ONCE`)
    last_error  of the failures since it last proved well
    listed      False once the endpoint was taken off the list: the slot only waits for its wire or dial to end
    """

    endpoint: Endpoint
    retry: RetryState
    state: State[W] = field(default_factory=Idle)
    dials: int = 0
    failures: int = 0
    displaced: int = 0
    spent_until: float = 0.0
    last_error: BaseException | None = None
    listed: bool = True

    def __repr__(self) -> str:
        return f"<slot {self.endpoint} {type(self.state).__name__.lower()} after {self.dials} dials>"
