"""What a run over many seeds must have hit at least once."""

from __future__ import annotations

from tests.simulation.durable.plan import COPIES, DEATHS, DISKS, NETWORK, OTHERS

FAULTS = (*(name for name in NETWORK if not name.startswith("dial: ")), *DEATHS, *DISKS, *COPIES, *OTHERS)
FOUND = (
    "StoreFencedError",
    "StoreFullError",
    "OutboxFullError",
    "ManagerStateError",
    "confirmed",
    "dead: attempts",
    "dead: expired",
    "dead: too large",
    "disk full",
    "effect ahead",
    "effect failed",
    "effect was there",
    "effects together",
    "group commit",
    "handed out again",
    "handlers: apply",
    "handlers: apply many",
    "handlers: plain",
    "handlers: read",
    "inbox disk full",
    "kept by SQLite",
    "marked",
    "poison",
    "renewed",
    "retried",
)
REQUIRED = (*FAULTS, *FOUND)
RARE = (
    "StoreFencedError",
    "StoreFullError",
    "a day later",
    "clock back",
    "dead: expired",
    "effect was there",
    "half open",
    "minutes away",
    "one-way loss",
    "renewed",
    "reset",
    "retry dead letters",
    "stall",
    "two copies",
    "without inbox",
    "zombie",
)
"""Hit in a few of a hundred seeds: only the soak can ask for them."""
