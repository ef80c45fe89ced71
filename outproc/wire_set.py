"""The wires of one session: which of them carries a lane, and which go."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from litz.payload import PayloadType
from outproc.link import Link
from outproc.session.duplicates import Strand, losers
from outproc.session.fixed_lanes import INTERNAL_LANES, RPC_LANE, STREAMS, URGENT_LANES
from outproc.session.session import LOSSY_LANE, Session
from outproc.urgent_strand import UrgentStrand
from outproc.wire_choice import Candidate


def links_of(session: Session) -> list[Link]:
    """The links that may carry data now: those up, and one that resumes ahead of the peer's answer."""
    return [wire for wire in session.wires if isinstance(wire, Link)]


def link_of(strand: Hashable | None) -> Link | None:
    """The link by which a lane is bound: it may be bound to the link itself, or to its second strand."""
    if isinstance(strand, UrgentStrand):
        return strand.link
    return strand if isinstance(strand, Link) else None


def strand_for(session: Session, link: Link, lane: int) -> Link | UrgentStrand:
    """What of `link` is to carry `lane`: its urgent strand, once that has joined, if the lane is one of those that must
    not wait behind bulk. Where the RPC lane is, the strand decides."""
    urgent = link.urgent
    if urgent is not None and lane == RPC_LANE:
        return urgent if session.send_lanes[lane].wire is urgent else link
    return urgent if urgent is not None and lane in URGENT_LANES and urgent in session.wires else link


def candidates_for(lane: int, links: Sequence[Link], now: float) -> list[Candidate[Link]]:
    """The wires that may carry `lane`. One of a reliable payload type rides only on wires that keep order and lose
    nothing; an internal one on relays only if there is no better way: what is relayed must hang on no other relay."""
    if lane != LOSSY_LANE:
        links = [link for link in links if link.dependable]
    if lane in INTERNAL_LANES:
        links = [link for link in links if link.wire.path.route != "relay"] or links
    return [
        Candidate(
            link,
            link.wire.kind,
            link.up_since,
            link.meter.round_trip,
            link.meter.throughput(now),
            link.wire.path.route,
            link.meter.sick,
        )
        for link in links
    ]


def payload_type_of(lane: int) -> PayloadType:
    """The row of the preference table for a lane; replies and internal lanes go where signals go, streams where the
    shared stream goes."""
    if lane >= STREAMS:
        return PayloadType.STREAM_RELIABLE
    return PayloadType(lane) if lane in PayloadType._value2member_map_ else PayloadType.RPC_SIGNAL


def makes_room(local_id: str, dest: str, links: Sequence[Link], newest: Link) -> Link:
    """The one that goes because `newest` came over the limit of wires (R12): of two dials that crossed that of the
    larger id, as the other side decides too, or each might let go of what the other keeps; else the longest silent."""
    for link in links:
        # It joined while `newest` shook hands: what was there before may be dead, and its loss why there is a new one.
        crossed = link.dialled != newest.dialled and link.up_since >= newest.started_at
        if crossed and link.wire.kind == newest.wire.kind:
            return link if newest.dialled == (local_id < dest) else newest
    return longest_silent(links, newest)


def longest_silent(links: Sequence[Link], newest: Link) -> Link:
    """The one that makes room for `newest` at the limit of wires (R12). The last one that reliable lanes can ride on
    stays: if they cannot ride on `newest`, that goes."""
    others = [link for link in links if link is not newest]
    if not newest.dependable and sum(link.dependable for link in others) == 1:
        others = [link for link in others if not link.dependable] or [newest]
    return min(others, key=lambda link: link.heard_at)


def superfluous(local_id: str, dest: str, links: Sequence[Link]) -> list[Link]:
    """The wires that others make superfluous (R12), to be closed as DUPLICATE."""
    strands = [
        Strand(link.wire.kind, str(link.endpoint or ""), link.dialled, link.frames_in > link.frames_at_join)
        for link in links
    ]
    return [links[index] for index in losers(local_id, dest, strands)]
