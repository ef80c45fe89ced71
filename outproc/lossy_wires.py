"""What is different about a wire that loses frames, doubles them, or delivers them in another order.

It carries pings and what is latency first; reliable lanes, acks and credits need one that does nothing of the kind. Its
handshake is as that of any other: a frame of it that is lost costs the dial, and the next one comes by itself.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from litz.wire import Wire

PINGS: Final = 4
"""Spread over `dead_after`, they must all stay unanswered before such a wire is dead."""

REMEMBERED: Final = 8
"""Frames of a handshake that are known again when they come doubled."""


def is_dependable(wire: Wire) -> bool:
    """Whether it keeps order and loses nothing."""
    return wire.ordered and wire.reliable


def pings_on(wire: Wire) -> int:
    """How many pings must stay unanswered before the wire is dead."""
    return 1 if is_dependable(wire) else PINGS


class HandshakeFrames:
    """The peer's part of the handshake on one such wire: what the wire doubles is no fault of the peer's."""

    __slots__ = ("_heard",)

    def __init__(self) -> None:
        self._heard: tuple[bytes, ...] = ()

    def is_new(self, frame: bytes) -> bool:
        """False: it came before."""
        digest = blake2b(frame, digest_size=16).digest()
        if digest in self._heard:
            return False
        self._heard = (*self._heard, digest)[-REMEMBERED:]
        return True
