"""Which session a wire joins: the decisions about halves (R1, R2, R3) and incarnations (R13).

Pure functions of what both sides know. The driver acts on the answer in the same turn of the loop, before it
looks at anything else, and never awaits in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from outproc.session.identity import Half, Incarnation, Pair


class JoinAction(Enum):
    """What to do with a JOIN (or an OK).

    PAIR        complete the pair with the peer's half; the session is brand new to both
    RESUME      both name the current pair: join the wire to it
    RENEW_PAIR  end the current session loudly (the peer discarded its side), take a new half, then PAIR
    RENEW_REFUSE  end the current session loudly, take a new half, then MISMATCH for the pair that was asked for
    STALE       refuse this wire only
    MISMATCH    refuse the pair that was asked for
    """

    PAIR = auto()
    RESUME = auto()
    RENEW_PAIR = auto()
    RENEW_REFUSE = auto()
    STALE = auto()
    MISMATCH = auto()


class Halves:
    """Where one node takes its halves from: one counter for all its sessions, no value twice (R2)."""

    __slots__ = ("_counter", "incarnation")

    def __init__(self, incarnation: Incarnation) -> None:
        self.incarnation = incarnation
        self._counter = 0

    def new(self) -> Half:
        """A half that was never used before. Take one for each new session, and whenever state is discarded."""
        self._counter += 1
        return Half(self.incarnation, self._counter)


def joins_at_once(pair: Pair | None) -> bool:
    """Whether the dialler takes a wire into its session, and sends data, right after its JOIN (R1).

    Only on resume, when the JOIN named the complete pair. Without a pair it waits for the OK.
    """
    return pair is not None


def decide_join(
    mine: Half, theirs: Half | None, peer: Half, wanted: Half | None, *, remembered: Half | None = None
) -> JoinAction:
    """Decide about a JOIN that names the peer's half `peer` and, as ours, `wanted`.

    `mine` is our current half and `theirs` the half it is paired with, None before it is. `remembered` is the
    highest half of the peer ever seen; keep it when a session ends, set it to `peer` after every answer but
    STALE.
    """
    known = theirs if theirs is not None else remembered
    if known is not None and peer < known:
        return JoinAction.STALE
    if theirs is not None and peer > theirs:
        return JoinAction.RENEW_PAIR if wanted is None else JoinAction.RENEW_REFUSE
    if wanted is not None and wanted != mine:
        return JoinAction.MISMATCH
    return JoinAction.PAIR if theirs is None else JoinAction.RESUME


def decide_ok(
    mine: Half, theirs: Half | None, peer: Half, named: Half, *, remembered: Half | None = None
) -> JoinAction:
    """Decide about an OK that names the peer's half `peer` and, as ours, `named`.

    Only PAIR and RESUME join the wire. After RENEW_REFUSE and for STALE and MISMATCH the wire is closed: the
    OK does not name our current half any more. `remembered` as in `decide_join`.
    """
    if theirs is not None and peer > theirs:
        return JoinAction.RENEW_REFUSE
    known = theirs if theirs is not None else remembered
    if known is not None and peer < known:
        return JoinAction.STALE
    if named != mine:
        return JoinAction.MISMATCH
    return JoinAction.PAIR if theirs is None else JoinAction.RESUME


def ends_current(current: Pair | None, named: Pair) -> bool:
    """Whether a MISMATCH for `named` (seen from our side) ends our session: only if it is still current."""
    return current is not None and current == named


def paired_with_another(current: Pair | None, named: Pair) -> bool:
    """Whether `named` (seen from our side, in a JOIN) never was a session here: the half in it that is ours is the
    current one, and paired with another. Then nothing of it was taken, which is a proof. Of any other pair that is not
    remembered nothing is known, least of all when the half is of another life. Ask before the current session ends."""
    return current is not None and current.mine == named.mine and current.yours != named.yours


class Entry(Enum):
    """What to answer a proved peer, judged by its incarnation (R13)."""

    ADMIT = auto()
    ADMIT_AFTER_END = auto()
    """The known, higher incarnation is gone: end its session loudly, forget it, then admit."""
    BUSY = auto()
    """Ping the higher incarnation now, and ask the lower one to come back."""
    REPLACED = auto()


MAX_LIVES = 8
"""Incarnations of one peer whose highest half is remembered."""
MAX_CLAIMS = 8
"""Lower incarnations of one peer that are remembered at once."""
CLAIM_KEPT = 60.0
"""Seconds after which one that has not asked again may be forgotten for another."""


@dataclass(slots=True)
class Claim:
    """A lower incarnation that asked for admission: when it did so first, and last."""

    asked_at: float
    seen_at: float


class IncarnationGate:
    """Remembers the highest incarnation of one peer, and who challenges it: each challenger has a claim of its own, so
    that two of them cannot keep each other from ever being answered."""

    def __init__(self) -> None:
        self.current: Incarnation | None = None
        self.claims: dict[Incarnation, Claim] = {}
        self._answered_ping = float("-inf")
        """When the latest ping was sent that the known incarnation answered."""
        self._highest: tuple[Half, ...] = ()

    def decide(self, incarnation: Incarnation, *, wires: int, now: float) -> Entry:
        """Decide about a proved peer. `wires`: how many the known incarnation has joined now.

        ADMIT of a higher one means that the old session (if any) ends when the halves are compared.
        BUSY: the caller pings every wire of the known incarnation and reports pongs with `answered`.
        """
        if self.current is None or incarnation >= self.current:
            return self._take(incarnation, Entry.ADMIT)
        claim = self.claims.get(incarnation)
        if claim is None:
            if self._has_room(now):
                self.claims[incarnation] = Claim(now, now)
            return Entry.BUSY
        claim.seen_at = now
        if self._answered_ping > claim.asked_at:
            # If it asks once more, the higher one must answer once more: it may have ended by then.
            del self.claims[incarnation]
            return Entry.REPLACED
        if wires == 0:
            # It asked, came back, and the higher one has not been heard of: the clock went back.
            return self._take(incarnation, Entry.ADMIT_AFTER_END)
        return Entry.BUSY

    def _take(self, incarnation: Incarnation, entry: Entry) -> Entry:
        self.current = incarnation
        self.claims.clear()
        self._answered_ping = float("-inf")
        return entry

    def _has_room(self, now: float) -> bool:
        """Those who keep asking are answered in the end, so they leave room by themselves."""
        if len(self.claims) < MAX_CLAIMS:
            return True
        oldest = min(self.claims, key=lambda incarnation: self.claims[incarnation].seen_at)
        if now - self.claims[oldest].seen_at < CLAIM_KEPT:
            return False
        del self.claims[oldest]
        return True

    def answered(self, ping_sent_at: float, now: float) -> None:
        """The known incarnation answered a ping. Counts for a claim only if the ping was sent after it was made; of one
        sent at the same instant nobody knows, so it does not count, and the next BUSY sends another."""
        self._answered_ping = max(self._answered_ping, ping_sent_at)

    def note(self, half: Half) -> None:
        """A half of the peer was seen in a JOIN or OK that was not stale."""
        known = self.remembered
        if half.incarnation == self.current and (known is None or half > known):
            others = [other for other in self._highest if other.incarnation != half.incarnation]
            self._highest = (*others[1 - MAX_LIVES :], half)

    def resume(self, half: Half) -> None:
        """`half` is the highest of an earlier transport of the same peer: nothing below it is news."""
        self._highest = (half,)

    @property
    def remembered(self) -> Half | None:
        """The highest half of the known incarnation, over all its sessions, for `decide_join` and `decide_ok`. What
        another life of the peer used says nothing about this one: a late word of it must not make this one stale. What
        this one used is remembered while others come and go: a late word of it must not pair with a half it gave up."""
        return next((half for half in self._highest if half.incarnation == self.current), None)
