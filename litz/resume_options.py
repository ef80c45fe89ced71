"""What can be chosen about a `ResumablePipe`."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Final

from litz.backoff import DEFAULT_BACKOFF, Backoff

STABLE: Final = 1.0
"""Seconds that a connection must live for its end to count as no failure of dialling."""
FAREWELL: Final = 1.0
"""Seconds for which an end that was closed waits for the other one's end."""
MAX_FAULTS: Final = 8
"""Connections in a row that the other end may lose by breaking the rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeOptions:
    """The choices of one `ResumablePipe`. Sizes in bytes, times in seconds.

    replay_size        written and not confirmed; with more the writer waits
    receive_size       received and not read; with more the peer waits
    limit              of the StreamReader: the longest line of `readline`
    dial_timeout       for one call of `reconnect`
    handshake_timeout  for what the two ends say to each other before a connection resumes the pipe
    ping_after         silence after which the other end is asked for a sign of life
    dead_after         silence after that question: the connection is given up
    kept               without a connection: then the pipe is lost
    close_timeout      all of `aclose`
    backoff            between two calls of `reconnect` that fail (full jitter; the first one comes at once)

    Raises ValueError.
    """

    replay_size: int = 4 * 1024 * 1024
    receive_size: int = 1024 * 1024
    limit: int = 64 * 1024
    dial_timeout: float = 10.0
    handshake_timeout: float = 5.0
    ping_after: float = 5.0
    dead_after: float = 5.0
    kept: float = 120.0
    close_timeout: float = 5.0
    backoff: Backoff = field(default=DEFAULT_BACKOFF)

    def __post_init__(self) -> None:
        for name in ("replay_size", "receive_size", "limit"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is a whole number of bytes, at least 1, not {value!r}")
        for name in ("dial_timeout", "handshake_timeout", "ping_after", "dead_after", "kept", "close_timeout"):
            if not 0 < getattr(self, name) < inf:
                raise ValueError(f"{name} is a time in seconds above 0, not {getattr(self, name)!r}")
