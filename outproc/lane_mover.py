"""Moves the lanes of all dests of one node to the best wire there is, by the policy of the options.

Asked when a wire joins, leaves or was measured, and by one timer for all dests that have more than one wire and
traffic. A dest with one wire, and one without traffic, costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from litz.events import LaneMoved
from outproc.carried import Carried
from outproc.link import Link
from outproc.session.fixed_lanes import STREAMS
from outproc.session.lossy_lane import LossySendLane
from outproc.session.send_lane import SendLane
from outproc.session.session import LOSSY_LANE
from outproc.session.stream_lanes import StreamLanes
from outproc.wire_choice import NEVER, BestWire, Choice, Question
from outproc.wire_set import candidates_for, link_of, links_of, payload_type_of, strand_for

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport
    from outproc.local_node import LocalNode

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at a busy dest, or a quarter of `sick_after` if that is less."""

MEASURE_EVERY: Final = 10.0
"""A wire with traffic on it is not silent, so the health check does not ping it; then this does, so often."""

SETTLED_AFTER: Final = 10.0
"""Seconds after the latest news of its wires for which a dest is looked at without traffic: policies may wait."""

LITTLE: Final = 64 * 1024
"""Bytes in flight that are replayed without regret when a lane moves."""

MOVE_WITHIN: Final = 1.0
"""Seconds that a lane waits for little to be in flight; then it moves with what is."""

Lane = SendLane | LossySendLane | StreamLanes


class LaneMover:
    """See the module. All methods belong to the loop; none may be called while frames are being made."""

    def __init__(self, node: LocalNode) -> None:
        self._node = node
        self._timer = node.timers.timer(self._tick)
        self._every = min(LOOK_EVERY, node.options.sick_after / 4)
        self._watched: dict[DestTransport, float] = {}
        """Dests that are looked at, and until when at least."""
        self._waiting: dict[DestTransport, None] = {}
        """Dests of which a lane moves as soon as little is in flight."""
        self._fallback = BestWire()

    # -- news ---------------------------------------------------------------------------------------

    def news(self, transport: DestTransport) -> None:
        """A wire joined, left, was measured, or is well again; or a lane is new."""
        now = self._node.now()
        self.place(transport, now)
        if len(links_of(transport.session)) > 1:
            self._watch(transport, now + SETTLED_AFTER)

    def wrote(self, transport: DestTransport) -> None:
        """Something was sent to a dest with several wires."""
        if transport not in self._watched:
            self._watch(transport, self._node.now())

    def acked(self, transport: DestTransport) -> None:
        """Acks came: less is in flight."""
        if transport in self._waiting:
            self.place(transport, self._node.now())

    def _watch(self, transport: DestTransport, until: float) -> None:
        self._watched[transport] = max(until, self._watched.get(transport, until))
        self._timer.by(self._node.now() + self._every)

    # -- moving -------------------------------------------------------------------------------------

    def place(self, transport: DestTransport, now: float) -> None:
        """Give every lane without a wire the best, and move those for which another one is better now."""
        session = transport.session
        links = links_of(session)
        self._waiting.pop(transport, None)
        lanes: list[tuple[int, Lane]] = [*session.send_lanes.items(), (LOSSY_LANE, session.lossy_out)]
        if session.streams.sending:
            lanes.append((STREAMS, session.streams))
        for number, lane in lanes:
            current = link_of(lane.wire)
            if current is not None and len(links) == 1 and current.urgent is None:
                continue
            choice = self.choose(number, current, links, now)
            if choice is None or strand_for(session, choice.wire, number) is lane.wire:
                if current is not None and number in current.carries:
                    current.carries[number].wanted = None
                continue
            if current is None or self._may_go(number, lane, current, now):
                self._move(transport, number, current, choice, now)
            else:
                self._waiting[transport] = None

    def choose(self, number: int, current: Link | None, links: Sequence[Link], now: float) -> Choice[Link] | None:
        """What the policy says of a lane now. An error of a policy of the user's is told; the lane stays where it is
        then, or goes where the default would have it."""
        options = self._node.options
        candidates = candidates_for(number, links, now)
        carried = current.carries.get(number) if current is not None else None
        since = carried.since if carried is not None else NEVER
        question = Question(candidates, payload_type_of(number), options.wire_preference, now, current, since)
        try:
            choice = options.wire_policy(question)
            if choice is None or any(each.wire is choice.wire for each in candidates):
                return choice
            raise ValueError(f"the wire policy chose {choice.wire!r}, which is no candidate")
        except Exception as error:
            self._node.loop.call_exception_handler({"message": "litz: an error in the wire policy", "exception": error})
            stays = any(each.wire is current for each in candidates)
            return Choice(current, "the wire policy failed") if current and stays else self._fallback(question)

    def why(self, transport: DestTransport, number: int) -> str:
        """Why the wire of a lane carries it, as of now; "" if none does. Changes nothing."""
        session = transport.session
        groups: dict[int, Lane] = {LOSSY_LANE: session.lossy_out, STREAMS: session.streams}
        lane = groups.get(number) or session.send_lanes.get(number)
        current = link_of(lane.wire) if lane is not None else None
        if current is None:
            return ""
        choice = self.choose(number, current, links_of(session), self._node.now())
        if choice is not None and choice.wire is current:
            return choice.reason
        carried = current.carries.get(number)
        reason = carried.reason if carried is not None else ""
        return reason if choice is None else f"moves to the {choice.wire.wire.kind} wire: {choice.reason}"

    def _may_go(self, number: int, lane: Lane, current: Link, now: float) -> bool:
        """Whether the lane may leave its wire now: what is in flight is sent again."""
        if isinstance(lane, LossySendLane) or current.meter.sick or _in_flight(lane) <= LITTLE:
            return True
        carried = current.carries.setdefault(number, Carried(NEVER, ""))
        if carried.wanted is None:
            carried.wanted = now
        return now >= carried.wanted + MOVE_WITHIN

    def _move(
        self, transport: DestTransport, number: int, current: Link | None, choice: Choice[Link], now: float
    ) -> None:
        link = choice.wire
        transport.session.bind(number, strand_for(transport.session, link, number))
        transport.outbound.arm()
        if link is current:
            link.carries.setdefault(number, Carried(NEVER, choice.reason)).wanted = None
            return
        if current is not None:
            current.carries.pop(number, None)
        link.carries[number] = Carried(now if current is not None else NEVER, choice.reason)
        before, reason = "", choice.reason
        if current is not None:
            before = repr(current.wire)
            reason = f"the wire before is sick; {reason}" if current.meter.sick else reason
        self._node.emit(LaneMoved(transport.dest, number, repr(link.wire), before, reason))

    # -- looking ------------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        for transport, until in list(self._watched.items()):
            links = [link for link in transport.links if link in transport.session.wires]
            if len(links) < 2:
                del self._watched[transport]
                continue
            busy = [self._look(transport, link, now) for link in links]
            self.place(transport, now)
            if not any(busy) and now >= until and transport not in self._waiting:
                del self._watched[transport]
        if self._watched:
            self._timer.by(now + self._every)

    def _look(self, transport: DestTransport, link: Link, now: float) -> bool:
        """Whether there is a reason to look at the link again soon."""
        lanes = [lane for lane in transport.session.send_lanes.values() if link_of(lane.wire) is link]
        sent: dict[int, tuple[int, int]] = {lane.lane: lane.cursor for lane in lanes}
        acked: dict[int, tuple[int, int]] = {lane.lane: lane.acked for lane in lanes}
        streams = transport.session.streams
        carries_streams = link_of(streams.wire) is link
        if carries_streams:
            sent[STREAMS], acked[STREAMS] = (streams.sent_entries, 0), (streams.acked_entries, 0)
        outstanding = any(acked[number] < place for number, place in sent.items())
        buffered = link.wire.buffered_bytes
        link.meter.look(
            now,
            outstanding=outstanding,
            sent=sent,
            acked=acked,
            left=link.bytes_out - buffered,
            buffered=buffered,
        )
        unsent = any(lane.has_unsent for lane in lanes) or (carries_streams and streams.waits)
        rested = link.meter.sick_until
        if rested is not None:
            due = now >= rested and link.liveness.pinged < rested
        else:
            due = (outstanding or unsent) and now >= link.liveness.pinged + MEASURE_EVERY
        if due:
            link.liveness.probe()
            self._node.health.schedule(link, now)
        return outstanding or unsent or rested is not None


def _in_flight(lane: SendLane | StreamLanes) -> int:
    """Bytes, about, that were sent and are not acknowledged."""
    if isinstance(lane, StreamLanes):
        return lane.sent_size
    return (lane.cursor.number - lane.acked.number) * lane.log.size // max(1, lane.log.count)
