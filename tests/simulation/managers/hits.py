"""What a run over the default seeds must have hit at least once."""

from __future__ import annotations

from litz.testing.sim_network import DIAL_FAULTS
from tests.simulation.managers.plan import DIRECTORY_FAULTS, NETWORK_FAULTS, TRUST_FAULTS, WORLD_FAULTS

FAULTS = (*(n for n in NETWORK_FAULTS if not n.startswith("dial: ")), *WORLD_FAULTS, *TRUST_FAULTS, *DIRECTORY_FAULTS)
DIALS = (
    *(f"dial: {mode}" for mode in DIAL_FAULTS),
    "dial: stuck",
    "dial: deaf, late wire",
    "dial: deaf, failed",
)
RARE = ("frame refuse stale",)
"""Hit about five times in a thousand seeds: `RARE_SEEDS` have them."""
RARE_SEEDS = (243, 566)
REFUSALS = (
    "frame refuse busy",
    "frame refuse replaced",
    "frame mismatch unknown",
    "frame mismatch with finals",
    "wire DUPLICATE",
    "wire DISPLACED",
)
TRANSITIONS = (
    "frame join new",
    "frame join resume",
    "frame join again",
    "frame ok",
    "early data",
    "replayed",
    "trimmed front",
    "lower epoch dropped",
    "ended CLOSED_HERE",
    "ended CLOSED_BY_PEER",
    "ended PEER_RESTARTED",
    "ended EXPIRED",
    "ended REPLACED",
    "ended UNKNOWN_TO_PEER",
    "ended FAULT",
    "lost NEVER_ACCEPTED",
    "lost UNKNOWN",
    "frame spoiled",
    "event PeerViolation",
    "event MessagesDropped",
    "event MessagesSkipped",
    "event LaneMoved",
    "event LookUpFailed",
    "lane moved: direct, the others",
    "lane moved: preferred",
    "lane moved: round trip",
    "lane moved: sick",
    "urgent frame",
    "moved by measure",
    "settled with a choice",
    "settled with an urgent channel",
    "settled with requests on it",
    "wake",
    "wake noticed",
    "wake: dialled",
    "wake: wire given up",
    "stopped for long",
    "event ConnectFailed",
)
LOSSES = (
    "latency spike",
    "tiny frames",
    "lossy link",
    "frame dropped",
    "frame doubled",
    "frame reordered",
    "latency first on a lossy wire",
    "lossy wire deaf",
)
USERS = (
    "request answered",
    "request timed out",
    "request answered at the limit",
    "answer too large",
    "handler cancelled",
    "came by",
    "process inbox full",
    "process log full",
    "spoiled frame arrived",
    "drained",
    "error BackpressureError",
    "error ConnectError",
    "error UnknownDestError",
    "error OutcomeUnknownError",
    "error PeerClosedError",
    "error TimeoutError",
    "error MessageDroppedError",
)
REQUIRED = (*FAULTS, *DIALS, *REFUSALS, *TRANSITIONS, *LOSSES, *USERS)
