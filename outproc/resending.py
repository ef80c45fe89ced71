"""What one dest does with messages that a restart of its peer left unconfirmed, and how its user is told.

What may be sent again, and how it is marked, is decided in `outproc.session.resending`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from litz.events import DropReason, EndReason, LaneReceived, LostReceipt, ResentReceipt, SessionEnded, SessionStarted
from litz.message import Channel
from litz.restarts import resends
from outproc.handshake import PeerInfo
from outproc.outbound import Outbound
from outproc.session.resending import FEATURE, LANES, Carried, Unconfirmed, carry, marked
from outproc.session.session import Session

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport


def carry_over(
    transport: DestTransport, reason: EndReason, unconfirmed: list[Unconfirmed], following: Session | None
) -> Carried:
    """Give the session that is `following` what the one that ended now, for `reason`, left to be sent again. None:
    there is no further session. Where the policy of the dest is to surface, all is lost."""
    session, node, dest = transport.session, transport.node, transport.dest
    if following is None or transport.closing or not resends(node.options.on_restart, dest, reason):
        return Carried(lost=unconfirmed)
    # Of a session that never began nothing was transmitted.
    markable = session.pair is None or FEATURE in node.internal.features.get(dest, ())
    return carry(session, following, unconfirmed, markable=markable)


def started_event(transport: DestTransport) -> SessionStarted:
    """The news that the current session is paired."""
    session = transport.session
    assert session.pair is not None
    incarnation = str(session.pair.yours.incarnation)
    return SessionStarted(transport.dest, session.index, transport.verified, incarnation)


def ended_event(transport: DestTransport, reason: EndReason, detail: str, carried: Carried) -> SessionEnded:
    """The news of the end of the current session, as both sides of it see it."""
    session, channels = transport.session, transport.outbound.channels
    lost = tuple(LostReceipt((channels[lane], number), outcome) for lane, number, outcome in carried.lost)
    resent = tuple(
        ResentReceipt(
            (channels[lane], number),
            outcome,
            (Channel(transport.dest, session.index + 1, lane), carried.again[lane][number]),
        )
        for lane, number, outcome in carried.resent
    )
    received = tuple(
        LaneReceived(int(number), session.receive_lanes[number].expected.number)
        for number in LANES
        if session.receive_lanes[number].expected.number
    )
    incarnation = str(session.pair.yours.incarnation) if session.pair is not None else ""
    return SessionEnded(transport.dest, session.index, reason, detail, lost, resent, received, incarnation)


def drop_unmarkable(outbound: Outbound, peer: PeerInfo) -> None:
    """The session has begun, with a peer that may not know origins: then what may have come before cannot be sent."""
    if FEATURE not in peer.features:
        for lane, numbers in marked(outbound.session).items():
            outbound.drop(lane, numbers, DropReason.STALE)
