"""How many connections may be in their handshake at once: in all, and from one address. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

MAX_UNPROVED = 128
MAX_UNPROVED_PER_ADDRESS = 8
MAX_RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One admitted connection. Give it back with `release` when its handshake ended, however it ended."""

    group: str
    until: float


@dataclass(frozen=True, slots=True)
class Busy:
    """No room. Answer BUSY with `retry_after` (seconds), and close."""

    retry_after: float


class PreauthLimiter:
    """Counts connections that have not proved an id yet.

    admit(address, now, introducer="") -> Ticket | Busy;  release(ticket).

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

    def admit(self, address: str, now: float, *, introducer: str = "") -> Ticket | Busy:
        """`now` in seconds of a monotonic clock. What a peer has brought (`introducer`) counts as its own, wherever it
        comes from: many nodes may share an address."""
        self._expire(now)
        group = introducer or address_group(address)
        if self._limit is not None and len(self._tickets) >= self._limit:
            return Busy(self._until_next(now, None))
        if group and self._per_address is not None and self._groups.get(group, 0) >= self._per_address:
            return Busy(self._until_next(now, group))
        ticket = Ticket(group, now + self._deadline)
        self._tickets[ticket] = None
        self._groups[group] = self._groups.get(group, 0) + 1
        return ticket

    def release(self, ticket: Ticket) -> None:
        """Idempotent."""
        if ticket not in self._tickets:
            return
        del self._tickets[ticket]
        self._groups[ticket.group] -= 1
        if not self._groups[ticket.group]:
            del self._groups[ticket.group]

    def __len__(self) -> int:
        return len(self._tickets)

    def _expire(self, now: float) -> None:
        while self._tickets:
            oldest = next(iter(self._tickets))
            if oldest.until > now:
                return
            self.release(oldest)

    def _until_next(self, now: float, group: str | None) -> float:
        """Seconds until room is certain, at most `MAX_RETRY_AFTER`: most handshakes end long before."""
        oldest = next(t for t in self._tickets if group is None or t.group == group)
        return min(MAX_RETRY_AFTER, max(0.05, oldest.until - now))

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
