"""What peers that have proved their ids may use up all the same: wires from one address, and new sessions. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from outproc.security.preauth import address_group

SESSIONS_BURST: Final = 64
"""New sessions that one peer may begin at once, after having begun none for a while."""

MAX_RATED: Final = 65_536
"""Peers whose new sessions are counted; then the one that began one the longest ago is forgotten."""


class WiresPerAddress:
    """Counts wires that came in and belong to a session, by IPv4 address or IPv6 /64.

    Loopback, Unix sockets and what has no address are not counted: many nodes of one host are no attack.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[str, int] = {}
        self._groups: dict[Hashable, str] = {}

    def enter(self, wire: Hashable, address: str) -> bool:
        """Count `wire`, unless there are as many from its address as there may be: False. One that is in stays in."""
        group = address_group(address)
        if not group or group.startswith("127.") or group == "::" or wire in self._groups:
            return True
        count = self._counts.get(group, 0)
        if count >= self._limit:
            return False
        self._counts[group] = count + 1
        self._groups[wire] = group
        return True

    def left(self, wire: Hashable) -> None:
        """The wire is dead. Unknown ones are fine."""
        group = self._groups.pop(wire, None)
        if group is None:
            return
        self._counts[group] -= 1
        if not self._counts[group]:
            del self._counts[group]

    def __len__(self) -> int:
        return len(self._groups)


@dataclass(slots=True)
class _Bucket:
    """`left` sessions may be begun, as of the time `at`; `half` is the one that was counted last."""

    left: float
    at: float
    half: Hashable


class SessionRate:
    """How fast one peer may begin new sessions: `SESSIONS_BURST` at once, then `per_second`."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._buckets: dict[str, _Bucket] = {}

    def wait(self, peer: str, half: Hashable, now: float) -> float:
        """Seconds for which `peer` must wait before it begins a session with `half`; 0: it may now, and is counted. The
        same half, asked for again on another wire, counts once."""
        bucket = self._buckets.pop(peer, None)
        if bucket is None:
            if len(self._buckets) >= MAX_RATED:
                del self._buckets[next(iter(self._buckets))]
            bucket = _Bucket(SESSIONS_BURST, now, None)
        self._buckets[peer] = bucket  # the newest
        if bucket.half == half:
            return 0.0
        bucket.left = min(SESSIONS_BURST, bucket.left + (now - bucket.at) * self._per_second)
        bucket.at = now
        if bucket.left < 1:
            return (1 - bucket.left) / self._per_second
        bucket.left -= 1
        bucket.half = half
        return 0.0

    def __len__(self) -> int:
        return len(self._buckets)
