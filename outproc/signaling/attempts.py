"""Which attempts to connect are under way, and which of two that cross counts. Pure; one object per node.

An *attempt* is one offer and what becomes of it. Both sides of a pair keep at most one each of *mine* (we offered) and
*theirs* (we answer). `now` is seconds of a monotonic clock, `wall` seconds since the Unix epoch.

The driver calls a method for everything that happens and does what it returns, in the same turn:

- somebody wants a connection: `begin`, then post an offer, or wait for the attempt it names;
- a message came, and its proof is good: `offered`, `answered`, `refused` or `withdrawn`;
- an attempt is over, in whatever way: `over`;
- a session ended: `session_ended`, and each attempt it returns has failed.

Two offers that cross: the offer of the smaller id counts, on both sides, whatever came first. The other side answers
it, and whoever waits there for its own offer waits for that connection instead.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from outproc.signaling.messages import MAX_LIFE, Answer, Offer, Reason

CLOCKS_DIFFER: Final = 300.0
"""Seconds by which the clocks of two nodes may differ. A replay is refused by its attempt, which is remembered for as
long as its offer could be taken; `expires` only bounds that memory."""

MAX_REMEMBERED: Final = 1024
"""Offers of one peer that are remembered; one that makes more while they last has to wait. They last six minutes, in
which an honest peer whose connection breaks again and again makes two a second."""

MAX_PEERS: Final = 4_096
"""Peers whose offers are remembered; the one longest without an offer goes first."""


class State(Enum):
    """Of an attempt of ours."""

    OFFERED = "offered"
    ANSWERED = "answered"


@dataclass(slots=True)
class Mine:
    """Our offer."""

    attempt: str
    state: State = State.OFFERED


@dataclass(frozen=True, slots=True)
class Theirs:
    """An offer of the peer's that we answer."""

    attempt: str


@dataclass(frozen=True, slots=True)
class Take:
    """Answer this offer. `replaces`: an older attempt of the peer's, to be given up. `yields`: our own attempt, which
    is over: whoever waits for it waits for this one."""

    attempt: str
    replaces: str | None = None
    yields: str | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the peer that it will get no answer."""

    attempt: str
    reason: Reason
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Ignore:
    """Do nothing; `why` is for counters."""

    why: str


Decision = Take | Refuse | Ignore


@dataclass(slots=True)
class _Pair:
    mine: Mine | None = None
    theirs: Theirs | None = None


@dataclass(slots=True)
class _Memory:
    """Attempts of one peer, with the wall time until which each could be taken again."""

    until: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def forget(self, wall: float) -> None:
        for attempt in [each for each, end in self.until.items() if end < wall]:
            del self.until[attempt]


class Attempts:
    """All attempts of the node `local_id`, at most `limit` at once, mine and theirs together."""

    def __init__(self, local_id: str, limit: int) -> None:
        self._local_id = local_id
        self._limit = limit
        self._pairs: dict[str, _Pair] = {}
        self._memories: OrderedDict[str, _Memory] = OrderedDict()

    # -- what there is --------------------------------------------------------------------------------

    def __len__(self) -> int:
        return sum((pair.mine is not None) + (pair.theirs is not None) for pair in self._pairs.values())

    def mine(self, peer: str) -> str | None:
        """Our attempt to connect to `peer`."""
        pair = self._pairs.get(peer)
        return pair.mine.attempt if pair is not None and pair.mine is not None else None

    def theirs(self, peer: str) -> str | None:
        """The attempt of `peer` that we answer."""
        pair = self._pairs.get(peer)
        return pair.theirs.attempt if pair is not None and pair.theirs is not None else None

    @property
    def remembered(self) -> int:
        """Attempts in the memory against replay."""
        return sum(len(memory.until) for memory in self._memories.values())

    # -- ours -----------------------------------------------------------------------------------------

    def begin(self, peer: str, attempt: str) -> Take | Refuse | None:
        """We want to offer. None: post the offer. `Take`: the peer's attempt is under way; wait for that. `Refuse`: too
        many at once; nothing was begun."""
        pair = self._pairs.get(peer)
        if pair is not None and pair.theirs is not None:
            return Take(pair.theirs.attempt)
        if pair is not None and pair.mine is not None:
            raise RuntimeError(f"two offers to {peer} at once")
        if len(self) >= self._limit:
            return Refuse(attempt, "busy", 1.0)
        self._pair(peer).mine = Mine(attempt)
        return None

    def answered(self, answer: Answer) -> bool:
        """Whether this is the answer that our offer waits for. A second one is not."""
        pair = self._pairs.get(answer.sender)
        mine = pair.mine if pair is not None else None
        if mine is None or mine.attempt != answer.attempt or mine.state is not State.OFFERED:
            return False
        mine.state = State.ANSWERED
        return True

    def refused(self, peer: str, attempt: str) -> bool:
        """Whether our offer is over by this refusal. The caller then ends it with `over`."""
        pair = self._pairs.get(peer)
        return pair is not None and pair.mine is not None and pair.mine.attempt == attempt

    # -- theirs ---------------------------------------------------------------------------------------

    def offered(self, offer: Offer, wall: float) -> Decision:
        """An offer came, signed by its sender and meant for us in this session."""
        peer, attempt = offer.sender, offer.attempt
        if not wall - CLOCKS_DIFFER <= offer.expires <= wall + MAX_LIFE + CLOCKS_DIFFER:
            return Refuse(attempt, "expired", float(MAX_LIFE))
        memory = self._memory(peer)
        memory.forget(wall)
        if attempt in memory.until:
            return Ignore("replayed")
        if len(memory.until) >= MAX_REMEMBERED:
            return Refuse(attempt, "busy", float(MAX_LIFE))
        memory.until[attempt] = offer.expires + CLOCKS_DIFFER
        pair = self._pairs.get(peer) or _Pair()
        if pair.mine is not None and pair.mine.state is State.OFFERED and self._local_id < peer:
            return Ignore("glare")  # the peer decides the same when our offer comes
        yields = pair.mine.attempt if pair.mine is not None else None
        replaces = pair.theirs.attempt if pair.theirs is not None else None
        if yields is None and replaces is None and len(self) >= self._limit:
            return Refuse(attempt, "busy", 1.0)
        pair = self._pair(peer)
        pair.mine = None  # it yields; or it was answered, and the peer would not offer if that were going well
        pair.theirs = Theirs(attempt)
        return Take(attempt, replaces, yields)

    def withdrawn(self, peer: str, attempt: str) -> bool:
        """Whether an attempt that we answer is over. The caller then ends it with `over`."""
        return self.theirs(peer) == attempt

    # -- ends -----------------------------------------------------------------------------------------

    def over(self, peer: str, attempt: str) -> None:
        """The attempt has made a connection, or has failed. Unknown ones are ignored."""
        pair = self._pairs.get(peer)
        if pair is None:
            return
        if pair.mine is not None and pair.mine.attempt == attempt:
            pair.mine = None
        if pair.theirs is not None and pair.theirs.attempt == attempt:
            pair.theirs = None
        if pair.mine is None and pair.theirs is None:
            del self._pairs[peer]

    def session_ended(self, peer: str) -> str | None:
        """The session that carried our offer is over, so no answer will come: our attempt, if it waited for one. What
        was answered goes on: a connection needs no signaling any more. The caller ends it with `over`."""
        pair = self._pairs.get(peer)
        if pair is None or pair.mine is None or pair.mine.state is not State.OFFERED:
            return None
        return pair.mine.attempt

    def _pair(self, peer: str) -> _Pair:
        return self._pairs.setdefault(peer, _Pair())

    def _memory(self, peer: str) -> _Memory:
        memory = self._memories.setdefault(peer, _Memory())
        self._memories.move_to_end(peer)
        while len(self._memories) > MAX_PEERS:
            self._memories.popitem(last=False)
        return memory
