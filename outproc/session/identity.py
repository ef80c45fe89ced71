"""Who a session is with: incarnations of nodes, and the halves that make up a session's id.

Both are ordered (design R2, R13): compare them with `<` and `==`, never by their parts.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_U64 = (1 << 64) - 1
"""Every part of an incarnation or half is 0 to this."""


class Incarnation(NamedTuple):
    """One life of a node. A later start is higher; the random part tells apart starts of the same instant.

    started  when the node started, in nanoseconds since the Unix epoch
    random   64 random bits
    """

    started: int
    random: int

    def __str__(self) -> str:
        return f"{self.started}.{self.random:016x}"


class Half(NamedTuple):
    """One side's part of a session's id. Never used again: whoever discards session state takes a new one.

    incarnation  the life of the node that owns this half
    counter      of that node, one for all its sessions, starting at 1
    """

    incarnation: Incarnation
    counter: int

    def __str__(self) -> str:
        return f"{self.incarnation}/{self.counter}"


class Pair(NamedTuple):
    """A complete session id, seen from one side."""

    mine: Half
    yours: Half

    def flipped(self) -> Pair:
        """The same session as the other side names it."""
        return Pair(self.yours, self.mine)
