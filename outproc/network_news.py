"""What has changed of this host's network, which wires that concerns, and when to look. Pure; times in seconds.

A wire is concerned when its local address is gone, or when the default route of its family has changed and its peer is
not on a network that this host is on itself. Then it may live or not: only a sign of life tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface
from typing import Final

QUIET: Final = 0.1
"""Seconds without news after which is looked: a new address and its routes come one after the other."""

LONGEST: Final = 1.0
"""Seconds after the first news in which is looked in any case, and between two looks at least."""

MAX_TOLD: Final = 8
"""Addresses that are named when they come or go; of more the number is told."""


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """Where packets for the rest of the world go. `family` is 4 or 6."""

    family: int
    through: str
    """The gateway and the device, or the address that is sent from: whatever tells one way from another."""


@dataclass(frozen=True, slots=True)
class NetworkState:
    """The network of this host at one moment.

    interfaces  its own addresses with their networks ("10.0.0.7/24"), loopback left out
    ways        one for each family that has a default route
    """

    interfaces: frozenset[str] = frozenset()
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkChange:
    """The difference of two states. `came` and `gone` are addresses, in order; `rerouted` families."""

    came: tuple[str, ...]
    gone: tuple[str, ...]
    rerouted: tuple[int, ...]
    after: NetworkState

    def concerns(self, local: str, remote: str) -> bool:
        """Whether a wire between these addresses (as in `WirePath`) may have died of it."""
        theirs = address_in(remote)
        if theirs is None or theirs.is_loopback:
            return False
        if self.lacks(local):
            return True
        return theirs.version in self.rerouted and not _is_near(theirs, self.after.interfaces)

    def lacks(self, local: str) -> bool:
        """Whether the address of this end is not one of this host any more."""
        ours = address_in(local)
        return ours is not None and str(ours) in self.gone

    def __str__(self) -> str:
        ways = {way.family: way.through for way in self.after.ways}
        routes = [f"the default route of IPv{family} is {ways.get(family, 'gone')}" for family in self.rerouted]
        return "; ".join([*_told(self.gone, "gone"), *_told(self.came, "new"), *routes])


def _told(addresses: tuple[str, ...], what: str) -> list[str]:
    if not addresses:
        return []
    more = f" and {len(addresses) - MAX_TOLD} more" if len(addresses) > MAX_TOLD else ""
    return [f"{', '.join(addresses[:MAX_TOLD])}{more} {'is' if len(addresses) == 1 else 'are'} {what}"]


def change_between(before: NetworkState, after: NetworkState) -> NetworkChange | None:
    """What has changed, None if nothing has. The caller tells it, and asks `concerns` of each wire."""
    had = {_address(each) for each in before.interfaces}
    has = {_address(each) for each in after.interfaces}
    families = sorted({way.family for way in set(before.ways) ^ set(after.ways)})
    if had == has and not families:
        return None
    return NetworkChange(tuple(sorted(has - had)), tuple(sorted(had - has)), tuple(families), after)


def _address(interface: str) -> str:
    return interface.partition("/")[0]


def _is_near(address: IPv4Address | IPv6Address, interfaces: frozenset[str]) -> bool:
    """Whether it is on a network of this host, so that no route leads there."""
    return any(address in _network(interface) for interface in interfaces)


@lru_cache(maxsize=256)
def _network(interface: str) -> IPv4Network | IPv6Network:
    return ip_interface(interface).network


def address_in(end: str) -> IPv4Address | IPv6Address | None:
    """The IP address in one end of a path ("10.0.0.7:8400", "[fe80::1%2]:8400"), without port and zone; None if there
    is none. What IPv6 wraps around an IPv4 address is taken off."""
    host = end
    if end.startswith("["):
        host = end[1:].partition("]")[0]
    elif end.count(":") == 1:
        host = end.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return found if isinstance(found, IPv4Address) else found.ipv4_mapped or found


class Calm:
    """Makes one look of many news. Tell it of `news`, look when it is `due`, and say so with `looked`."""

    __slots__ = ("_first", "_last", "_looked")

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0
        self._looked = float("-inf")

    def news(self, now: float) -> None:
        """Something may have changed."""
        if self._first is None:
            self._first = now
        self._last = now

    @property
    def due(self) -> float | None:
        """When to look; None: there is nothing to look for."""
        if self._first is None:
            return None
        return max(min(self._last + QUIET, self._first + LONGEST), self._looked + LONGEST)

    def looked(self, now: float) -> None:
        """The state was read; all news so far are in it."""
        self._first = None
        self._looked = now
