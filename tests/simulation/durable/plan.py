"""What one seed is like: who sends to whom, limits, times, and which faults there are."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from litz.testing import Link

NETWORK: Final = ("reset", "half open", "partition", "freeze", "stall", "one-way loss", "dial: refuse")
DEATHS: Final = ("kill", "kill both", "kill in a commit, kept", "kill in a commit, lost", "close")
DISKS: Final = ("disk full", "disk slow")
COPIES: Final = ("save", "older outbox", "older inbox", "two copies")
OTHERS: Final = ("zombie", "retry dead letters", "a day later", "minutes away", "clock back", "without inbox")

DAY: Final = 86_400.0
AWAY: Final = 600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """See `make_plan`. `pairs`: who sends to whom; `poison`: messages at which their receiver dies, one in so many."""

    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]
    seconds: float
    every: float
    messages: int
    link: Link
    sqlite: bool
    disk_slow: float
    revisit: float
    max_age: float
    max_attempts: int
    max_bytes: int
    window_messages: int
    window_bytes: int
    max_message: int
    poison: int
    handlers: tuple[str, ...]
    session_kept: float
    ping_after: float


def make_plan(seed: int) -> Plan:
    """Everything follows from the seed."""
    rng = Random(f"durable plan {seed}")
    names = ("alice", "bob") if rng.random() < 0.7 else ("alice", "bob", "carol")
    every = [(one, other) for one in names for other in names if one != other]
    pairs = [("alice", "bob"), *rng.sample(every[1:], rng.choice((0, 0, 1, len(every) - 1)))]
    faults = [*rng.sample(NETWORK, 3), *rng.sample(DEATHS, 3)]
    faults += rng.sample(DISKS, rng.choice((0, 1, 2)))
    if rng.random() < 0.35:
        faults += ["save", *rng.sample(COPIES[1:], rng.choice((1, 1, 2))) * 2]
    faults += rng.sample(OTHERS, rng.choice((0, 1, 2)))
    poison = rng.choice((0, 0, 0, 12))
    attempts = rng.choice((2, 3)) if poison else rng.choice((2, 1_000, 1_000))
    if attempts < 10:
        faults.append("retry dead letters")
    return Plan(
        names=names,
        pairs=tuple(pairs),
        faults=tuple(faults),
        seconds=rng.choice((3.0, 6.0, 12.0)),
        every=rng.choice((0.4, 0.8, 2.0)),
        messages=rng.choice((30, 60, 120)),
        link=Link(latency=rng.choice((0.001, 0.02))),
        sqlite=rng.random() < 0.25,
        disk_slow=rng.choice((0.002, 0.02, 0.2)),
        revisit=20.0 if "minutes away" in faults else rng.choice((0.2, 1.0, 5.0)),
        max_age=rng.choice((AWAY / 2, 7 * DAY, 7 * DAY)),
        max_attempts=attempts,
        max_bytes=rng.choice((4_000, 40_000, 1 << 30, 1 << 30)),
        window_messages=rng.choice((1, 2, 5, 50, 4_096)),
        window_bytes=rng.choice((1_024, 4_096, 1 << 20)),
        max_message=rng.choice((2_000, 1 << 20)) if rng.random() < 0.5 else 1 << 20,
        poison=poison,
        handlers=rng.choice(
            (("plain",), ("apply",), ("apply", "apply many"), ("plain", "apply", "apply many", "read"))
        ),
        session_kept=rng.choice((1.0, 5.0, 60.0)),
        ping_after=30.0 if "minutes away" in faults else 0.4,
    )
