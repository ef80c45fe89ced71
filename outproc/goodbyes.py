"""A peer ended the session on purpose: it said goodbye, for good or for a while (R14). A reset never comes here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litz.departures import Departure
from litz.events import EndReason
from outproc.frames.records import Closed, Goodbye
from outproc.session.leaving import returning_in_of
from outproc.session.tombstones import Finals

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport
    from outproc.link import Link


def ended_by_peer(transport: DestTransport, link: Link, end: Goodbye | Closed) -> None:
    """Act on the GOODBYE or CLOSED that came on `link`, in the turn in which it came.

    A peer that is gone for good is not dialled any more: the transport is closed, and the departure remembered. One
    that means to be back is detached: what is sent to it waits, and it is dialled again from about then on.
    """
    finals = Finals.of(end.positions, partial=end.partial)
    if isinstance(end, Goodbye):
        _remember(transport, end)  # also when it crossed ours: both sides have left
    if transport.farewell.said:
        transport.farewell.answered(finals)
        return
    if isinstance(end, Closed):
        return
    link.write(transport.session.farewell(end.reason, "", link.max_frame, answer=True))
    returning_in = returning_in_of(end.reason)
    detail = end.detail or "no reason given"
    if returning_in is None:
        transport.end_session(EndReason.CLOSED_BY_PEER, detail, finals, then_close=True)
        return
    chance = transport.node.environment.rng.random()  # or all peers of a restarted node would dial in one moment
    transport.dialler.rests_until = transport.node.now() + returning_in + chance * max(1.0, returning_in / 4)
    transport.end_session(EndReason.CLOSED_BY_PEER, f"{detail}; back in about {returning_in:.0f} s", finals)
    transport.keeping.begin(transport.node.now() + returning_in)  # what is sent meanwhile is kept until it is back


def came_back(transport: DestTransport) -> None:
    """A session with the peer stands: whatever it said when it left is over."""
    transport.node.departures.back(transport.dest)
    transport.dialler.rests_until = 0.0


def _remember(transport: DestTransport, end: Goodbye) -> None:
    node, pair = transport.node, transport.session.pair
    half = pair.yours if pair is not None else None
    reason = end.detail or "no reason given"
    node.departures.left(transport.dest, Departure(reason, node.now(), returning_in_of(end.reason), half))
