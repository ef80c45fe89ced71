"""What a subscriber of an episode gets. Pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from litz.episodes.ends import Why

MAX_ROLE: Final = 64
"""Bytes of UTF-8 of a role."""

BATCH_PARTS: Final = 256
BATCH_SIZE: Final = 64 * 1024
"""What is handed out at once, at most, unless told otherwise. One part always is."""


class Part(NamedTuple):
    """One part of an episode. Numbers ascend by one from 1."""

    number: int
    data: Any
    """As it was appended: bytes, or any object."""
    role: str = ""
    """Whose it is ("user", "assistant", "tool"), or whatever the producer means by it."""


class Gap(NamedTuple):
    """In place of parts that this subscriber does not get, from `first` to `last`: it asked to skip what it cannot
    have (`Behind.SKIP`)."""

    first: int
    last: int
    why: Why
    """SLOW: it fell too far behind. TRIMMED: they were stored elsewhere and forgotten here."""


Item = Part | Gap
