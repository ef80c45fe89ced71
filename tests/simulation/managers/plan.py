"""What one seed is made of: nodes, wires, limits, faults, and what the users do."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from litz.payload import PayloadType
from litz.testing import Link
from outproc.options import TransportOptions
from outproc.session.limits import Overflow

KINDS: Final = ("tcp", "rtc", "uds")
BACKOFF_CAP: Final = 1.0
LANES: Final = (
    PayloadType.RPC_RELIABLE,
    PayloadType.RPC_RELIABLE,
    PayloadType.RPC_SIGNAL,
    PayloadType.STREAM_RELIABLE,
    PayloadType.STREAM_LATENCY_FIRST,
)

NETWORK_FAULTS: Final = {
    "reset": 4.0,
    "reset one side": 3.0,
    "half open": 2.0,
    "one-way loss": 2.0,
    "remote close": 1.0,
    "stall": 1.0,
    "delay": 3.0,
    "slow link": 1.0,
    "partition": 1.0,
    "one-way partition": 1.0,
    "freeze": 0.5,
    "lag": 0.3,
    "dial: refuse": 1.0,
    "dial: hang": 1.0,
    "dial: late": 1.0,
    "dial: slow": 1.0,
    "dial: orphan": 0.5,
}
"""Faults of `litz.testing.Nemesis` with their weights; those of the world itself are in `faults.py`."""

WORLD_FAULTS: Final = {
    "reset all": 9.0,
    "rebind": 6.0,
    "cross dial": 1.0,
    "flap": 0.5,
    "late join": 1.5,
    "restart higher": 0.7,
    "restart lower": 0.5,
    "takeover": 0.5,
    "takeover lower": 0.4,
    "close transport": 0.7,
    "close all": 0.2,
    "close manager": 0.3,
    "outage": 0.4,
    "consumer restarts": 0.7,
}


@dataclass(frozen=True, slots=True)
class Plan:
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    dials: frozenset[tuple[str, str]]
    """Who has endpoints of whom."""
    options: TransportOptions
    frames: dict[str, tuple[int, ...]]
    link: Link
    consumers: dict[str, str]
    """How each node reads: messages, apart (a stream per sender), serve, serve async, serve wide."""
    think: float
    """Seconds that a consumer takes for some messages."""
    sizes: tuple[int, ...]
    faults: dict[str, float]
    seconds: float
    """How long the faults last."""
    every: float
    """Seconds between two faults, on average."""
    calls: int
    """How many things the user of each node does."""


def make_plan(seed: int) -> Plan:
    rng = Random(f"managers plan {seed}")
    names = ("a", "b", "c") if rng.random() < 0.15 else ("a", "b")
    max_message = rng.choice((2_000, 12_000, 40_000))
    kinds = KINDS[: rng.choice((1, 2, 2, 2, 2, 2, 3))]
    both = rng.random() < 0.55
    pairs = [(one, other) for one in names for other in names if one != other]
    dials = frozenset(pair for pair in pairs if both or pair[0] < pair[1] or rng.random() < 0.2)
    faults = {**NETWORK_FAULTS, **WORLD_FAULTS}
    for name in rng.sample(sorted(faults), rng.randint(0, 12)):
        if name not in ("reset all", "rebind"):
            del faults[name]
    takeovers = rng.random() < 0.25
    for name in ("takeover", "takeover lower"):
        faults.pop(name, None)
        if takeovers:
            faults[name] = 2.0
    return Plan(
        names=names,
        kinds=kinds,
        dials=dials,
        options=_options(rng, max_message),
        frames={kind: rng.choice(((4_096,), (4_096, 9_000, 65_536), (65_536,), (1 << 20,))) for kind in KINDS},
        link=Link(
            latency=rng.choice((0.001, 0.01, 0.05)),
            jitter=rng.choice((0.0, 0.005, 0.03)),
            bandwidth=rng.choice((None, None, None, 2_000_000.0)),
        ),
        consumers={name: rng.choice(("messages", "apart", "serve", "serve async", "serve wide")) for name in names},
        think=rng.choice((0.0, 0.0, 0.02, 0.1)),
        sizes=(5, 30, 200, max_message // 3, max_message) if rng.random() < 0.5 else (5, 40, 40, 300, 1_500),
        faults=faults,
        seconds=rng.choice((2.0, 3.0, 4.0)),
        every=rng.choice((0.12, 0.2, 0.3)),
        calls=rng.randint(8, 16),
    )


def _options(rng: Random, max_message: int) -> TransportOptions:
    small = rng.random() < 0.6
    policies: dict[PayloadType, Overflow] = {}
    if rng.random() < 0.3:
        for kind in (PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE):
            policies[kind] = rng.choice(list(Overflow))
    return TransportOptions(
        log_messages=rng.choice((2, 5, 20)) if small else 16_384,
        log_size=rng.choice((500, 4_000, 60_000)) if small else 4 << 20,
        process_log_size=rng.choice((50_000, 1 << 20)) if small else 256 << 20,
        window_messages=rng.choice((1, 3, 12)) if small else 16_384,
        window_size=max_message * rng.choice((1, 3)) if small else 16 << 20,
        session_window_size=max_message * rng.choice((1, 4)) if small else 64 << 20,
        max_message=max_message,
        overflow=policies,
        session_kept=rng.choice((0.4, 1.2, 60.0, 60.0)),
        tombstones_kept=rng.choice((1.0, 120.0)),
        max_tombstones=rng.choice((1, 100)),
        max_wires=rng.choice((1, 2, 2, 8, 8, 8, 8, 8)),
        ping_after=0.4,
        dead_after=0.4,
        wake_timeout=0.1,
        handshake_timeout=1.0,
        dial_timeout=1.0,
        close_timeout=2.0,
        stagger=0.02,
        backoff_base=0.02,
        backoff_cap=BACKOFF_CAP,
        stable_after=1.0,
        accept_grace=0.3,
    )
