"""Moving what an ended session left unconfirmed into the one that follows it: at least once, in order. Pure.

The caller does so in the turn in which the session ended, before anything else is appended to the next one, so that it
goes ahead of all that is newer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from litz.events import Outcome
from litz.payload import PayloadType
from litz.requests import Correlation
from outproc.session.log import EntryDetail
from outproc.session.session import Session

FEATURE: Final = "origins"
"""Announced in the handshake by who understands the origins of a batch (`docs/protocol.md`)."""

MAX_RESENDS: Final = 16
"""Sessions that may end with a message transmitted and not confirmed: then it is lost, for the peer may die of it."""

LANES: Final = (PayloadType.RPC_SIGNAL, PayloadType.RPC_RELIABLE, PayloadType.STREAM_RELIABLE)
"""What users send on them is resent. Replies have nobody left who waits for them."""

Unconfirmed = tuple[int, int, Outcome]
"""(lane, number, what is known of it)."""


@dataclass(slots=True)
class Carried:
    """What became of the unconfirmed. `again`: of each lane, the old numbers in order with their new ones. Not
    `resends`: all is lost, whatever it is."""

    resends: bool = False
    lost: list[Unconfirmed] = field(default_factory=list)
    resent: list[Unconfirmed] = field(default_factory=list)
    again: dict[int, dict[int, int]] = field(default_factory=dict)


NOTHING: Final = Carried()


def carry(ended: Session, following: Session, unconfirmed: Iterable[Unconfirmed], *, markable: bool) -> Carried:
    """Append to `following`, whose logs are empty and have the limits of those of `ended`, what can be sent again.

    What the peer never took goes as it is. What it may have taken carries its origin, and arrives marked; not
    `markable` (the peer could not be told): it is lost. So are requests, and what was tried too often.
    """
    carried = Carried(resends=True)
    for entry in unconfirmed:
        lane, number, outcome = entry
        body, detail = ended.send_lanes[lane].log.message(number)
        detail = detail or EntryDetail()
        if outcome is Outcome.UNKNOWN:
            # Of what was not transmitted this time, the time before counts.
            transmitted = number < ended.send_lanes[lane].high_water
            origin = detail.origin or (ended.mine.counter, number)
            detail = detail._replace(origin=origin, resent=detail.resent + transmitted)
        asks = detail.correlation is not None and detail.correlation[0] == Correlation.REQUEST
        told = markable or detail.origin is None
        if lane not in LANES or asks or not told or detail.resent > MAX_RESENDS:
            carried.lost.append(entry)
            continue
        again = following.send_lanes[lane].log.append(body, detail if detail != EntryDetail() else None)
        carried.resent.append(entry)
        carried.again.setdefault(lane, {})[number] = again
    return carried


def marked(session: Session) -> dict[int, list[int]]:
    """Of each lane of `session` the messages that only a peer with the feature may be sent."""
    lanes = {
        number: [entry for entry, detail in lane.log.details.items() if detail.origin is not None]
        for number, lane in session.send_lanes.items()
    }
    return {number: entries for number, entries in lanes.items() if entries}
