"""The pool of one dest: a slot per endpoint, and the decision which endpoints to dial when.

Pure: `now` is seconds of a monotonic clock, chance is passed in, nothing is awaited. After each call the caller
asks `begin` what to dial, and sets one timer to `next_due`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Final, Generic, TypeVar

from litz.errors import Attempt, WireClosedError
from litz.wire import Endpoint
from outproc.retry.backoff import DEFAULT_BACKOFF, Backoff, RetryState
from outproc.retry.classify import Verdict, classify

W = TypeVar("W")

MAX_ENDPOINTS: Final = 32
"""Endpoints of one dest that are looked at; directories are not ours, so there is a limit."""

LONG: Final = 4
"""After so many failures in a row an endpoint is one that keeps failing."""

AT_ONCE: Final = 8
"""How often in a row an endpoint is dialled at once because its wire, which was well, broke."""

AT_ONCE_AGAIN: Final = 0.5
"""Seconds after which it may once more; so a wire that answers and breaks, again and again, is no storm of dials."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Not dialled yet, or told to start afresh. Due as the race allows."""


@dataclass(frozen=True, slots=True)
class Building:
    """A dial is under way since `since`; it is number `attempt` since the endpoint last proved well, from 0."""

    since: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Ready(Generic[W]):
    """`wire` is up since `since`. `proved`: it has carried an answer, so its loss is a new story."""

    wire: W
    since: float
    proved: bool = False


@dataclass(frozen=True, slots=True)
class Cooling:
    """Due again at `until`, after `failures` failures in a row (0: a wire that was well broke). `leisurely`: so late
    only because another wire is up."""

    until: float
    failures: int
    error: BaseException
    leisurely: bool = False


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


@lru_cache(maxsize=8)
def _leisurely(backoff: Backoff, cap: float) -> Backoff:
    """One object for all dests: an idle one should cost little."""
    return Backoff(backoff.base, max(backoff.cap, cap), backoff.factor)


class Pool(Generic[W]):
    """All endpoints of one dest.

    rng           decides the jitter
    upgrade_cap   highest ceiling in seconds of the waits of an endpoint while another wire is up
    stagger       seconds between the first dials of two endpoints while none has failed
    stable_after  seconds after which a wire that was up counts as proved
    """

    def __init__(
        self,
        rng: Random,
        *,
        backoff: Backoff = DEFAULT_BACKOFF,
        upgrade_cap: float = 60.0,
        stagger: float = 0.1,
        stable_after: float = 10.0,
    ) -> None:
        self._rng = rng
        self._backoff = backoff
        self._leisurely = _leisurely(backoff, upgrade_cap)
        self._stagger = stagger
        self._stable_after = stable_after
        self._slots: dict[Endpoint, Slot[W]] = {}
        self.held: frozenset[str] = frozenset()
        """Kinds of wire that the peer provides: their endpoints are not dialled meanwhile. Set by the caller, who then
        asks `begin` and `next_due` anew."""
        self.weak: frozenset[str] = frozenset()
        """Kinds whose wires lose or reorder frames, as far as known: one that is up is no reason to take one's time
        with the others. Set by the caller."""
        self._gate = 0.0  # before this moment no idle endpoint joins the race

    # What there is.

    @property
    def slots(self) -> list[Slot[W]]:
        """All slots, best endpoint first; those that only wait for their end come last."""
        return list(self._slots.values())

    @property
    def ready(self) -> list[W]:
        """The wires that are up, in the order of their endpoints."""
        return [slot.state.wire for slot in self._slots.values() if isinstance(slot.state, Ready)]

    def all_failed(self) -> tuple[Attempt, ...]:
        """Once every endpoint has failed at least once since it was listed, last proved well or was interrupted:
        the latest error of each. Until then, or with no endpoint at all, empty. The caller may then give up a
        first dial; it need not, the pool goes on."""
        attempts: list[Attempt] = []
        for slot in self._slots.values():
            if slot.listed:
                if slot.last_error is None or isinstance(slot.state, Ready | Yielded):
                    return ()
                attempts.append(Attempt(str(slot.endpoint), slot.last_error))
        return tuple(attempts)

    def keeps_failing(self) -> bool:
        """Whether some endpoint has not been reached for long, `LONG` dials in a row, or is dead: the dest may have
        moved away from there. What the peer provides is not dialled, and does not count."""
        return any(
            isinstance(slot.state, Dead) or slot.retry.attempt >= LONG
            for slot in self._slots.values()
            if slot.listed and slot.endpoint.kind not in self.held
        )

    # What is to be done.

    def set_endpoints(self, endpoints: Iterable[Endpoint], now: float) -> None:
        """Replace the list, best first. Slots that stay are untouched. Those that go are forgotten, but a live
        wire is kept until it is lost, and of a dial under way nothing is wanted any more. The caller then asks `begin`:
        of the new endpoints the first is due at once."""
        old = self._slots
        self._slots = {}
        for endpoint in list(dict.fromkeys(endpoints))[:MAX_ENDPOINTS]:
            slot = old.pop(endpoint, None)
            if slot is None:
                slot = Slot(endpoint, RetryState(self._backoff))
                self._gate = now
            slot.listed = True
            self._slots[endpoint] = slot
        for endpoint, slot in old.items():
            # A dial that is being cancelled keeps its slot, so that no endpoint ever has two dials.
            if isinstance(slot.state, Building | Ready):
                slot.listed = False
                self._slots[endpoint] = slot

    def begin(self, now: float) -> list[Endpoint]:
        """Endpoints to dial now; each is marked as building. The caller starts one dial for each and reports its
        end with exactly one of `built`, `failed` and `cancelled`. Asking again without news returns nothing."""
        starting: list[Endpoint] = []
        for slot in self._slots.values():
            due = self._due(slot)
            if due is None or due > now:
                continue
            if isinstance(slot.state, Idle):
                self._gate = now + self._stagger
            slot.state = Building(now, slot.retry.attempt)
            slot.dials += 1
            starting.append(slot.endpoint)
        return starting

    def next_due(self) -> float | None:
        """When `begin` has something next (perhaps in the past: ask now), or None: only news changes anything.
        The caller keeps one timer at this time."""
        dues = [due for slot in self._slots.values() if (due := self._due(slot)) is not None]
        return min(dues, default=None)

    # What has happened.

    def built(self, endpoint: Endpoint, wire: W, now: float) -> bool:
        """The dial of `endpoint` made `wire`, open and proved to lead to the dest. False: nobody wants it any
        more, and the caller closes it. True: the caller reports its end with `lost` or `yielded`."""
        slot = self._building(endpoint)
        if slot is None:
            return False
        self._gate = now
        if not slot.listed:
            del self._slots[endpoint]
            return False
        slot.state = Ready(wire, now)
        return True

    def failed(self, endpoint: Endpoint, error: BaseException, now: float) -> None:
        """The dial of `endpoint` failed. The next endpoint may start at once; this one cools down, or is dead
        when `classify` says that trying again is pointless."""
        slot = self._building(endpoint)
        if slot is None:
            return
        self._gate = now
        slot.failures += 1
        self._cool(slot, error, now)

    def cancelled(self, endpoint: Endpoint, now: float) -> None:
        """The caller cancelled the dial of `endpoint`: no failure. Dialled again only if it is wanted."""
        slot = self._building(endpoint)
        if slot is None:
            return
        self._gate = now
        slot.state = Idle()
        self._forget_unlisted(slot)

    def proved(self, wire: W) -> None:
        """`wire` has carried an answer of the peer to something sent on it (an ack, a pong): when it breaks, it
        is redialled at once. Unknown wires are ignored."""
        slot = self._with(wire)
        if slot is not None and isinstance(slot.state, Ready):
            slot.state = Ready(wire, slot.state.since, proved=True)
            self._well(slot)

    def lost(self, wire: W, now: float, error: BaseException | None = None) -> None:
        """`wire` died. Redialled at once if it had proved well, or was up for `stable_after`, unless `error` asks
        for more time or that was so too often of late (`AT_ONCE`); otherwise its endpoint goes on in its backoff. A
        wire that is not (or no longer) of this pool is ignored."""
        slot = self._with(wire)
        if slot is None or not isinstance(slot.state, Ready):
            return
        cause = error if error is not None else WireClosedError(f"the wire to {slot.endpoint} closed")
        up_until = slot.state.since + self._stable_after
        well = slot.state.proved or now >= up_until
        if well:
            self._well(slot)
        self._cool(slot, cause, now, was_well=well)
        self.hurry(now)

    def displaced(self, wire: W, now: float, error: BaseException) -> None:
        """`wire` made room for a newer one at the limit of wires of either side: no failure. Dialled again after a wait
        of full jitter whose ceiling doubles each time, or the two would displace each other for ever, in step. One that
        was up for longer than the highest ceiling begins anew. Unknown wires are ignored."""
        slot = self._with(wire)
        if slot is None or not isinstance(slot.state, Ready):
            return
        if now - slot.state.since >= self._leisurely.cap:
            slot.displaced = 0
        slot.displaced = min(slot.displaced + 1, 32)
        self._well(slot)
        ceiling = min(self._leisurely.cap, self._backoff.cap * self._backoff.factor**slot.displaced)
        slot.state = Cooling(now + self._rng.random() * ceiling, 0, error, leisurely=True)
        self._forget_unlisted(slot)
        self.hurry(now)

    def hurry(self, now: float) -> None:
        """Nothing may be up any more: then no endpoint takes its time. The caller says so when a wire of the peer's is
        gone; of ours the pool knows."""
        if self._is_up():
            return
        for slot in self._slots.values():
            state = slot.state
            if isinstance(state, Cooling) and state.leisurely:
                soon = now + self._rng.random() * self._backoff.cap
                slot.state = Cooling(min(state.until, soon), state.failures, state.error)

    def yielded(self, wire: W) -> None:
        """`wire` was closed as DUPLICATE of a better one: no failure, and not redialled until the caller reports
        the end of the better one with `winner_lost`. Unknown wires are ignored."""
        slot = self._with(wire)
        if slot is not None:
            self._well(slot)
            slot.state = Yielded()
            self._forget_unlisted(slot)

    def winner_lost(self, now: float, kind: str | None = None) -> None:
        """The wire that ours of `kind` (None: of any kind) yielded to is gone: they are due at once."""
        for slot in self._slots.values():
            if isinstance(slot.state, Yielded) and kind in (None, slot.endpoint.kind):
                slot.state = Cooling(now, 0, WireClosedError(f"the better wire than {slot.endpoint} closed"))

    def interrupt(self, now: float, kind: str | None = None) -> None:
        """Start afresh with all endpoints of `kind` (None: all) that are cooling or dead: the user asked for it.
        Wires and dials that are up or under way are left alone."""
        for slot in self._slots.values():
            if isinstance(slot.state, Cooling | Dead) and kind in (None, slot.endpoint.kind):
                self._well(slot)
                slot.state = Idle()
        self._gate = now

    def woke(self, now: float) -> None:
        """The machine slept: start afresh with what is cooling, for the waits are of another day. What is dead stays
        so: a goodbye still holds."""
        for slot in self._slots.values():
            if isinstance(slot.state, Cooling):
                self._well(slot)
                slot.state = Idle()
        self._gate = now

    # How it is decided.

    def _due(self, slot: Slot[W]) -> float | None:
        """When the slot may be dialled. The stagger holds back first dials only: later ones have times of
        their own, and what broke must be redialled at once (P6)."""
        if slot.endpoint.kind in self.held:
            return None
        match slot.state:
            case Idle():
                return self._gate
            case Cooling(until=until):
                return until
            case _:
                return None

    def _is_up(self) -> bool:
        up = [slot.endpoint.kind for slot in self._slots.values() if isinstance(slot.state, Ready)]
        return any(kind not in self.weak for kind in (*self.held, *up))

    def _building(self, endpoint: Endpoint) -> Slot[W] | None:
        slot = self._slots.get(endpoint)
        return slot if slot is not None and isinstance(slot.state, Building) else None

    def _with(self, wire: W) -> Slot[W] | None:
        for slot in self._slots.values():
            if isinstance(slot.state, Ready) and slot.state.wire is wire:
                return slot
        return None

    def _well(self, slot: Slot[W]) -> None:
        slot.retry.proved()
        slot.last_error = None

    def _cool(self, slot: Slot[W], error: BaseException, now: float, *, was_well: bool = False) -> None:
        """The error may ask for more time (displaced, busy), also after a wire that was well."""
        decision = classify(error)
        if decision.verdict is Verdict.STOP:
            slot.last_error = error
            slot.state = Dead(error)
        elif was_well:
            slot.state = Cooling(now + decision.min_delay + self._rest(slot, now), 0, error)
        else:
            slot.last_error = error
            up = self._is_up()
            delay = decision.min_delay + slot.retry.failed(self._rng, self._leisurely if up else self._backoff)
            slot.state = Cooling(now + delay, slot.retry.attempt, error, leisurely=up and not decision.min_delay)
        self._forget_unlisted(slot)

    def _rest(self, slot: Slot[W], now: float) -> float:
        """Seconds until a wire that was well is dialled again: none, but for one that breaks again and again."""
        slot.spent_until = max(slot.spent_until, now) + AT_ONCE_AGAIN
        over = slot.spent_until - now - AT_ONCE * AT_ONCE_AGAIN
        return over * (1.0 + self._rng.random()) if over > 0.0 else 0.0

    def _forget_unlisted(self, slot: Slot[W]) -> None:
        if not slot.listed:
            del self._slots[slot.endpoint]
