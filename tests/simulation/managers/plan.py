"""What one seed is made of: nodes, wires, limits, faults, and what the users do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from litz.payload import PayloadType
from litz.testing import Link
from outproc.options import TransportOptions
from outproc.session.limits import StreamLimits
from tests.simulation.managers.kinds import LOSSY, carrying, draw_limits, draw_more_kinds, draw_relayed, seconds_a_byte
from tests.simulation.managers.node_options import options_of
from tests.simulation.managers.proofs import Proofs, draw_proofs
from tests.simulation.managers.resends import draw_resends
from tests.simulation.managers.streaming import draw_streams

KINDS: Final = ("tcp", "rtc", "uds")
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
    "rebind": 9.0,
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

TRUST_FAULTS: Final = {
    "impostor": 1.0,
    "frame changed": 2.0,
    "frame doubled": 2.0,
}
"""Only where ids are proved, and the frames only where they are sealed."""

DIRECTORY_FAULTS: Final = {
    "directory: raise": 1.0,
    "directory: hang": 1.0,
    "directory: slow": 1.0,
    "directory: empty": 1.0,
    "directory: wrong": 1.0,
    "directory: stranger": 0.7,
    "move": 0.6,
}
"""Only where there is a directory. "wrong" names a host that is not there, "stranger" the host of another node."""

HARD_SEEDS: Final = range(400_000, 500_000)
"""Seeds of hard times: see `hard_times.py`."""
BREAKING: Final = "break what is well"
UNREAD: Final = "close over and over, unread"
BESIDES: Final = {"reset": 1.0, "half open": 1.0, "restart higher": 1.0}
"""All else that goes wrong there, where one of the two happens most of the time."""


@dataclass(frozen=True, slots=True)
class Plan:
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    dials: frozenset[tuple[str, str]]
    """Who has endpoints of whom."""
    options: dict[str, TransportOptions]
    """Of each node."""
    proofs: Proofs
    """How nodes prove who they are, and which kinds of wire are sealed."""
    directory: bool
    """Whether endpoints come from a directory that can fail, and not from a mapping."""
    deaf: bool
    """Whether some builders do not heed a cancellation."""
    frames: dict[str, tuple[int, ...]]
    natures: dict[str, dict[str, Any]]
    """Route, latency and bandwidth of each kind of wire, and whether it has an urgent channel."""
    settles: bool
    """Whether calm traffic follows the healing."""
    link: Link
    consumers: dict[str, str]
    """How each node reads: messages, apart (a stream per sender), serve, serve async, serve wide."""
    think: float
    """Seconds that a consumer takes for some messages."""
    sizes: dict[str, tuple[int, ...]]
    """Of the messages of each node."""
    faults: dict[str, float]
    seconds: float
    """How long the faults last."""
    every: float
    """Seconds between two faults, on average."""
    calls: int
    """How many things the user of each node does."""
    relayed: bool
    """Whether there is a hub."""
    streams: StreamLimits | None
    """Of those seeds that have streams."""
    deaf_lossy: bool
    """Whether, once all has healed, the lossy kind of wire loses all that goes one way."""

    @property
    def carrying(self) -> float:
        """Seconds more that everything takes, once all is well."""
        return carrying(self.natures, self.options.values(), self.link.latency)

    @property
    def byte(self) -> float:
        """Seconds that each byte of what is logged takes at the most."""
        natures = [self.natures[kind] for kind in self.kinds if kind != LOSSY]
        return seconds_a_byte(natures, self.options.values(), self.link)


def make_plan(seed: int) -> Plan:
    """The plan of a seed."""
    plan = _draw(seed)
    return _hard(plan, Random(f"managers plan, hard {seed}")) if seed in HARD_SEEDS else plan


def _hard(plan: Plan, rng: Random) -> Plan:
    """A plan of hard times: with one fault of them, and for half of what is not read little room and large messages."""
    fault = rng.choice((BREAKING, UNREAD))
    plan = replace(plan, faults={fault: 9.0, **BESIDES}, seconds=4.0, every=0.5)
    if fault == BREAKING or rng.random() < 0.5:
        return plan
    largest = min(options.max_message for options in plan.options.values())
    room = dict.fromkeys(("window_size", "session_window_size", "process_window_size"), largest)
    room["max_message"] = largest
    options = {name: each.model_copy(update=room) for name, each in plan.options.items()}
    return replace(plan, options=options, sizes=dict.fromkeys(plan.names, (largest,)))


def _draw(seed: int) -> Plan:
    rng = Random(f"managers plan {seed}")
    names = ("a", "b", "c") if rng.random() < 0.15 else ("a", "b")
    max_message = rng.choice((2_000, 12_000, 40_000))
    kinds = KINDS[: rng.choice((1, 2, 2, 2, 2, 2, 3))]
    both = rng.random() < 0.55
    pairs = [(one, other) for one in names for other in names if one != other]
    dials = frozenset(pair for pair in pairs if both or pair[0] < pair[1] or rng.random() < 0.2)
    faults = _faults(rng)
    extra = Random(f"managers plan, more {seed}")
    options = options_of(rng, extra, names, max_message)
    proofs = draw_proofs(extra, names, kinds, seed)
    options = {name: each.model_copy(update={"seal": proofs.seal[name]}) for name, each in options.items()}
    directory = extra.random() < 0.5
    if proofs.method != "none":
        faults |= TRUST_FAULTS if proofs.sealed_kinds else {"impostor": 1.0}
    if directory:
        faults |= DIRECTORY_FAULTS
    mixed = rng.random() < 0.5
    more = draw_more_kinds(seed, kinds)
    if more.lossy:
        kinds = (*KINDS[: max(more.least, len(kinds))], LOSSY)
        proofs = replace(proofs, secure_kinds=proofs.secure_kinds | {LOSSY})
        faults["lossy link"] = 2.0
    relayed, only = draw_relayed(seed, possible=not (more.lossy or directory or proofs.verified))
    if relayed:
        faults["hub restart"] = 9.0
        dials = frozenset() if only else dials
    wires = Random(f"managers plan, wires {seed}")
    various = wires.random() < 0.5
    natures = {kind: _nature(wires) if various else {} for kind in KINDS} | more.natures
    limits, tiny = draw_limits(seed, KINDS, proved=proofs.verified)
    natures = {kind: nature | limits.get(kind, {}) for kind, nature in natures.items()}
    natures["rtc"]["urgent"] = Random(f"managers plan, strands {seed}").random() < 0.8
    if wires.random() < 0.25:
        table = {PayloadType.STREAM_RELIABLE: (kinds[-1], "*"), PayloadType.RPC_SIGNAL: ("*", kinds[-1])}
        options = {name: each.model_copy(update={"wire_preference": table}) for name, each in options.items()}
    options = {name: more.options(each) for name, each in options.items()}
    options, faults = draw_resends(seed, options, faults)
    options, streams = draw_streams(seed, options)
    return Plan(
        names=names,
        kinds=kinds,
        dials=dials,
        options=options,
        proofs=proofs,
        directory=directory,
        deaf=extra.random() < 0.25,
        frames={kind: rng.choice(((4_096,), (4_096, 9_000, 65_536), (65_536,), (1 << 20,))) for kind in KINDS}
        | more.frames
        | tiny,
        natures=natures,
        settles=various and wires.random() < 0.7,
        link=Link(
            latency=rng.choice((0.001, 0.01, 0.05)),
            jitter=rng.choice((0.0, 0.005, 0.03)),
            bandwidth=rng.choice((None, None, None, 2_000_000.0)),
            **more.link,
        ),
        consumers={name: rng.choice(("messages", "apart", "serve", "serve async", "serve wide")) for name in names},
        think=rng.choice((0.0, 0.0, 0.02, 0.1)),
        sizes={name: _sizes(options[name].max_message, mixed=mixed) for name in names},
        faults=faults,
        seconds=rng.choice((2.0, 3.0, 4.0)),
        every=rng.choice((0.12, 0.2, 0.3)),
        calls=rng.randint(8, 16),
        relayed=relayed,
        streams=streams,
        deaf_lossy=more.deaf,
    )


def _faults(rng: Random) -> dict[str, float]:
    """Those of the network and the world, without some, and with takeovers or none."""
    faults = {**NETWORK_FAULTS, **WORLD_FAULTS}
    for name in rng.sample(sorted(faults), rng.randint(0, 12)):
        if name not in ("reset all", "rebind"):
            del faults[name]
    takeovers = rng.random() < 0.25
    for name in ("takeover", "takeover lower"):
        faults.pop(name, None)
        if takeovers:
            faults[name] = 2.0
    return faults


def _nature(rng: Random) -> dict[str, Any]:
    """What one kind of wire is like."""
    return {
        "route": rng.choice(("direct", "direct", "reflexive", "relay")),
        "latency": rng.choice((0.0, 0.0, 0.01, 0.02)),
        "bandwidth": rng.choice((None, None, None, 300_000.0)),
    }


def _sizes(largest: int, *, mixed: bool) -> tuple[int, ...]:
    return (5, 30, 200, largest // 3, largest) if mixed else (5, 40, 40, 300, min(1_500, largest))
