"""The lanes that a session begins with."""

from __future__ import annotations

from collections.abc import Mapping

from outproc.session.fixed_lanes import FIXED_LANES, PRIORITY_LANES
from outproc.session.limits import Overflow, SessionLimits
from outproc.session.receive_lane import ReceiveCredit, ReceiveLane
from outproc.session.send_lane import SendCredit, SendLane


def lanes_out(limits: SessionLimits, policies: Mapping[int, Overflow], credit: SendCredit) -> dict[int, SendLane]:
    """Those towards the peer. Signals and replies are exempt from the session's `credit`."""
    return {
        lane: SendLane(
            lane,
            limits,
            policies.get(lane, Overflow.BLOCK),
            None if lane in PRIORITY_LANES else credit,
        )
        for lane in FIXED_LANES
    }


def lanes_in(limits: SessionLimits, credit: ReceiveCredit) -> dict[int, ReceiveLane]:
    """Those from the peer."""
    return {lane: ReceiveLane(lane, limits, None if lane in PRIORITY_LANES else credit) for lane in FIXED_LANES}
