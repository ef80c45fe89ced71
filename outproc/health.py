"""Whether a wire lives, whether our own loop keeps up, and who is due when. Pure; times in seconds."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable
from enum import Enum
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

MAX_LAG: Final = 0.5
"""A loop that is late by more than this gives no verdicts."""


class Verdict(Enum):
    """What is to be done about a wire."""

    ALIVE = "alive"
    """Nothing. Look again at `next_check`."""
    PING = "ping"
    """It was silent for long, or may have lost the last one. Send a ping, and say so with `ping_sent`."""
    WAIT = "wait"
    """A ping is out, or our own loop was late. Look again at `next_check`."""
    DEAD = "dead"
    """No sign of life although a ping was out. Abort the wire."""


class Liveness:
    """The signs of life of one wire.

    silent_after  seconds without a byte after which a ping goes out
    dead_after    seconds after that ping without a byte after which the wire is dead
    pings         how many go out in that time, evenly, for wires that may lose them
    """

    __slots__ = (
        "_answer_within",
        "_dead_after",
        "_excused_until",
        "_heard",
        "_left",
        "_pings",
        "_probe",
        "_token",
        "_waiting",
        "pinged",
        "silent_after",
    )

    def __init__(self, now: float, silent_after: float = 5.0, dead_after: float = 5.0, *, pings: int = 1) -> None:
        if not (silent_after > 0 and dead_after > 0):
            raise ValueError("a wire must be given more than 0 seconds")
        self.silent_after = silent_after
        self._dead_after = dead_after
        self._answer_within = dead_after  # of the latest ping
        self._pings = pings
        self._left = 0  # of these, to be sent before the wire is dead
        self._heard = now
        self.pinged = 0.0
        """When the latest ping went out."""
        self._token: int | None = None  # of the latest ping, until its pong
        self._waiting = False  # a ping is out, and not a byte has come since
        self._probe: float | None = None  # a ping is asked for; its answer has so many seconds
        self._excused_until = now

    def received(self, now: float) -> None:
        """Some bytes came; any count as life. Cheap: call it for each frame. Nothing need be rescheduled."""
        self._heard = now
        self._waiting = False

    def probe(self) -> None:
        """Doubt the wire now: the next verdict is PING, unless one is out. The caller asks for that verdict now."""
        if not self._waiting:
            self._probe = self._dead_after

    def woke(self, answer_within: float) -> None:
        """The machine slept: the next verdict is PING also when one is out, for that one's answer may have come to a
        machine that was asleep. It must be answered within so many seconds, or within `dead_after` if that is less.
        The caller asks for that verdict now."""
        self._waiting = False
        self._probe = min(answer_within, self._dead_after)

    def ping_due(self, now: float) -> bool:
        """Whether a ping should go out now. The caller sends one and calls `ping_sent`."""
        if self._waiting:
            return False
        return self._probe is not None or now >= self._heard + self.silent_after

    def ping_sent(self, now: float, token: int) -> None:
        """A ping with `token` went out. The caller looks again at `next_check`."""
        self.pinged = now
        self._token = token
        if self._waiting:
            self._left -= 1
            return
        self._waiting = True
        self._answer_within = (self._dead_after if self._probe is None else self._probe) / self._pings
        self._left = self._pings - 1
        self._probe = None

    def pong(self, now: float, token: int) -> float | None:
        """The pong of `token` came. Its round trip in seconds; None for a pong that answers no ping of ours that is
        still out, which is a sign of life and no more."""
        self.received(now)
        if token != self._token:
            return None
        self._token = None
        return max(0.0, now - self.pinged)

    def verdict(self, now: float, lag: float = 0.0) -> Verdict:
        """What to do now. `lag` is how late our own loop is: what the peer sent may lie unread, so a late loop
        condemns nobody until it has kept up for a while."""
        if self.ping_due(now):
            return Verdict.PING
        if not self._waiting:
            return Verdict.ALIVE
        if lag > MAX_LAG:
            self._excused_until = now + min(1.0, self._dead_after)
        if now < self.next_check():
            return Verdict.WAIT
        return Verdict.PING if self._left else Verdict.DEAD

    def next_check(self) -> float:
        """When the caller must ask for a verdict again. It may have moved to a later time by then."""
        if self._waiting:
            return max(self.pinged + self._answer_within, self._excused_until)
        return self._heard if self._probe is not None else self._heard + self.silent_after

    def next_look(self, now: float, wrote_at: float) -> float:
        """As `next_check`, and once this side has been silent for half of `silent_after` since `wrote_at`: the peer may
        wait for a sign of life while a large frame of its own is still coming in."""
        due, speak = self.next_check(), wrote_at + self.silent_after / 2
        return min(due, speak) if speak > now else due


class LagMeter:
    """How late our own event loop is: timers are compared with the time they were set to.

    window  seconds for which a lateness is remembered
    """

    __slots__ = ("_expected", "_late", "_window")

    def __init__(self, window: float = 1.0) -> None:
        if not window > 0:
            raise ValueError(f"the window must be above 0 seconds, not {window}")
        self._window = window
        self._expected: float | None = None
        self._late: deque[tuple[float, float]] = deque()  # (until when remembered, lateness), falling

    def expect(self, at: float) -> None:
        """A timer is set to `at`. The caller reports with `fired` when it runs, however it was woken."""
        self._expected = at

    def fired(self, now: float) -> float:
        """The timer ran, or its sleeper was woken before. Returns the seconds it was late."""
        late = 0.0 if self._expected is None else max(0.0, now - self._expected)
        self._expected = None
        while self._late and self._late[-1][1] <= late:
            self._late.pop()
        self._late.append((now + self._window, late))
        while self._late[0][0] < now:
            self._late.popleft()
        return late

    def lag(self, now: float) -> float:
        """The greatest lateness in the window that ends now, a timer that is overdue included."""
        overdue = 0.0 if self._expected is None else now - self._expected
        remembered = next((late for until, late in self._late if now <= until), 0.0)
        return max(0.0, overdue, remembered)


class DueHeap(Generic[K]):
    """Keys with a time each; tells which are due. O(log n) an event, and nothing for keys that are not due.

    Entries that were replaced or cancelled stay in the heap until they come up, or until they are the most of it.
    """

    __slots__ = ("_count", "_heap", "_live")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []
        self._live: dict[K, tuple[float, int, K]] = {}
        self._count = 0  # makes keys of one time come in the order in which they were scheduled

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, key: object) -> bool:
        return key in self._live

    def schedule(self, key: K, at: float) -> None:
        """`key` is due at `at`, instead of any earlier or later time it had. The caller moves its timer if
        `next_due` has changed."""
        self._count += 1
        entry = (at, self._count, key)
        self._live[key] = entry
        heapq.heappush(self._heap, entry)
        self._sweep()

    def cancel(self, key: K) -> None:
        """`key` is no longer due at any time. Nothing happens when it was not."""
        if self._live.pop(key, None) is not None:
            self._sweep()

    def _sweep(self) -> None:
        """Let go of what was cancelled, once it is the most of the heap: it may be all that holds a key."""
        if len(self._heap) > 2 * len(self._live) + 16:
            self._heap = list(self._live.values())
            heapq.heapify(self._heap)

    def pop_due(self, now: float) -> list[K]:
        """The keys due at or before `now`, earliest first; they are scheduled no more. The caller acts on each, and
        schedules it again if it goes on."""
        due: list[K] = []
        while (at := self.next_due()) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._live[key]
            due.append(key)
        return due

    def next_due(self) -> float | None:
        """The earliest time at which a key is due, or None. The caller sets its one timer to it."""
        while self._heap:
            entry = self._heap[0]
            if self._live.get(entry[2]) is entry:
                return entry[0]
            heapq.heappop(self._heap)
        return None
