"""The receiving end of one stream: what its reader has taken, and what the peer may send. Pure.

A window begins as the protocol says and doubles while its reader keeps up, as long as the budget allows it: what is
granted and not consumed, over all streams. The first window is beyond any budget, so that a stream never waits for
another one. Keeps R10 for the lanes of streams, which are exempt from the session's credit.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from litz.errors import ProtocolError
from outproc.frames.records import Fin
from outproc.session.limits import SessionLimits
from outproc.session.receive_lane import Finished, ReceiveLane

QUICK: Final = 1.0
"""Seconds: a reader that takes a whole window within that, and leaves no more than half of one waiting, keeps up."""

SLOW: Final = 10.0
"""Seconds: one that takes longer than that for a window needs no such window."""


class StreamBudget:
    """Bytes granted and not consumed, of all streams of a session; or, as the `shared` one of several, of a process."""

    __slots__ = ("__weakref__", "_later", "limit", "shared", "used")

    def __init__(self, limit: int, shared: StreamBudget | None = None) -> None:
        self.limit = limit
        self.shared = shared
        self.used = 0
        self._later: deque[tuple[StreamBudget, int]] = deque()
        """Of the shared one: what `add_later` was told, of all that share it."""

    @property
    def left(self) -> int:
        """What may be granted beyond first windows; below 0 if those alone are more."""
        if self._later:
            self.settle()
        left = self.limit - self.used
        return left if self.shared is None else min(left, self.shared.left)

    def add(self, size: int) -> None:
        """So much more is granted, or less."""
        self.used += size
        if self.shared is not None:
            self.shared.add(size)

    def add_later(self, size: int) -> None:
        """`add`, at the next look, from any thread and in the middle of anything: for finalizers."""
        root = self
        while root.shared is not None:
            root = root.shared
        root._later.append((self, size))

    def settle(self) -> None:
        """Do what was left for later, of all that share its budget."""
        if self.shared is not None:
            self.shared.settle()
            return
        while self._later:
            budget, size = self._later.popleft()
            budget.add(size)


class StreamReceiveLane(ReceiveLane):
    """See the module. `limits` have the first window; `most` is the size to which it may grow, `large` the most that
    one entry has then."""

    def __init__(self, lane: int, limits: SessionLimits, most: int, large: int, budget: StreamBudget) -> None:
        super().__init__(lane, limits, None)
        self.window = limits.window_size
        self.most = max(most, limits.window_size)
        self._large = large
        self.paused = False
        self._budget = budget
        self._since: float | None = None
        """When the reader began with the window that it takes now; None: it has not taken anything."""
        self._from_size = self._from_entries = 0
        """What it had taken then."""
        budget.add(self.granted_size)

    @property
    def has_told(self) -> bool:
        """Whether an ack or credit of it says more than what the protocol says at first."""
        return self.expected > (0, 0) or self.granted_size > self.limits.window_size

    @property
    def acks_at_once(self) -> bool:
        """Whether a quarter of the window is unacknowledged, and as much as the first one (R9)."""
        first = self.limits
        scale = max(1, self.window // (4 * first.window_size))
        return self.unacked_size >= first.window_size * scale or self.unacked_messages >= first.window_messages * scale

    def target(self) -> tuple[int, int]:
        """The absolute limits that may be announced now; never below what was granted."""
        if self.paused or self.finished:
            return self.granted_messages, self.granted_size
        first = self.limits.window_size
        size = self.consumed_size + first
        if self.window > first:
            size = max(size, min(self.consumed_size + self.window, self.granted_size + self._budget.left))
        messages = self.consumed_messages + self.limits.window_messages * (size - self.consumed_size) // first
        return max(self.granted_messages, messages), max(self.granted_size, size)

    def grant(self) -> tuple[int, int]:
        """The absolute limits to announce now. To state them is to grant them."""
        before = self.granted_size
        self.granted_messages, self.granted_size = self.target()
        self._budget.add(self.granted_size - before)
        return self.granted_messages, self.granted_size

    def news(self) -> bool | None:
        """Whether half of what the peer could have is unannounced, so that it must hear at once; None: no news."""
        messages, size = self.target()
        more, larger = messages - self.granted_messages, size - self.granted_size
        if not (more or larger):
            return None
        return more * 2 >= messages - self.consumed_messages or larger * 2 >= size - self.consumed_size

    def took(self, entries: int, size: int, now: float) -> None:
        """The reader took so much more. Raises RuntimeError if it cannot have."""
        messages, total = self.consumed_messages + entries, self.consumed_size + size
        if messages > self.charged_messages or total > self.charged_size:
            raise RuntimeError(f"the reader of stream {self.lane} took more than has come")
        self.consumed_messages, self.consumed_size = messages, total
        self._budget.add(-size)
        self._adapt(now)

    def _adapt(self, now: float) -> None:
        since = self._since = now if self._since is None else self._since
        first, window = self.limits, self.window
        entries = first.window_messages * window // first.window_size
        size = self.consumed_size - self._from_size
        if size < window and self.consumed_messages - self._from_entries < entries:
            return
        waits = (self.charged_size - self.consumed_size) * 2 > window
        if now - since <= QUICK and not waits:
            self.window = min(window * 2, self.most)
        elif now - since > SLOW:
            self.window = max(window // 2, first.window_size)
        self._since, self._from_size, self._from_entries = now, self.consumed_size, self.consumed_messages

    def _check_size(self, size: int) -> None:
        if size > self._large:
            raise ProtocolError(f"an entry of {size} bytes on stream {self.lane} is over the limit")

    def take_fin(self, fin: Fin) -> Finished | None:
        """Take the end; nothing that was granted and not sent is owed any more."""
        note = super().take_fin(fin)
        if note is not None:
            self._budget.add(self.charged_size - self.granted_size)
        return note

    def release(self) -> None:
        """The lane is forgotten."""
        self._budget.add(self.consumed_size - (self.charged_size if self.finished else self.granted_size))
