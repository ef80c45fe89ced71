"""The options of each node of one seed: tiny limits, wide ones, and nodes that have not the same."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from litz.payload import PayloadType
from outproc.options import TransportOptions
from outproc.session.limits import Overflow
from outproc.wire_choice import BestWire

BACKOFF_CAP: Final = 1.0


def options_of(rng: Random, extra: Random, names: tuple[str, ...], max_message: int) -> dict[str, TransportOptions]:
    """The options of every node. In four of ten seeds each has its own."""
    shared = _draw(rng, extra, max_message)
    if extra.random() < 0.6:
        return dict.fromkeys(names, shared)
    options = {names[0]: shared}
    for name in names[1:]:
        other = extra.choice((1_000, max_message, max_message, 30_000))
        options[name] = _draw(extra, extra, other)
    return options


def _draw(rng: Random, extra: Random, max_message: int) -> TransportOptions:
    small = rng.random() < 0.6
    policies: dict[PayloadType, Overflow] = {}
    if rng.random() < 0.3:
        for kind in (PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE):
            policies[kind] = rng.choice([each for each in Overflow if each is not Overflow.SPILL])
    tight: dict[str, Any] = {}
    if extra.random() < 0.3:
        # All logs and all inboxes of the process together hold hardly more than one message.
        tight["process_log_size"] = max_message * extra.choice((1, 2))
        tight["process_window_size"] = max_message * extra.choice((1, 2))
    return TransportOptions(
        **{
            "log_messages": rng.choice((2, 5, 20)) if small else 16_384,
            "log_size": rng.choice((500, 4_000, 60_000)) if small else 4 << 20,
            "process_log_size": rng.choice((50_000, 1 << 20)) if small else 256 << 20,
            "window_messages": rng.choice((1, 3, 12)) if small else 16_384,
            "window_size": max_message * rng.choice((1, 3)) if small else 16 << 20,
            "session_window_size": max_message * rng.choice((1, 4)) if small else 64 << 20,
            **tight,
        },
        max_message=max_message,
        overflow=policies,
        session_kept=rng.choice((0.4, 1.2, 60.0, 60.0)),
        tombstones_kept=rng.choice((1.0, 120.0)),
        max_tombstones=rng.choice((1, 100)),
        max_wires=rng.choice((1, 2, 2, 8, 8, 8, 8, 8)),
        wire_policy=BestWire(steady=0.1, stay=0.5),
        sick_after=0.5,
        ping_after=0.4,
        dead_after=0.4,
        wake_timeout=0.1,
        handshake_timeout=1.0,
        dial_timeout=1.0,
        close_timeout=extra.choice((0.5, 2.0, 2.0)),
        stagger=0.02,
        backoff_base=0.02,
        backoff_cap=BACKOFF_CAP,
        upgrade_cap=3 * BACKOFF_CAP,
        stable_after=1.0,
        accept_grace=0.3,
    )
