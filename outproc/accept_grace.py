"""Which kinds of wire the peer has lost and may still dial again itself: so long this side does not dial them. Pure.

Each kind has a time of its own: that one is back says nothing of the others.
"""

from __future__ import annotations


class AcceptGrace:
    """`seconds` for each kind, from the loss on. The caller keeps a timer at `due` and asks `over` then."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}

    @property
    def kinds(self) -> frozenset[str]:
        """Those that are left to the peer."""
        return frozenset(self._until)

    @property
    def due(self) -> float | None:
        """When the next one is not left to it any more; None: there is none."""
        return min(self._until.values(), default=None)

    def lost(self, kind: str, now: float) -> None:
        """The peer's last wire of this kind is gone."""
        self._until[kind] = now + self._seconds

    def came(self, kind: str) -> None:
        """The peer has dialled one of this kind."""
        self._until.pop(kind, None)

    def over(self, now: float) -> tuple[str, ...]:
        """Forget, and return, the kinds that the peer has had its time for."""
        late = tuple(kind for kind, until in self._until.items() if until <= now)
        for kind in late:
            del self._until[kind]
        return late
