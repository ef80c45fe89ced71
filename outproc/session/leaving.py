"""The reason byte of GOODBYE: whether its sender comes back, and about when (docs/protocol.md). Pure."""

from __future__ import annotations

from math import ceil, log2
from typing import Final

NO_REASON: Final = 0
RETURNS: Final = 0x80
"""With this bit the other seven tell when: in about 2 ** (n / 8) seconds. Peers that do not know it see a reason that
is not assigned, which decides nothing."""

STEPS: Final = 8
"""To a factor of two: within 10 % of what was meant, up to 16 hours."""


def reason_of(returning_in: float | None) -> int:
    """The reason byte of a node that means to be back after so many seconds (never less than it said, from 1 s up);
    None: it does not mean to."""
    if returning_in is None:
        return NO_REASON
    # A hair less, so that what was read off such a byte gives that byte again.
    return RETURNS | min(0x7F, max(0, ceil(STEPS * log2(max(1.0, returning_in)) - 1e-9)))


def returning_in_of(reason: int) -> float | None:
    """Seconds after which the sender of `reason` means to be back; None: it did not say so."""
    return 2.0 ** ((reason & 0x7F) / STEPS) if reason & RETURNS else None
