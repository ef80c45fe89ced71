"""Which pages are the node's own: those that were loaded from it by a loopback name. Pure.

A browser tells the page's origin (RFC 6454) and the name by which it thinks it reached us (Host). A foreign page whose
name leads to a loopback address (DNS rebinding) has that name in both, and it is no loopback name.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

SAME: Final = "same"
"""Among the `origins` of a listener: pages that this very address serves, when they were asked for by a loopback
name."""


def is_own_host(host: str) -> bool:
    """Whether `host` (a Host header) names this machine by `localhost` or a loopback address, and nothing else."""
    try:
        parts = urlsplit(f"//{host}")
        name = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if parts.netloc != host or "@" in host or parts.path or parts.query or parts.fragment:
        return False
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def own_origin(host: str, *, secure: bool) -> str | None:
    """The origin of pages that were loaded from `host`, None unless that is this machine by a loopback name."""
    return f"{'https' if secure else 'http'}://{host.lower()}" if is_own_host(host) else None
