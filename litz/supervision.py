"""What becomes of a message whose handler failed: kinds of failure, the policy, and the decision. Pure.

An exception of a handler belongs to its message. The policy says whether the message is tried again, and what becomes
of it when it is not. Nothing here knows the time or draws a number: the caller passes both in, makes the next attempt
after the seconds it was told, or applies the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from random import Random
from types import MappingProxyType
from typing import Any, Final, Protocol

from litz.backoff import DEFAULT_BACKOFF, Backoff, backoff_delay


class Failure(Enum):
    """Why a message was not handled, or not delivered."""

    RAISED = "raised"
    """The handler raised an exception."""
    TIMED_OUT = "timed out"
    """One attempt took longer than `timeout`, or all of them longer than `deadline`."""
    CANCELLED_ITSELF = "cancelled itself"
    """A `CancelledError` came out of the handler and nobody had cancelled it: it raised one, or waited for a task that
    somebody cancelled."""
    REFUSED = "refused"
    """Admission had no room for it, and its policy is to reject."""
    ORDER_BROKEN = "order broken"
    """It could not be given its turn: the order of its key is broken. Always the end of its stream."""
    TOO_LARGE = "too large"
    """Larger than a limit; no later attempt can help."""
    UNDELIVERED = "undelivered"
    """Outbound: the stream ended before it was written."""

    # Members are looked up for every failure; the default hash of an Enum hashes its name each time.
    __hash__ = object.__hash__


class Remedy(Enum):
    """What becomes of a message that is not tried again."""

    DROP = "drop"
    """Logged and counted; the next message is served."""
    DEAD_LETTER = "dead letter"
    """Kept in `DeadLetters`, to be looked at and taken out by the user. No room there: as `CLOSE`."""
    PARK_KEY = "park key"
    """It is kept, and the messages of its key wait behind it until the user says what to do. Other keys go on."""
    CLOSE = "close"
    """Its stream is aborted, with the kind of the failure as reason."""
    ESCALATE = "escalate"
    """Its stream is aborted, and the original exception leaves the serving call."""

    __hash__ = object.__hash__


RETRYABLE: Final = frozenset({Failure.RAISED, Failure.TIMED_OUT, Failure.CANCELLED_ITSELF})
"""Failures that another attempt may not have. The others are certain to come again."""

TERMINAL: Final = frozenset({Remedy.CLOSE, Remedy.ESCALATE})
"""Remedies that end the stream."""

NO_REMEDIES: Final[Mapping[Failure | type[BaseException], Remedy]] = MappingProxyType({})

LONGEST_WAIT: Final = 86_400.0
"""Seconds; no time of a policy is longer."""


@dataclass(frozen=True, slots=True)
class Supervise:
    """The policy of one pipeline, or of one `serve`. The defaults try each message once: whether a handler may run
    twice for one message, only its author knows.

    attempts      how often a message is tried at most, the first time included
    timeout       seconds for each attempt, which is then cancelled; None: as long as the handler likes
    deadline      seconds for all attempts and waits of one message, from the begin of the first: an attempt under way
                  is cancelled then, and no wait that would end later is begun. None: what the attempts take
    backoff       how long to wait before an attempt that is not the first: full jitter
    retry         whether an exception is worth another attempt: classes, or a function of the exception
    then          the remedy for what is not tried again
    remedies      other remedies, by kind of failure or class of exception; the exception's nearest class counts, and
                  before the kind
    retry_share   of the first attempts for one dest, so many may be retried: at most
    retry_floor   so many retries a second, and
    retry_burst   so many at once, whatever the share allows
    dead_letters, dead_letter_size
                  how many messages, and bytes, are kept for the user

    Raises ValueError or TypeError for what makes no sense.
    """

    attempts: int = 1
    timeout: float | None = None
    deadline: float | None = None
    backoff: Backoff = DEFAULT_BACKOFF
    retry: tuple[type[BaseException], ...] | Callable[[BaseException], bool] = (Exception,)
    then: Remedy = Remedy.DEAD_LETTER
    remedies: Mapping[Failure | type[BaseException], Remedy] = field(default_factory=lambda: NO_REMEDIES)
    retry_share: float = 0.2
    retry_floor: float = 1.0
    retry_burst: int = 10
    dead_letters: int = 1000
    dead_letter_size: int = 16 << 20

    def __post_init__(self) -> None:
        for name in ("attempts", "dead_letters", "dead_letter_size", "retry_burst"):
            if not 1 <= getattr(self, name) < inf:
                raise ValueError(f"{name} is a whole number from 1, not {getattr(self, name)!r}")
        for name in ("timeout", "deadline"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= LONGEST_WAIT:
                raise ValueError(f"{name} is seconds above 0, a day at most, or None; not {value!r}")
        if not (0 <= self.retry_share <= 1 and 0 <= self.retry_floor < inf):
            raise ValueError(f"retry_share is from 0 to 1 and retry_floor from 0: {self!r}")
        for kind, remedy in ((None, self.then), *self.remedies.items()):
            if not isinstance(remedy, Remedy):
                raise TypeError(f"a remedy is a litz.supervision.Remedy, not {remedy!r}")
            if kind is Failure.ORDER_BROKEN and remedy not in TERMINAL:
                raise ValueError("a broken order always ends the stream: Remedy.CLOSE or Remedy.ESCALATE")

    def remedy_for(self, failure: Failure, error: BaseException | None) -> Remedy:
        """What becomes of a message that failed like this and is not tried again."""
        for base in type(error).__mro__ if error is not None else ():
            if base in self.remedies:
                found = self.remedies[base]
                break
        else:
            found = self.remedies.get(failure, self.then)
        if failure is Failure.ORDER_BROKEN and found not in TERMINAL:
            return Remedy.CLOSE
        # A key waits for what may go better. What is refused or too large would only be in its way.
        return Remedy.CLOSE if found is Remedy.PARK_KEY and failure not in RETRYABLE else found

    def worth_retrying(self, failure: Failure, error: BaseException | None) -> bool:
        """Whether another attempt may go better. A time that was up, and a handler that cancelled itself, count as
        errors of any class that is named."""
        if failure not in RETRYABLE:
            return False
        if not isinstance(self.retry, tuple):
            return error is None or bool(self.retry(error))
        return failure is not Failure.RAISED or isinstance(error, self.retry)


class Purse(Protocol):
    """Where a retry is paid: `litz.retry_budget.RetryBudget`."""

    def take(self, now: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Again:
    """Make the next attempt after `wait` seconds."""

    wait: float


class Why(Enum):
    """Why a message is not tried again."""

    NOT_WORTH_IT = "another attempt is pointless"
    ATTEMPTS = "all attempts are used up"
    DEADLINE = "no time is left"
    THROTTLED = "too many retries for this dest"


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Apply `remedy`."""

    remedy: Remedy
    why: Why


def decide(
    policy: Supervise,
    failure: Failure,
    error: BaseException | None,
    *,
    attempts: int,
    elapsed: float,
    now: float,
    rng: Random,
    purse: Purse,
) -> Again | GiveUp:
    """A message failed for the `attempts`th time, `elapsed` seconds after the first attempt began. What now?

    A retry is paid for only when it will be made.
    """
    why: Why
    if not policy.worth_retrying(failure, error):
        why = Why.NOT_WORTH_IT
    elif attempts >= policy.attempts:
        why = Why.ATTEMPTS
    else:
        wait = backoff_delay(attempts, rng, policy.backoff)
        if policy.deadline is not None and elapsed + wait >= policy.deadline:
            why = Why.DEADLINE
        elif not purse.take(now):
            why = Why.THROTTLED
        else:
            return Again(wait)
    return GiveUp(policy.remedy_for(failure, error), why)


@dataclass(slots=True)
class Tally:
    """Counts of one pipeline or one stream. Sizes are counted only where somebody asked for it; payloads never are
    kept here."""

    handled: int = 0
    retried: int = 0
    throttled: int = 0
    sizes: bool = False
    handled_size: int = 0
    failures: dict[Failure, int] = field(default_factory=dict)
    """Failed attempts, by kind; of one message as many as it had."""
    failed_size: dict[Failure, int] = field(default_factory=dict)
    remedies: dict[Remedy, int] = field(default_factory=dict)
    """Messages that were given up, by what became of them."""

    def add_handled(self, size: int = 0) -> None:
        """One message went well."""
        self.handled += 1
        if self.sizes:
            self.handled_size += size

    def add_failure(self, failure: Failure, size: int = 0) -> None:
        """One attempt failed."""
        self.failures[failure] = self.failures.get(failure, 0) + 1
        if self.sizes:
            self.failed_size[failure] = self.failed_size.get(failure, 0) + size

    def add_remedy(self, remedy: Remedy) -> None:
        """One message was given up."""
        self.remedies[remedy] = self.remedies.get(remedy, 0) + 1

    def add(self, other: Tally) -> None:
        """All that `other` counted, too."""
        self.handled += other.handled
        self.retried += other.retried
        self.throttled += other.throttled
        self.handled_size += other.handled_size
        for mine, theirs in ((self.failures, other.failures), (self.failed_size, other.failed_size)):
            for kind, count in theirs.items():
                mine[kind] = mine.get(kind, 0) + count
        for remedy, count in other.remedies.items():
            self.remedies[remedy] = self.remedies.get(remedy, 0) + count

    def plain(self) -> dict[str, Any]:
        """For logs and metrics: only numbers, under plain names."""
        found: dict[str, Any] = {"handled": self.handled, "retried": self.retried, "throttled": self.throttled}
        found.update((f"failed: {kind.value}", count) for kind, count in self.failures.items())
        found.update((f"remedy: {remedy.value}", count) for remedy, count in self.remedies.items())
        if self.sizes:
            found["handled bytes"] = self.handled_size
            found.update((f"failed bytes: {kind.value}", size) for kind, size in self.failed_size.items())
        return found
