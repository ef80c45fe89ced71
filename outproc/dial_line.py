"""Who dials next, of all dests of one node: so many dials at once, and so many redials a second. Pure.

Somebody waits for the one kind of dial, *asked for*, and nobody for the other, in the background. What is asked for
goes first and is not held back by any rate; the background keeps a quarter of the places free for it, takes turns by
dest, and is spaced: ten thousand peers that were lost at once are neither a stampede, nor in the way of a user.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final

BURST: Final = 1.0
"""So many seconds' worth of redials may begin at once, after a rest."""


class Ticket:
    """The place in the line of one dial."""

    __slots__ = ("asked", "dest", "granted")

    def __init__(self, dest: str, *, asked: bool) -> None:
        self.dest = dest
        self.asked = asked
        self.granted = False


class DialLine:
    """The caller joins it with a `Ticket` for each dial, asks `grant` after everything it tells, keeps one timer at
    `next_due`, and says `leave` when a dial is over, or given up while it waits.

    rng    the jitter of the spacing; asked for chance only when redials are held back
    most   dials at once
    rate   background dials that may begin in a second, on average
    """

    def __init__(self, rng: Random, *, most: int, rate: float) -> None:
        self._rng = rng
        self._most = most
        self._background = most - most // 4
        self._step = 1.0 / rate
        self._paid = 0.0
        """The redials that have begun are paid for up to this moment."""
        self._asked: deque[Ticket] = deque()
        self._waiting: dict[str, deque[Ticket]] = {}
        """In the background, by dest: the one whose turn is next comes first."""
        self.running = 0
        self.redials = 0
        """Of those that run, the ones in the background."""

    def __len__(self) -> int:
        """How many wait."""
        return len(self._asked) + sum(map(len, self._waiting.values()))

    def join(self, ticket: Ticket) -> None:
        """It waits from now on."""
        if ticket.asked:
            self._asked.append(ticket)
        else:
            self._waiting.setdefault(ticket.dest, deque()).append(ticket)

    def hurry(self, dest: str) -> None:
        """Somebody asks for `dest`: what waits in the background for it waits no longer than what was asked for."""
        for ticket in self._waiting.pop(dest, ()):
            ticket.asked = True
            self._asked.append(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Its dial is over, or it does not want to wait any more."""
        if ticket.granted:
            self.running -= 1
            self.redials -= not ticket.asked
        elif ticket.asked:
            self._asked.remove(ticket)
        else:
            others = self._waiting[ticket.dest]
            others.remove(ticket)
            if not others:
                del self._waiting[ticket.dest]

    def grant(self, now: float) -> list[Ticket]:
        """Those that begin to dial now."""
        granted: list[Ticket] = []
        while self._asked and self.running < self._most:
            granted.append(self._begin(self._asked.popleft()))
        while self._waiting and self._has_place() and self._free_at() <= now:
            dest = next(iter(self._waiting))
            others = self._waiting.pop(dest)
            ticket = others.popleft()
            if others:
                self._waiting[dest] = others  # behind all the others
            # Once half of what may come at once has been used, others may be at the same limit in step with this node.
            jitter = 0.5 * self._rng.random() if self._paid > now + BURST / 2 else 0.0
            self._paid = max(self._paid, now) + self._step * (1.0 + jitter)
            self.redials += 1
            granted.append(self._begin(ticket))
        return granted

    def next_due(self) -> float | None:
        """When `grant` has something by the passing of time alone."""
        return self._free_at() if self._waiting and self._has_place() else None

    def _free_at(self) -> float:
        """When the rate allows the next one of the background. One expression, that both ask: rounding must not make a
        timer come too soon for its own moment."""
        return self._paid + self._step - BURST

    def _has_place(self) -> bool:
        return self.running < self._most and self.redials < self._background

    def _begin(self, ticket: Ticket) -> Ticket:
        ticket.granted = True
        self.running += 1
        return ticket
