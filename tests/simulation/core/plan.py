"""What one seed is made of: limits, policies, wires, and how often what happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from outproc.session.limits import Overflow, SessionLimits, StreamLimits
from outproc.session.session import FIXED_LANES

FRAME_SIZES = (128, 128, 160, 300, 700, 4_096, 65_536)


@dataclass(frozen=True, slots=True)
class Plan:
    names: tuple[str, ...]
    limits: SessionLimits
    overflow: dict[int, Overflow]
    sizes: tuple[int, ...]
    """Sizes to choose message lengths from."""
    kinds: tuple[str, ...]
    capacity: int
    """Frames in flight after which a wire is not writable."""
    keep_wires: float
    """How likely a wire of an ended session joins the next one instead of being closed."""
    early: float
    """How likely data follows a JOIN that resumes."""
    consume: float
    """How likely a consumer takes something when it could."""
    weights: dict[str, int]
    steps: int
    overlap: bool
    """Whether lanes move between wires all the time."""
    lossy: float
    """How likely a new wire is lossy."""
    streams: StreamLimits | None = None
    """None: the walk has no streams."""


def make_plan(rng: Random, hits: Counter[str], lossy: float = 0.0) -> Plan:
    max_message = rng.choice((40, 200, 1_000, 3_000))
    limits = SessionLimits(
        log_messages=rng.choice((1, 2, 4, 16, 64)),
        log_size=rng.choice((64, 300, 2_000, 20_000)),
        window_messages=rng.choice((1, 2, 4, 16, 64)),
        window_size=max_message * rng.choice((1, 2, 8)),
        session_window_size=max_message * rng.choice((1, 2, 16)),
        max_message=max_message,
        max_wires=rng.choice((2, 4, 4)),
        batch_messages=rng.choice((1, 3, 1_024)),
        early_size={40: 60, 200: 500, 1_000: 1_300}.get(max_message, 128 << 10),
    )
    hits["tiny window"] += limits.window_messages <= 2
    hits["tiny log"] += limits.log_messages <= 2
    policies = [each for each in Overflow if each is not Overflow.SPILL]
    overlap = rng.random() < 0.85
    weights = {
        "deliver": 40,
        "send": 24,
        "consume": 14,
        "tick": 12,
        "dial": 8 if overlap else 4,
        "lossy": 6 if lossy else 1,
        "finish": 1 if rng.random() < 0.2 else 0,
        "move": 12 if overlap else 1,
        "ping": 3 if lossy else 1,
        "cut": rng.choice((0, 1, 3)),
        "verdict": 1,
        "discard": rng.choice((0, 0, 1)),
        "expire": rng.choice((0, 1)),
        "goodbye": rng.choice((0, 0, 1)),
        "restart": rng.choice((0, 0, 1)),
    }
    return Plan(
        names=("a", "b", "c") if rng.random() < 0.2 else ("a", "b"),
        limits=limits,
        overflow={lane: rng.choice(policies) for lane in FIXED_LANES} if rng.random() < 0.5 else {},
        sizes=(0, 5, 30, max_message // 2, max_message) if rng.random() < 0.5 else (3, 9, 17, min(60, max_message)),
        kinds=("ws", "rtc", "uds") if overlap else rng.choice((("ws",), ("ws", "rtc"))),
        capacity=rng.choice((1, 2, 4, 16)),
        keep_wires=rng.choice((0.0, 0.5, 1.0)),
        early=rng.choice((0.0, 0.7, 1.0)),
        consume=rng.choice((1.0, 1.0, 0.2)),
        weights={name: weight for name, weight in weights.items() if weight},
        steps=rng.randint(60, 260),
        overlap=overlap,
        lossy=lossy,
    )
