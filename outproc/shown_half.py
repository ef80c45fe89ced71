"""Whether the peer may have paired with our half, although no answer of it has come (R1). Pure."""

from __future__ import annotations

from outproc.session.identity import Half


class ShownHalf:
    """Counts the JOINs of our current half that were not answered. The wire of one may have died after the peer had
    taken it: to that peer the session stands, and it takes messages of its users for it. So such a half must not be
    given up because a dial failed."""

    __slots__ = ("_half", "_unanswered")

    def __init__(self) -> None:
        self._half: Half | None = None
        self._unanswered = 0

    def joining(self, half: Half) -> None:
        """A JOIN that shows `half` goes out."""
        if half != self._half:
            self._half, self._unanswered = half, 0
        self._unanswered += 1

    def refused(self, half: Half | None) -> None:
        """The peer has answered a JOIN that showed `half`, and has not taken it."""
        if half is not None and half == self._half:
            self._unanswered -= 1

    def may_be_paired(self, half: Half) -> bool:
        """Whether the peer may count on `half`."""
        return half == self._half and self._unanswered > 0
