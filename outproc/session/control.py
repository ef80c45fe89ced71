"""What must be told to the peer besides data: acks and credits, and by when (R8, R9, R10).

All values are absolute, so only *that* one is unsent is kept here; its value is read when a frame is made.
"""

from __future__ import annotations

from collections.abc import Iterable


class Unsent:
    """Which control values are unsent, and the time by which they go out even without data to ride on.

    The deadline is never put off by further news: it is no debounce.
    """

    __slots__ = ("acks", "credits", "due", "session_credit")

    def __init__(self) -> None:
        # dicts keep the order of news, so that what a frame holds never depends on a hash
        self.acks: dict[int, None] = {}
        self.credits: dict[int, None] = {}
        self.session_credit = False
        self.due: float | None = None

    def __bool__(self) -> bool:
        return bool(self.acks or self.credits or self.session_credit)

    def ack(self, lane: int, by: float) -> None:
        """The ack of `lane` is news, to be sent by the time `by`."""
        self.acks[lane] = None
        self._by(by)

    def credit(self, lane: int, by: float, *, session: bool) -> None:
        """The credit of `lane` (and of the session) is news."""
        self.credits[lane] = None
        self.session_credit = self.session_credit or session
        self._by(by)

    def everything(self, lanes: Iterable[int], by: float) -> None:
        """A wire died, and whatever it carried may be lost: all values are unsent again (R8)."""
        for lane in lanes:
            self.acks[lane] = None
            self.credits[lane] = None
        self.session_credit = True
        self._by(by)

    def _by(self, by: float) -> None:
        if self.due is None or by < self.due:
            self.due = by

    def sent(self, acks: Iterable[int], credits_sent: Iterable[int], *, session: bool) -> None:
        """These went out. The deadline ends when nothing is left."""
        for lane in acks:
            self.acks.pop(lane, None)
        for lane in credits_sent:
            self.credits.pop(lane, None)
        if session:
            self.session_credit = False
        if not self:
            self.due = None
