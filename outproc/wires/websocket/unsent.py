"""How much of what a wire has written the kernel may hold unsent (TCP_NOTSENT_LOWAT). Pure.

Little, so that a signal never waits behind a long kernel queue; but while large frames are written one of them, because
one that the kernel takes at once costs one system call, and otherwise up to eight with waits between. A frame is large
only on a path that was seen to carry it in milliseconds (`outproc.session.bulk_frame`), and while no signals are used.
"""

from __future__ import annotations

from typing import Final

from outproc.wires.websocket.tuning import NOTSENT_LOWAT

LARGE_LOWAT: Final = 1024 * 1024
"""Bytes, while large frames are written: 10 ms of the slowest path that has such."""

LARGE_FRAME: Final = 512 * 1024
"""Bytes. A frame above it says that the path is fast: of twice as many bytes as those on a path that nothing is known
of."""


class Unsent:
    """Of one wire. `allowed`: bytes."""

    __slots__ = ("_since", "allowed")

    def __init__(self) -> None:
        self.allowed = NOTSENT_LOWAT
        self._since = 0
        """Bytes of smaller frames since the latest large one. Acks and the like go between large ones."""

    def wrote(self, size: int) -> bool:
        """A frame of `size` bytes is written now. Whether another limit is `allowed` for it."""
        if size > LARGE_FRAME:
            self._since = 0
            return self._allow(LARGE_LOWAT)
        if self.allowed == NOTSENT_LOWAT:
            return False
        self._since += size
        return self._since >= NOTSENT_LOWAT and self._allow(NOTSENT_LOWAT)

    def _allow(self, size: int) -> bool:
        changes = size != self.allowed
        self.allowed = size
        return changes
