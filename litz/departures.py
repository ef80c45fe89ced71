"""Who said goodbye and did not come back: not dialled, and not sent to without `reopen=True`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litz.errors import DrainingError, PeerClosedError
from litz.snapshot import DepartureSnapshot


@dataclass(frozen=True, slots=True)
class Departure:
    """One goodbye.

    reason        what its sender said, for people
    at            when, in seconds of the manager's clock
    returning_in  seconds after which it means to be back; None: it did not say so, and is gone
    mark          what the manager tells a late word of that life of the peer's by
    """

    reason: str
    at: float
    returning_in: float | None = None
    mark: Any = None


def check_returning(returning_in: float | None) -> None:
    """Raises ValueError for what is no time to be back in."""
    if returning_in is not None and not 0 <= returning_in < float("inf"):
        raise ValueError(f"returning_in is 0 seconds or more, and not infinite, not {returning_in!r}")


def check_drain(dest: str | None, *, final: bool, reason: str, returning_in: float | None) -> None:
    """Raises ValueError for arguments of `drain` that do not go together."""
    if final and dest is not None:
        raise ValueError("a final drain concerns every dest: leave out dest, or final")
    if not final and (reason or returning_in is not None):
        raise ValueError("reason and returning_in are for drain(final=True)")
    check_returning(returning_in)


def draining_error(local_id: str) -> DrainingError:
    """What new work of users gets while the node `local_id` leaves."""
    return DrainingError(f"{local_id} leaves and takes no new work; nothing was accepted: send from another node")


class Departures:
    """The goodbyes of one manager's peers, bounded in number (`limit`) and age (`keep` seconds): who was forgotten is a
    dest like any other, and is dialled when it is sent to. Made of news from peers, and of nothing else: a connection
    that was reset is no goodbye."""

    __slots__ = ("_gone", "_keep", "_limit")

    def __init__(self, *, keep: float, limit: int) -> None:
        self._keep = keep
        self._limit = limit
        self._gone: dict[str, Departure] = {}

    def __len__(self) -> int:
        return len(self._gone)

    def left(self, dest: str, departure: Departure) -> None:
        """`dest` said goodbye. The latest word counts."""
        self._gone.pop(dest, None)
        self._gone[dest] = departure
        self._forget(departure.at)

    def back(self, dest: str) -> None:
        """A session with `dest` stands, or somebody here wants it again: it is a dest like any other."""
        self._gone.pop(dest, None)

    def find(self, dest: str, now: float) -> Departure | None:
        """What `dest` said, if it said goodbye and is not back."""
        if dest not in self._gone:
            return None
        self._forget(now)
        return self._gone.get(dest)

    def is_gone(self, dest: str, now: float) -> bool:
        """Whether `dest` left without saying that it comes back."""
        found = self.find(dest, now)
        return found is not None and found.returning_in is None

    def back_at(self, dest: str, now: float) -> float:
        """When `dest` means to be back, if it left and said so, else 0."""
        found = self.find(dest, now)
        return found.at + found.returning_in if found is not None and found.returning_in is not None else 0.0

    def check(self, dest: str, now: float) -> None:
        """Raises `PeerClosedError` if `dest` left without saying that it comes back."""
        if self.is_gone(dest, now):
            gone = self._gone[dest]
            raise PeerClosedError(
                f"{dest} said goodbye {now - gone.at:.0f} s ago ({gone.reason}), and is not dialled any more; wait "
                "until it comes back by itself, or pass reopen=True to dial it all the same",
                dest=dest,
            )

    def snapshot(self, now: float) -> tuple[DepartureSnapshot, ...]:
        """All of them, oldest first."""
        self._forget(now)
        return tuple(
            DepartureSnapshot(
                dest,
                gone.reason,
                now - gone.at,
                None if gone.returning_in is None else max(0.0, gone.at + gone.returning_in - now),
            )
            for dest, gone in self._gone.items()
        )

    def _forget(self, now: float) -> None:
        while self._gone:
            dest, oldest = next(iter(self._gone.items()))
            if oldest.at + self._keep > now and len(self._gone) <= self._limit:
                return
            del self._gone[dest]
