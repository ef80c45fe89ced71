"""How much work may be under way at once, and what happens to what is more. Pure: no loop, no clock, no callbacks.

`Admission` decides, `litz.limiter` acts. Work has a *weight*: a count (mostly 1) and bytes. It fits while all that is
admitted together stays at or below the limit, in both.

The law
    First come, first served: while somebody waits nobody overtakes, so a heavy one is not starved by light ones.
    What is admitted is released exactly once; a second release is an error at once.
    A direction (inbound, outbound) has an `Admission` of its own: what comes in cannot use up what goes out.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum, auto

from litz.errors import AdmissionRefusedError


@dataclass(frozen=True, slots=True)
class Amount:
    """So much: `count` pieces of work of together `size` bytes."""

    count: int
    size: int = 64 << 20

    def __post_init__(self) -> None:
        if self.count < 0 or self.size < 0:
            raise ValueError(f"an amount is not negative: {self!r}")

    def __str__(self) -> str:
        return f"{self.count} at once, {self.size} bytes"

    def holds(self, other: Amount) -> bool:
        """Whether `other` is not more, in count and in bytes."""
        return other.count <= self.count and other.size <= self.size

    def plus(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.count + other.count, self.size + other.size)

    def minus(self, other: Amount) -> Amount:
        """What is left without `other`."""
        return Amount(self.count - other.count, self.size - other.size)


@dataclass(frozen=True, slots=True)
class Reject:
    """Over `limit` work is refused."""

    limit: Amount

    def __post_init__(self) -> None:
        _at_least_one("limit", self.limit)


@dataclass(frozen=True, slots=True)
class Queue:
    """Over `limit` work waits, first come, first served; over `waiting` of what waits it is refused."""

    limit: Amount
    waiting: Amount = field(default_factory=lambda: Amount(1024))

    def __post_init__(self) -> None:
        _at_least_one("limit", self.limit)
        _at_least_one("waiting", self.waiting)


@dataclass(frozen=True, slots=True)
class SoftAllow:
    """Over `limit` work is admitted all the same, and counted; over `ceiling` it is refused."""

    limit: Amount
    ceiling: Amount

    def __post_init__(self) -> None:
        _at_least_one("limit", self.limit)
        _above(self.ceiling, self.limit)


@dataclass(frozen=True, slots=True)
class SoftAllowSignal:
    """As `SoftAllow`, and told: *high* once when it passes `limit`, *low* once when it has come down to `low` (default:
    half of the limit), in count and in bytes. In between nothing is told, so that it does not flutter."""

    limit: Amount
    ceiling: Amount
    low: Amount | None = None

    def __post_init__(self) -> None:
        _at_least_one("limit", self.limit)
        _above(self.ceiling, self.limit)
        if not self.limit.holds(self.low_mark):
            raise ValueError(f"low is not above the limit: {self.low} is above {self.limit}")

    @property
    def low_mark(self) -> Amount:
        """Where *low* is told."""
        return Amount(self.limit.count // 2, self.limit.size // 2) if self.low is None else self.low


Policy = Reject | Queue | SoftAllow | SoftAllowSignal
"""What happens over a limit."""


def _at_least_one(name: str, amount: Amount) -> None:
    if not (amount.count and amount.size):
        raise ValueError(f"{name} is at least 1 in count and in bytes, not {amount}")


def _above(ceiling: Amount, limit: Amount) -> None:
    if not ceiling.holds(limit):
        raise ValueError(f"the ceiling is not below the limit: {ceiling} is below {limit}")


class GrantState(Enum):
    """How far a piece of work has come."""

    WAITING = auto()
    """In line. It holds nothing."""
    ADMITTED = auto()
    """It counts until `release`."""
    OVER = auto()
    """Released, or withdrawn."""


class Grant:
    """One piece of work of a known weight. Its fields are for reading; `Admission` changes them."""

    __slots__ = ("state", "weight")

    def __init__(self, weight: Amount) -> None:
        self.weight = weight
        self.state = GrantState.WAITING

    def __repr__(self) -> str:
        return f"<grant of {self.weight}: {self.state.name.lower()}>"


class Admission:
    """What is admitted under one policy, and who waits. Each verb is O(1), and what it admits."""

    def __init__(self, policy: Policy, *, name: str = "limiter") -> None:
        self.policy = policy
        self.name = name
        """For errors: which limit it is, such as "inbound of orders"."""
        self.used = Amount(0, 0)
        """What is admitted and not released."""
        self.queued = Amount(0, 0)
        """What waits."""
        self.high = False
        """With `SoftAllowSignal`: it passed the limit, and has not come down to the low mark since."""
        self.admitted = 0
        """How many were admitted so far; `over_limit` of them over the limit, by a soft policy."""
        self.over_limit = 0
        self.refused = 0
        """How many were refused so far."""
        self._line: OrderedDict[Grant, None] = OrderedDict()
        hard = policy.ceiling if isinstance(policy, SoftAllow | SoftAllowSignal) else policy.limit
        self.ceiling = hard
        """Above this nothing is ever admitted."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    def ask(self, weight: Amount, *, may_wait: bool = True) -> Grant:
        """Ask for `weight`. The grant is admitted, or it waits in line (`Queue` only), and some `release` or `withdraw`
        admits it later. Raises `AdmissionRefusedError`; nothing is kept then. With `may_wait=False` what would have to
        wait is refused."""
        if not (weight.count or weight.size):
            raise ValueError("work without any weight needs no permit")
        if not self._line and self.ceiling.holds(self.used.plus(weight)):
            grant = Grant(weight)
            self._admit(grant)
            return grant
        policy = self.policy
        if not isinstance(policy, Queue) or not may_wait or not policy.limit.holds(weight):
            raise self._refusal(weight)
        after = self.queued.plus(weight)
        if not policy.waiting.holds(after):
            raise self._refusal(weight)
        self.queued = after
        grant = Grant(weight)
        self._line[grant] = None
        return grant

    def release(self, grant: Grant) -> list[Grant]:
        """Its work is over. Returns who is admitted by that, in order. RuntimeError if it is not admitted: it was
        released before."""
        if grant.state is not GrantState.ADMITTED:
            raise RuntimeError(f"released twice, or never admitted: {grant!r}")
        grant.state = GrantState.OVER
        self.used = self.used.minus(grant.weight)
        if self.high and isinstance(self.policy, SoftAllowSignal) and self.policy.low_mark.holds(self.used):
            self.high = False
        return self._next()

    def withdraw(self, grant: Grant) -> list[Grant]:
        """It waits no more. Returns who is admitted because it is out of the way. RuntimeError if it does not wait."""
        if grant.state is not GrantState.WAITING:
            raise RuntimeError(f"it does not wait: {grant!r}")
        grant.state = GrantState.OVER
        del self._line[grant]
        self.queued = self.queued.minus(grant.weight)
        return self._next()

    def _next(self) -> list[Grant]:
        admitted = []
        while self._line:
            first = next(iter(self._line))
            if not self.ceiling.holds(self.used.plus(first.weight)):
                break
            del self._line[first]
            self.queued = self.queued.minus(first.weight)
            self._admit(first)
            admitted.append(first)
        return admitted

    def _admit(self, grant: Grant) -> None:
        grant.state = GrantState.ADMITTED
        self.used = self.used.plus(grant.weight)
        self.admitted += 1
        if not self.policy.limit.holds(self.used):
            self.over_limit += 1
            if isinstance(self.policy, SoftAllowSignal):
                self.high = True

    def _refusal(self, weight: Amount) -> AdmissionRefusedError:
        self.refused += 1
        kind = type(self.policy).__name__
        if not self.ceiling.holds(weight):
            why = f"{weight} is more than it ever admits ({self.ceiling}): cut the work into pieces, or raise the limit"
        elif isinstance(self.policy, Queue) and self._line:
            why = f"{self.queued} wait already (at most {self.policy.waiting}): send more slowly, or let more wait"
        else:
            why = f"{self.used} are admitted (at most {self.ceiling}): come again later, raise the limit, or use Queue"
        return AdmissionRefusedError(f"{self.name} ({kind}) refused {weight}: {why}", limiter=self.name, policy=kind)
