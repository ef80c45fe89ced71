"""What can be chosen about a pipeline. The defaults are safe: bounded, in order, each message tried once."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Final

from litz.admission import Amount, Policy, Queue
from litz.order import Fifo, Order
from litz.stream_options import Drain
from litz.supervision import Supervise

MANY: Final = Amount(65_536, 1 << 40)
"""What may wait for a permit: it is in line, and so bounded by the lines."""


def _queue() -> Policy:
    return Queue(Amount(1024), waiting=MANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The choices of one direction, which owes nothing to the other one.

    order      `Fifo`, or `PerKey`, with its bounds: of each stream
    parallel   messages of one stream that run at once; more than one has a use with `PerKey` only
    admission  how much may run at once in all streams of the pipeline together, and what happens over it
    """

    order: Order = field(default_factory=Fifo)
    parallel: int = 16
    admission: Policy = field(default_factory=_queue)

    def __post_init__(self) -> None:
        if self.parallel < 1:
            raise ValueError(f"parallel is at least 1, not {self.parallel!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """The choices of one pipeline. Times in seconds.

    inbound, outbound  order and admission of what comes in and what goes out
    supervise          what becomes of a message whose handler failed
    fail_fast          whether an error outbound ends the stream. Otherwise only its sender is told. What admission
                       refuses is always told to its sender only
    drain              what leaving gracefully brings to its end
    half_close         the same when the peer has said its last. None: nothing happens; this side may go on sending
    grace              for leaving gracefully: what is not over by then is aborted and cancelled. Does not count for
                       the peer's half-close: handlers then take the time they need
    sizes              whether bytes are counted, by kind
    reports            how many reports of ended streams are kept

    Raises ValueError.
    """

    inbound: Way = field(default_factory=Way)
    outbound: Way = field(default_factory=Way)
    supervise: Supervise = field(default_factory=Supervise)
    fail_fast: bool = True
    drain: Drain = Drain.BOTH
    half_close: Drain | None = Drain.BOTH
    grace: float = 10.0
    sizes: bool = False
    reports: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.grace < inf:
            raise ValueError(f"grace is a time in seconds above 0, not {self.grace!r}")
        if self.reports < 1:
            raise ValueError(f"reports is at least 1, not {self.reports!r}")


DEFAULT_OPTIONS = PipelineOptions()
"""What holds when nothing was chosen."""
