"""How many descriptors this process may have, and what strangers may take of them."""

from __future__ import annotations

import sys
from typing import Final

if sys.platform != "win32":
    import resource

PART: Final = 4
"""The part that connections which have proved nothing may take, at each of the places where they are."""


def for_strangers(wanted: int) -> int:
    """`wanted`, or a quarter of what the process may have now (ulimit -n) if that is less; 1 at least."""
    if sys.platform == "win32":  # no such limit there
        return wanted
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft // PART))
