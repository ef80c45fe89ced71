"""The pool of one dest: a slot per endpoint, and the decision which endpoints to dial when.

Pure: `now` is seconds of a monotonic clock, chance is passed in, nothing is awaited. After each call the caller
asks `begin` what to dial, and sets one timer to `next_due`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Final, Generic

from litz.errors import Attempt, WireClosedError
from litz.wire import Endpoint
from outproc.retry.backoff import DEFAULT_BACKOFF, Backoff, RetryState
from outproc.retry.classify import Verdict, classify
from outproc.slots import Building, Cooling, Dead, Idle, Ready, Slot, W, Yielded

MAX_ENDPOINTS: Final = 32
"""Endpoints of one dest that are looked at; directories are not ours, so there is a limit."""

LONG: Final = 4
"""After so many failures in a row an endpoint is one that keeps failing."""

AT_ONCE: Final = 8
"""How often in a row an endpoint is dialled at once because its wire, which was well, broke."""

AT_ONCE_AGAIN: Final = 0.5
"""Seconds after which it may once more; so a wire that answers and breaks, again and again, is no storm of dials."""


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
    cold_probe    seconds between the dials of an endpoint while the dest is cold: from half of that to all of it
    backoff_of    the backoff of one endpoint, where it has another one
    """

    def __init__(
        self,
        rng: Random,
        *,
        backoff: Backoff = DEFAULT_BACKOFF,
        upgrade_cap: float = 60.0,
        stagger: float = 0.1,
        stable_after: float = 10.0,
        cold_probe: float = 60.0,
        backoff_of: Callable[[Endpoint], Backoff] | None = None,
    ) -> None:
        self._rng = rng
        self._backoff = backoff
        self._backoff_of = backoff_of
        self._upgrade_cap = upgrade_cap
        self._leisurely = _leisurely(backoff, upgrade_cap)
        self._stagger = stagger
        self._stable_after = stable_after
        self._cold_probe = cold_probe
        self.cold = False
        """Whether its endpoints are only probed: `chill` begins it, `thaw` ends it."""
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

    def stopped(self) -> BaseException | None:
        """Why no endpoint is dialled by itself any more; None: one is, or is up, or there is none."""
        error: BaseException | None = None
        for slot in self._slots.values():
            if not isinstance(slot.state, Dead):
                return None
            error = slot.state.error
        return error

    def tally(self) -> dict[Endpoint, int]:
        """How often each endpoint has failed, for `failed_since`."""
        return {slot.endpoint: slot.failures for slot in self._slots.values()}

    def failed_since(self, tally: dict[Endpoint, int]) -> bool:
        """Whether every endpoint has failed again since that tally, but for those that are not dialled any more."""
        return all(
            isinstance(slot.state, Dead) or slot.failures > tally.get(slot.endpoint, 0)
            for slot in self._slots.values()
            if slot.listed
        )

    def keeps_failing(self) -> bool:
        """Whether some endpoint has not been reached for long, `LONG` dials in a row, or is dead: the dest may have
        moved away from there. What the peer provides is not dialled, and does not count."""
        return any(
            isinstance(slot.state, Dead) or slot.retry.attempt >= LONG
            for slot in self._slots.values()
            if slot.listed and slot.endpoint.kind not in self.held
        )

    # What is to be done.

    def set_endpoints(self, endpoints: Iterable[Endpoint], now: float) -> bool:
        """Replace the list, best first. Slots that stay are untouched. Those that go are forgotten, but a live
        wire is kept until it is lost, and of a dial under way nothing is wanted any more. The caller then asks `begin`:
        of the new endpoints the first is due at once. Returns whether there is a new one."""
        old, new = self._slots, False
        self._slots = {}
        for endpoint in list(dict.fromkeys(endpoints))[:MAX_ENDPOINTS]:
            slot = old.pop(endpoint, None)
            if slot is None:
                backoff = self._backoff if self._backoff_of is None else self._backoff_of(endpoint)
                slot = Slot(endpoint, RetryState(backoff))
                self._gate = now
                new = True
            slot.listed = True
            self._slots[endpoint] = slot
        for endpoint, slot in old.items():
            # A dial that is being cancelled keeps its slot, so that no endpoint ever has two dials.
            if isinstance(slot.state, Building | Ready):
                slot.listed = False
                self._slots[endpoint] = slot
        return new

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
        again = slot.state.again if isinstance(slot.state, Building) else None
        self._cool(slot, error, now)
        if again is not None and isinstance(slot.state, Cooling) and not classify(error).min_delay:
            until = min(slot.state.until, now + self._rng.random() * again)
            slot.state = replace(slot.state, until=until, hastened=True)
        self.hurry(now)

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
        if not any(isinstance(each.state, Building) for each in self._slots.values()):
            self.hurry(now)  # else that one may be what it made room for, and has not heard so yet

    def hurry(self, now: float) -> None:
        """Nothing may be up any more: then no endpoint takes its time. The caller says so when a wire of the peer's is
        gone; of ours the pool knows."""
        if self._is_up():
            return
        for slot in self._slots.values():
            state = slot.state
            if isinstance(state, Cooling) and state.leisurely:
                soon = now + self._rng.random() * slot.retry.backoff.cap
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

    def chill(self, now: float) -> None:
        """The dest is cold: what waits to be dialled waits for a probe's time."""
        self.cold = True
        for slot in self._slots.values():
            state = slot.state
            if isinstance(state, Cooling) and not state.hastened:
                until = max(state.until, now + self.until_probe())
                slot.state = Cooling(until, state.failures, state.error, state.leisurely, cold=True)

    def thaw(self, now: float) -> None:
        """The dest is not cold any more: no endpoint waits for a probe's time."""
        self.cold = False
        for slot in self._slots.values():
            state = slot.state
            if isinstance(state, Cooling) and state.cold:
                up = self._is_up()
                ceiling = self._leisure(slot).cap if up else slot.retry.backoff.cap
                until = min(state.until, now + self._rng.random() * ceiling)
                slot.state = Cooling(until, state.failures, state.error, leisurely=up)

    def woke(self, now: float) -> None:
        """The machine slept: start afresh with what is cooling, for the waits are of another day, and with what is
        dialled now, once that has failed. What is dead stays so: a goodbye still holds."""
        for slot in self._slots.values():
            if isinstance(slot.state, Cooling):
                self._well(slot)
                slot.state = Idle()
            elif isinstance(slot.state, Building):
                self._well(slot)
                slot.state = replace(slot.state, again=0.0)
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
            delay = decision.min_delay + slot.retry.failed(self._rng, self._leisure(slot) if up else None)
            cold = self.cold and not up
            if cold:
                delay = max(delay, self.until_probe())
            leisurely = up and not decision.min_delay
            slot.state = Cooling(now + delay, slot.retry.attempt, error, leisurely=leisurely, cold=cold)
        self._forget_unlisted(slot)

    def _leisure(self, slot: Slot[W]) -> Backoff:
        own = slot.retry.backoff
        return self._leisurely if own is self._backoff else _leisurely(own, self._upgrade_cap)

    def until_probe(self) -> float:
        """Seconds between two dials of a cold dest."""
        return self._cold_probe * (0.5 + 0.5 * self._rng.random())

    def _rest(self, slot: Slot[W], now: float) -> float:
        """Seconds until a wire that was well is dialled again: none, but for one that breaks again and again."""
        slot.spent_until = max(slot.spent_until, now) + AT_ONCE_AGAIN
        over = slot.spent_until - now - AT_ONCE * AT_ONCE_AGAIN
        return over * (1.0 + self._rng.random()) if over > 0.0 else 0.0

    def _forget_unlisted(self, slot: Slot[W]) -> None:
        if not slot.listed:
            del self._slots[slot.endpoint]
