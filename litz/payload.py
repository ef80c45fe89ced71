"""Payload types: the few kinds of traffic, each a fixed lane of every session."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class PayloadType(IntEnum):
    """How a message travels. The value is the number of the lane that carries it.

    `RPC_RELIABLE`
        exactly once, in order: the default.
    `RPC_SIGNAL`
        exactly once, in order among signals; small; overtakes bulk on the wire and in the
        receive queue.
    `STREAM_RELIABLE`
        exactly once, in order; one shared lane for simple streaming, apart from the RPC lane.
    `STREAM_LATENCY_FIRST`
        at most once; one frame at most; never acknowledged nor replayed. When no wire is writable
        the oldest unsent is dropped; what is older than the newest delivered is dropped on
        arrival. Losses are counted.
    `MEDIA`
        reserved; sending it raises `ValueError`.
    `RPC_DURABLE`
        outlives processes: committed to the outbox before `send` returns, and sent until the peer's
        inbox has committed it. Needs both (docs/outbox.md); without an outbox it raises `ValueError`.
    """

    RPC_RELIABLE = 0
    RPC_SIGNAL = 1
    STREAM_RELIABLE = 2
    STREAM_LATENCY_FIRST = 3
    MEDIA = 4
    RPC_DURABLE = 5

    @property
    def reliable(self) -> bool:
        """Whether messages of this type are acknowledged and replayed."""
        return self is not PayloadType.STREAM_LATENCY_FIRST


REPLY_LANE: Final = 8
"""The lane of replies and cancellations. They are consumed on arrival, so it never waits for a slow
consumer: a handler may await a request of its own while its inbox is full."""

ANY_KIND: Final = "*"

WirePreference = Mapping[PayloadType, tuple[str, ...]]
"""Which kinds of wire a payload type may use, best first; `"*"` stands for every other kind."""

DEFAULT_WIRE_PREFERENCE: Final[WirePreference] = dict.fromkeys(PayloadType, ("websocket", ANY_KIND))
"""A direct WebSocket first: the system's TCP carries many times what a data channel does, at about the same round trip,
so that the round trip alone would now and then choose wrongly."""
