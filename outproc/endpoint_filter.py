"""Which addresses learned from others are tried at all: the default `allow_endpoint` of a manager. Pure.

A node that dials whatever it is told can be made to talk to services that trust its host or its network. So no address
is dialled that is of no use to a peer and of much to an attacker: those of this link only, of groups, of nobody, and
those at which clouds hand out the machine's credentials.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from litz.errors import InvalidEndpointError
from litz.wire import Endpoint, EndpointSource

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254",  # most clouds
            "169.254.170.2",  # AWS, containers
            "100.100.100.200",  # Alibaba
            "192.0.0.192",  # Oracle
            "168.63.129.16",  # Azure
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google
        ),
    )
)
"""Where clouds hand out the credentials of the machine."""

METADATA_NAMES: Final = frozenset(
    {"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"}
)

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_OLD_V4: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)


def allow_endpoint(endpoint: Endpoint, source: EndpointSource) -> bool:
    """Whether an endpoint may be dialled.

    Refused: addresses that are link-local, multicast, unspecified, broadcast or reserved, and those of cloud metadata,
    in every way to write them (as one number, within IPv6); of a peer's own words ("hello") also loopback. Allowed: all
    other addresses; names, because what they resolve to is asked about once more, as source "name"; and endpoints
    without a host (Unix sockets, relays).
    """
    host = host_of(endpoint.address)
    return not host or allows_host(host, loopback=source != "hello")


def refusal(endpoint: Endpoint, source: EndpointSource) -> InvalidEndpointError:
    """The error that says so, and names the cure."""
    return InvalidEndpointError(
        f"allow_endpoint refuses {endpoint} (learned from {source}): by default what is link-local, multicast, "
        "unspecified, reserved or cloud metadata; give the manager another allow_endpoint if it is to be dialled"
    )


def endpoint_at(kind: str, host: str, port: int) -> Endpoint:
    """The endpoint of one address, as a filter is asked about it."""
    return Endpoint(kind, f"{kind}://[{host}]:{port}" if ":" in host else f"{kind}://{host}:{port}")


def host_of(address: str) -> str:
    """The host of an endpoint URL; "" if it has none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return address  # not a URL that can be read: no address, and whoever dials it will say so


def allows_host(host: str, *, loopback: bool = True) -> bool:
    """The rules of `allow_endpoint` for one host: an IP address or a name."""
    address = _address_of(host)
    if address is None:
        name = host.rstrip(".").lower()
        return name not in METADATA_NAMES and (loopback or not (name == "localhost" or name.endswith(".localhost")))
    if address.is_loopback:
        return loopback
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return False
    return not (
        address in METADATA
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (isinstance(address, ipaddress.IPv4Address) and (address.is_reserved or address.packed[0] == 0))
    )


def _address_of(host: str) -> Address | None:
    """The address that a system takes `host` for; None: it is a name."""
    try:
        address: Address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return _old_v4(host) if _OLD_V4.fullmatch(host) else None
    return _inner(address) if isinstance(address, ipaddress.IPv6Address) else address


def _inner(address: ipaddress.IPv6Address) -> Address:
    """The IPv4 address for which an IPv6 address stands, or itself."""
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1)):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address if inner is None else inner


def _old_v4(host: str) -> Address | None:
    """What inet_aton(3) makes of one to four numbers, in octal with a leading 0 and in hexadecimal with 0x."""
    parts = host.removesuffix(".").split(".")
    try:
        numbers = [
            int(part, 16 if part[:2] in ("0x", "0X") else 8 if part[0] == "0" and part != "0" else 10) for part in parts
        ]
    except ValueError:
        return None
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        return None
    value = last + sum(number << (24 - 8 * index) for index, number in enumerate(first))
    return ipaddress.IPv4Address(value)
