"""How many connections may be in their handshake at once: in all, and from one address. Pure.

Many honest peers share an address: behind a translator, or on one host. So an address begins with a few places and
gets another one with each peer that proves its id there; with one that does not it loses half of those. Whoever proves
nothing keeps to the few.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

MAX_UNPROVED = 128
MAX_UNPROVED_PER_ADDRESS = 8
MAX_RETRY_AFTER = 10.0
REMEMBERED: Final = 60.0
"""Seconds for which an address keeps the places it has earned, after the latest proof."""
MAX_REMEMBERED: Final = 1_024
"""Addresses of which that is remembered."""
SLOWEST: Final = 0.1
"""Seconds between two proofs that count at most: nobody may have come."""
SOONEST_RETRY: Final = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One admitted connection. Give it back with `release` when its handshake ended, however it ended."""

    group: str
    until: float


@dataclass(frozen=True, slots=True)
class Busy:
    """No room. Answer BUSY with `retry_after` (seconds), and close."""

    retry_after: float


@dataclass(slots=True)
class _Known:
    """What an address has earned, until when that counts, and when the next one that is refused may come back."""

    places: int = 0
    until: float = 0.0
    next_turn: float = 0.0


class PreauthLimiter:
    """Counts connections that have not proved an id yet.

    admit(address, now, introducer="") -> Ticket | Busy;  release(ticket, ...).

    deadline      seconds a handshake may take: a ticket older than that is no longer counted, so that one
                  that is never given back costs no room for ever
    An address is an IP address with or without a port, as in `WirePath.remote`. IPv6 counts by /64, which is what
    one host is given. Other texts (Unix sockets, memory) count in all but not per address.
    """

    def __init__(
        self,
        *,
        limit: int | None = MAX_UNPROVED,
        per_address: int | None = MAX_UNPROVED_PER_ADDRESS,
        deadline: float = 5.0,
    ) -> None:
        if (limit is not None and limit < 1) or (per_address is not None and per_address < 1):
            raise ValueError("a limit of the handshakes under way is at least 1, or None for no limit")
        self._limit = limit
        self._per_address = per_address
        self._deadline = deadline
        self._tickets: dict[Ticket, None] = {}  # in order of admission, hence of expiry
        self._groups: dict[str, int] = {}
        self._known: dict[str, _Known] = {}  # least lately used first
        self._pace = 0.005  # seconds between two proofs, lately
        self._proved_at = 0.0

    def admit(self, address: str, now: float, *, introducer: str = "") -> Ticket | Busy:
        """`now` in seconds of a monotonic clock. What a peer has brought (`introducer`) counts as its own, wherever it
        comes from: many nodes may share an address."""
        group = introducer or address_group(address)
        if not self.has_room(group, now):
            return Busy(self.retry_after(group, now))
        ticket = Ticket(group, now + self._deadline)
        self._tickets[ticket] = None
        self._groups[group] = self._groups.get(group, 0) + 1
        return ticket

    def has_room(self, group: str, now: float) -> bool:
        """Whether one of that group (see `address_group`) would be admitted."""
        self._expire(now)
        if self._limit is not None and len(self._tickets) >= self._limit:
            return False
        if not group or self._per_address is None:
            return True
        return self._groups.get(group, 0) < self._places(group, now)

    def release(self, ticket: Ticket, now: float | None = None, *, proved: bool | None = None) -> None:
        """Idempotent. `proved`: whether its peer has proved its id by `now`, or has failed to; None says nothing of
        it."""
        if ticket not in self._tickets:
            return
        del self._tickets[ticket]
        self._groups[ticket.group] -= 1
        if not self._groups[ticket.group]:
            del self._groups[ticket.group]
        if now is None or proved is None or not ticket.group:
            return
        known = self._remember(ticket.group)
        known.places = known.places + 1 if proved else known.places // 2
        known.until = now + REMEMBERED
        if proved:
            gap, self._proved_at = now - self._proved_at, now
            self._pace += (min(gap, SLOWEST) - self._pace) / 16

    def retry_after(self, group: str, now: float, *, ahead: int = 0) -> float:
        """Seconds after which one more of that group has a chance, with so many `ahead` of all. Each is told a later
        time, as fast as proofs come now: who is refused together does not come back together."""
        known = self._remember(group)
        known.next_turn = max(known.next_turn, now + ahead * self._pace) + self._pace
        return min(MAX_RETRY_AFTER, max(SOONEST_RETRY, known.next_turn - now))

    def __len__(self) -> int:
        return len(self._tickets)

    def _places(self, group: str, now: float) -> int:
        """Handshakes that may be under way there at once; 0: any number."""
        if not group or self._per_address is None:
            return 0
        known = self._known.get(group)
        return self._per_address + (known.places if known is not None and now < known.until else 0)

    def _remember(self, group: str) -> _Known:
        known = self._known.pop(group, None) or _Known()
        self._known[group] = known
        if len(self._known) > MAX_REMEMBERED:
            del self._known[next(iter(self._known))]
        return known

    def _expire(self, now: float) -> None:
        while self._tickets:
            oldest = next(iter(self._tickets))
            if oldest.until > now:
                return
            self.release(oldest, now, proved=False)

    def __repr__(self) -> str:
        return f"<{len(self)} handshakes under way from {len(self._groups)} addresses>"


def address_group(address: str) -> str:
    """What counts as one address: an IPv4 address, an IPv6 /64; '' for what is no IP address."""
    host = address
    if address.startswith("["):
        host = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        host = address.partition(":")[0]
    if host.count(".") == 3 and host.replace(".", "").isdecimal():
        return host  # IPv4 as the system writes it, and nearly every stranger's
    try:
        parsed = ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))
