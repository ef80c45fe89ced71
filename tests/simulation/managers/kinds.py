"""Kinds of wire that a part of the seeds has besides the usual ones. Chance of its own, so that the others are what
they were before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import count as count_from
from itertools import islice
from random import Random
from typing import Any, Final

from litz.payload import PayloadType
from litz.testing import Link
from outproc.options import TransportOptions

LOSSY: Final = "udp"
"""A kind that loses frames, or doubles them, or delivers them in another order."""
LOSSY_SEEDS: Final = 0.3

HUB: Final = "hub"
"""The node that relays."""
RELAYED_FROM: Final = 500_000
"""The first of the seeds that have a hub, unless they have a lossy kind, a directory or proofs."""

LIMITED_SEEDS: Final = 0.35
"""The part in which kinds differ in more than their route, latency and bandwidth."""
SLOW_SEEDS: Final = 0.06
SLOW_FROM: Final = 60_000_000
"""Where a hunt begins that goes from one of these to the next: further than others have looked."""
SLOW: Final = 20_000.0
"""Bytes a second of a wire on which a large frame takes longer than any silence may last."""
NARROW: Final = 20_000
"""Bytes that the network holds of a wire, below which the wire is slow."""

FEW: Final = 3
"""Messages that a window lets in, of which few pass in a second where the round trip is long."""

TINY: Final = (2_048,)
"""The largest frame in bytes."""


@dataclass(frozen=True, slots=True)
class MoreKinds:
    """What a plan has besides."""

    lossy: bool = False
    preferred: bool = False
    """Whether what is latency first goes to the lossy kind before all others."""
    max_wires: int | None = None
    """Of all nodes, instead of what else they would have."""
    least: int = 1
    """Of the usual kinds there are so many at least."""
    deaf: bool = False
    """Whether it loses all that goes one way, once everything has healed."""
    natures: dict[str, dict[str, Any]] = field(default_factory=dict)
    frames: dict[str, tuple[int, ...]] = field(default_factory=dict)
    link: dict[str, Any] = field(default_factory=dict)

    def options(self, usual: TransportOptions) -> TransportOptions:
        """Those of a node whose options were `usual`."""
        update: dict[str, Any] = {} if self.max_wires is None else {"max_wires": self.max_wires}
        if self.preferred:
            preferred = {PayloadType.STREAM_LATENCY_FIRST: (LOSSY, "*")}
            update["wire_preference"] = {**usual.wire_preference, **preferred}
        return usual.model_copy(update=update)


def draw_relayed(seed: int, *, possible: bool) -> tuple[bool, bool]:
    """Whether there is a hub, and whether there is no other way."""
    return possible and seed >= RELAYED_FROM, Random(f"managers plan, hub {seed}").random() < 0.6


def draw_limits(seed: int, kinds: tuple[str, ...], *, proved: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """What else each kind of wire of the seed is like, and its sizes of frames where they are not the usual ones."""
    rng = Random(f"managers plan, limits {seed}")
    natures: dict[str, Any] = {kind: {} for kind in kinds}
    frames: dict[str, Any] = {}
    slow = _slow(seed)
    if slow.random() < SLOW_SEEDS:
        for kind in kinds if slow.random() < 0.5 else (slow.choice(kinds),):
            natures[kind]["bandwidth"] = SLOW
    if rng.random() >= LIMITED_SEEDS:
        return natures, frames
    for kind in kinds:
        natures[kind] |= {"buffer": rng.choice((None, 3_000, 16_384)), "spikes": rng.choice((0.0, 0.0, 0.02, 0.1))}
        if rng.random() < 0.3 and not proved:
            frames[kind] = TINY  # proofs need more
    return natures, frames


def _slow(seed: int) -> Random:
    return Random(f"managers plan, slow {seed}")


@cache
def slow_seeds(count: int) -> list[int]:
    """So many seeds from `SLOW_FROM` on that have slow wires."""
    return list(islice((seed for seed in count_from(SLOW_FROM) if _slow(seed).random() < SLOW_SEEDS), count))


def carrying(natures: dict[str, dict[str, Any]], options: Iterable[TransportOptions], latency: float) -> float:
    """Seconds more where wires are so slow, the network holds so little of them, or so few messages are let in at once
    from far away, that what is logged, and what waits to be, takes long to carry: 3,000 bytes in 0.1 s are less than
    what a burst has."""
    held = [nature["buffer"] for nature in natures.values() if nature.get("buffer")]
    rates = [nature["bandwidth"] for nature in natures.values() if nature.get("bandwidth")]
    if min(rates, default=SLOW + 1) <= SLOW:
        return 80.0
    few = latency > 0.03 and min(each.window_messages for each in options) <= FEW
    return 20.0 if few or min(held, default=NARROW) < NARROW else 0.0


def seconds_a_byte(natures: Iterable[dict[str, Any]], options: Iterable[TransportOptions], link: Link) -> float:
    """What a logged byte takes at the most on one of these kinds of wire: its bandwidth, what the network holds of it
    on the way, and what the peer lets in before it answers."""
    window = min(min(each.window_size, each.session_window_size, each.process_window_size) for each in options)
    longest = 0.0
    for nature in natures:
        way = link.latency + link.jitter + nature.get("latency", 0.0)
        bandwidth = nature.get("bandwidth") or link.bandwidth
        seconds = 2 * way / window + (1 / bandwidth if bandwidth else 0.0)
        longest = max(longest, seconds + (way / nature["buffer"] if nature.get("buffer") else 0.0))
    return longest


def draw_more_kinds(seed: int, kinds: tuple[str, ...]) -> MoreKinds:
    """What the seed has besides `kinds`."""
    rng = Random(f"managers plan, kinds {seed}")
    if rng.random() >= LOSSY_SEEDS:
        return MoreKinds()
    ordered, reliable = rng.choice(((False, False), (False, False), (False, True), (True, False)))
    return MoreKinds(
        lossy=True,
        least=2,
        preferred=rng.random() < 0.7,
        max_wires=rng.choice((*[None] * 7, 1)),
        deaf=rng.random() < 0.5,
        natures={LOSSY: {"ordered": ordered, "reliable": reliable, "latency": rng.choice((0.0, 0.0, 0.02))}},
        frames={LOSSY: rng.choice(((4_096,), (65_536,)))},
        link={
            "drop": rng.choice((0.02, 0.05, 0.15)),
            "duplicate": rng.choice((0.0, 0.1)),
            "reorder": rng.choice((0.0, 0.2)),
        },
    )
