"""What is noted of a lane that a link carries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Carried:
    """Of one lane that a link carries.

    since   when it was moved here by choice; minus infinity: it had no other
    reason  why it is here, in words
    wanted  since when another place is the better one; None: it is not
    """

    since: float
    reason: str
    wanted: float | None = None
