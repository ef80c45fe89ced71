"""The wires of one session: which of them carries a lane, and which go."""

from __future__ import annotations

from collections.abc import Sequence

from litz.payload import PayloadType, WirePreference
from outproc.link import Link
from outproc.session.duplicates import Strand, losers
from outproc.session.fixed_lanes import INTERNAL_LANES
from outproc.session.send_lane import SendLane
from outproc.session.session import LOSSY_LANE, Session
from outproc.wire_choice import Candidate, choose_wire


def links_of(session: Session) -> list[Link]:
    """The links that may carry data now: those up, and one that resumes ahead of the peer's answer."""
    return [wire for wire in session.wires if isinstance(wire, Link)]


def unbound_lanes(session: Session, preference: WirePreference) -> list[tuple[int, Link]]:
    """Every lane without a wire that some wire may carry, with the best for it. The caller binds them."""
    links = links_of(session)
    direct = [link for link in links if link.wire.path.route != "relay"]
    free = [number for number, lane in session.send_lanes.items() if lane.wire is None or _strays(lane, direct)]
    if session.lossy_out.wire is None:
        free.append(LOSSY_LANE)
    everywhere, inner = _candidates(links), _candidates(direct or links)
    chosen = [
        (number, choose_wire(inner if number in INTERNAL_LANES else everywhere, _payload_type(number), preference))
        for number in free
    ]
    return [(number, link) for number, link in chosen if link is not None]


def _strays(lane: SendLane, direct: Sequence[Link]) -> bool:
    """Whether an internal lane rides on a relay although there is a better way: what is relayed itself would then
    depend on another relay."""
    return lane.lane in INTERNAL_LANES and bool(direct) and lane.wire not in direct


def _candidates(links: Sequence[Link]) -> list[Candidate[Link]]:
    return [
        Candidate(
            link,
            link.wire.kind,
            link.started_at,
            link.liveness.round_trip,
            ordered=link.wire.ordered,
            reliable=link.wire.reliable,
        )
        for link in links
    ]


def _payload_type(lane: int) -> PayloadType:
    """The row of the preference table for a lane; replies go where signals go."""
    return PayloadType(lane) if lane in PayloadType._value2member_map_ else PayloadType.RPC_SIGNAL


def longest_silent(links: Sequence[Link], newest: Link) -> Link:
    """The one that makes room for `newest` at the limit of wires (R12)."""
    return min((link for link in links if link is not newest), key=lambda link: link.heard_at)


def superfluous(local_id: str, dest: str, links: Sequence[Link]) -> list[Link]:
    """The wires that others make superfluous (R12), to be closed as DUPLICATE."""
    strands = [
        Strand(link.wire.kind, str(link.endpoint or ""), link.dialled, link.frames_in > link.frames_at_join)
        for link in links
    ]
    return [links[index] for index in losers(local_id, dest, strands)]
