"""What nodes say to each other, over the session that stands, when one of them leaves (docs/protocol.md). Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from litz.errors import ProtocolError
from litz.events import LostReceipt
from outproc.session.leaving import reason_of, returning_in_of

TOPIC: Final = "leaving"
FEATURE: Final = "leaving"
"""Announced by those who answer `LEAVES` with `FLUSHED`. Of others nothing is waited for."""

LEAVES: Final = 1
"""I leave, take no new sessions, and refuse nothing that you have accepted for me: accept no more."""
FLUSHED: Final = 2
"""Nothing more comes from me: all that was accepted here for you has been received there."""

MAX_REASON: Final = 200
"""Bytes of the text for people."""


@dataclass(slots=True)
class Leaving:
    """A final drain of this node: why, when it means to be back, when the drain ends at the latest (by the loop's
    clock), and what was lost since it began."""

    reason: str
    returning_in: float | None
    until: float
    lost: list[LostReceipt] = field(default_factory=list)


def encode_leaves(reason: str, returning_in: float | None) -> bytes:
    """`LEAVES`: the byte of GOODBYE, and a text. What is too long is cut, control characters become spaces."""
    text = "".join(each if each.isprintable() else " " for each in reason)
    cut = text.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore")
    return bytes((LEAVES, reason_of(returning_in))) + cut.encode()


def decode_leaves(data: memoryview) -> tuple[str, float | None] | None:
    """Reason and `returning_in` of a `LEAVES`; None: it is a `FLUSHED`. Raises `ProtocolError`."""
    said = bytes(data)
    if said == bytes((FLUSHED,)):
        return None
    if len(said) < 2 or said[0] != LEAVES or len(said) > 2 + MAX_REASON:
        raise ProtocolError("a word about leaving that is none")
    try:
        text = said[2:].decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("the reason for leaving is no UTF-8") from error
    return "".join(each if each.isprintable() else " " for each in text), returning_in_of(said[1])
