"""Reads the description that a library with an SDP writer of its own made of this side. Pure.

It is taken apart and written anew as a peer's is, so that what travels is the same for every engine, and says nothing
of addresses that the settings do not name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from outproc.wires.webrtc.description import Description
from outproc.wires.webrtc.sdp_filter import AddressPolicy, read_description

EVERYWHERE = AddressPolicy(loopback=True, link_local=True)


def read_local(text: str, addresses: Collection[str] | None) -> tuple[Description, frozenset[str]]:
    """The description, with candidates of `addresses` only (None: of all but loopback), and the types of candidates
    that ICE servers gave. Raises ValueError for a text that litz could not read from a peer either."""
    kept, kinds = [], set()
    for line in text.splitlines():
        if line.startswith("a=candidate:"):
            kind, base = _base(line)
            kinds.add(kind)
            if kind != "relay" and not _named(base, addresses):
                continue
        kept.append(line)
    return read_description("\r\n".join(kept) + "\r\n", EVERYWHERE), frozenset(kinds - {"host"})


def _base(line: str) -> tuple[str, str]:
    """The type of a candidate and the local address it stands on: its own, or of a reflexive one the related one."""
    words = line.split()
    kind = words[7] if len(words) > 7 else "host"
    if kind != "host" and "raddr" in words[:-1]:
        return kind, words[words.index("raddr") + 1]
    return kind, words[4] if len(words) > 4 else ""


def _named(address: str, addresses: Collection[str] | None) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if addresses is None:
        return not ip.is_loopback
    return str(ip) in {str(ipaddress.ip_address(each)) for each in addresses}
