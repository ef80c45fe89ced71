"""The network of this host as far as any system tells it without privilege: which address packets to the rest of the
world are sent from. Nothing is sent for it."""

from __future__ import annotations

import errno
import socket
from typing import Final

from outproc.network_news import NetworkState, Way

SOMEWHERE: Final = ((4, socket.AF_INET, "203.0.113.1"), (6, socket.AF_INET6, "2001:db8::1"))
"""An address of each family that is nobody's (RFC 5737, RFC 3849): no route leads there but the default one."""

SHORT_OF: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Nothing can be asked: that says nothing of the network."""


class SourceAddresses:
    """Looks when asked; there are no news. A router that is replaced by another is not noticed, nor an address that
    nothing is sent from by default."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        """Addresses that were sent from, with their networks: only themselves, as nobody tells more."""

    def fileno(self) -> int | None:
        """There are no news."""
        return None

    def drain(self) -> bool:
        """There are no news."""
        return False

    def state(self) -> NetworkState:
        """The network now: the addresses that are sent from, and those that were and are there still. Raises OSError
        when the process has no descriptor left to ask with."""
        ways = []
        for family, number, somewhere in SOMEWHERE:
            source = source_towards(number, somewhere)
            if source:
                ways.append(Way(family, f"from {source}"))
                self._known[source] = f"{source}/{32 if family == 4 else 128}"
        self._known = {address: network for address, network in self._known.items() if is_ours(address)}
        return NetworkState(frozenset(self._known.values()), tuple(ways))

    def close(self) -> None:
        """Nothing is kept."""


def source_towards(number: int, address: str) -> str:
    """The address that packets to `address` would be sent from; "" if they would not be. `number`: the family. Raises
    OSError only for what it is `SHORT_OF`."""
    try:
        with socket.socket(number, socket.SOCK_DGRAM) as asking:
            asking.connect((address, 9))  # a datagram socket: it only looks up the route
            return str(asking.getsockname()[0]).partition("%")[0]
    except OSError as error:
        if error.errno in SHORT_OF:
            raise
        return ""


def is_ours(address: str) -> bool:
    """Whether this host has the address. In doubt it has."""
    number = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(number, socket.SOCK_DGRAM) as asking:
            asking.bind((address, 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True
