"""How often the peer broke the rules of one session, and when that is too often. Pure.

One violation costs the wire it came on, for it may be an accident of that wire. Several with nothing good between
them are no accident: whatever the peer sends next on a fresh wire will break the same rule, and without an end the
wire would be dialled, and lost, for ever.
"""

from __future__ import annotations


class Faults:
    """Counts violations until the session must end. Forgives all of them at once, after it went well for a while.

    "Well" is measured from the first progress (data taken, or an ack that moved) after the latest violation, not
    from the violation: what a wire replays when it joins must have got through, and time in which no wire is up
    mends nothing. Progress alone forgives nothing, because other lanes may go on around the one that is stuck.
    """

    __slots__ = ("_forgiven_after", "_limit", "_well_since", "count", "total")

    def __init__(self, limit: int, forgiven_after: float) -> None:
        self._limit = limit
        self._forgiven_after = forgiven_after
        self._well_since: float | None = None
        self.count = 0
        """Violations that are not forgiven."""
        self.total = 0

    def progressed(self, now: float) -> None:
        """Something new was taken, or confirmed."""
        if self._well_since is None:
            self._well_since = now

    def broke(self, now: float) -> bool:
        """The peer broke a rule. True: once too often, so the caller ends the session (FAULT)."""
        if self._well_since is not None and now - self._well_since >= self._forgiven_after:
            self.count = 0
        self._well_since = None
        self.count += 1
        self.total += 1
        return self.count >= self._limit
