"""The state of a node as plain values."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from litz.payload import PayloadType
from litz.snapshot import DestSnapshot, LaneSnapshot, ManagerSnapshot, SlotSnapshot, WireSnapshot
from outproc.dest_table import DestTable
from outproc.dest_transport import DestTransport
from outproc.durable import Durable
from outproc.link import Link
from outproc.local_node import LocalNode
from outproc.session.internal_lanes import lane_in, lane_out
from outproc.session.session import LOSSY_LANE
from outproc.slots import Cooling, Slot
from outproc.urgent_strand import UrgentStrand
from outproc.wire_set import link_of

WAITS_FOR_ANOTHER: Final = "every wire that is up may lose frames: what is reliable waits for another kind"


def snapshot_of(
    node: LocalNode, dests: DestTable, endpoints: tuple[str, ...], durable: Durable, *, running: bool
) -> ManagerSnapshot:
    """Everything at this moment. Costs what there is to tell; nothing is counted for it in between."""
    for transport in dests.transports():
        transport.outbound.take_stock()
    return ManagerSnapshot(
        local_id=node.local_id,
        running=running,
        endpoints=endpoints,
        logged_bytes=node.log_budget.used,
        inbox_bytes=node.inbox.pending_bytes,
        dests=tuple(_dest(node, transport) for transport in dests.transports()),
        departed=node.departures.snapshot(node.now()),
        draining=node.leaving is not None,
        outbox=durable.outbox.snapshot() if durable.outbox is not None else None,
        inbox=durable.inbox.snapshot() if durable.inbox is not None else None,
        history=node.events.history.others(frozenset(dests.names())),
    )


def _dest(node: LocalNode, transport: DestTransport) -> DestSnapshot:
    now = node.now()
    session = transport.session
    return DestSnapshot(
        dest=transport.dest,
        state=transport.state,
        session=session.index,
        verified=transport.verified,
        draining=transport.peer_leaves,
        heals=transport.counters.heals,
        replayed=transport.counters.replayed + sum(lane.replayed for lane in session.send_lanes.values()),
        duplicates_dropped=transport.counters.duplicates
        + sum(lane.duplicates for lane in session.receive_lanes.values()),
        wires=tuple(_wire(transport, link, now) for link in transport.links),
        slots=tuple(_slot(slot, now) for slot in transport.dialler.pool.slots),
        lanes=tuple(_lanes(transport)),
        cause=_cause(transport),
        retry_in=None if _goes(transport) else transport.dialler.supervisor.retry_in(),
        cold=transport.dialler.supervisor.cold,
        given_up=bool(transport.dialler.supervisor.gave_up),
        history=node.events.history.of(transport.dest),
        streams=node.streams.snapshot(transport),
    )


def _goes(transport: DestTransport) -> bool:
    """Whether what is sent goes out."""
    up = any(link.dependable for link in transport.links)
    return up or (bool(transport.links) and not transport.outbound.holds_messages)


def _cause(transport: DestTransport) -> str:
    if transport.links and not _goes(transport):
        return WAITS_FOR_ANOTHER
    return transport.dialler.supervisor.cause


def _wire(transport: DestTransport, link: Link, now: float) -> WireSnapshot:
    session, path = transport.session, link.wire.path
    bound = [session.lossy_out.wire, session.streams.wire, *(lane.wire for lane in session.send_lanes.values())]
    return WireSnapshot(
        kind=link.wire.kind,
        path=f"{path.route} {path.local} - {path.remote}",
        dialled=link.dialled,
        age=now - link.started_at,
        round_trip=link.meter.round_trip,
        bytes_in=link.bytes_in,
        bytes_out=link.bytes_out,
        frames_in=link.frames_in + link.urgent_in,
        frames_out=link.frames_out,
        buffered=link.wire.buffered_bytes,
        throughput=link.meter.throughput(now),
        wire=repr(link.wire),
        route=path.route,
        local=path.local,
        remote=path.remote,
        state="sick" if link.meter.sick else "in use" if any(link_of(each) is link for each in bound) else "spare",
    )


def _slot(slot: Slot[Link], now: float) -> SlotSnapshot:
    state = slot.state
    return SlotSnapshot(
        endpoint=str(slot.endpoint),
        state=type(state).__name__.lower(),
        dials=slot.dials,
        failures=slot.failures,
        retry_in=max(0.0, state.until - now) if isinstance(state, Cooling) else None,
        last_error=f"{type(slot.last_error).__name__}: {slot.last_error}" if slot.last_error is not None else "",
    )


def _name(strand: Hashable | None) -> str:
    """Of the wire by which a lane is bound; "" if by none."""
    link = link_of(strand)
    return repr(link.wire) if link is not None else ""


def _lanes(transport: DestTransport) -> list[LaneSnapshot]:
    session, inbound = transport.session, transport.inbound
    lanes = []
    # Of an internal lane only one direction may be there.
    sending, receiving = dict(session.send_lanes), dict(session.receive_lanes)
    for number in dict.fromkeys((*sending, *receiving)):
        lane, incoming = lane_out(sending, number), lane_in(receiving, number)
        inbox, inbox_bytes = inbound.pending(number) if inbound is not None else (0, 0)
        lanes.append(
            LaneSnapshot(
                lane=number,
                sent=lane.log.next_number,
                acked=lane.acked.number,
                processed=lane.processed,
                logged=lane.log.count,
                logged_bytes=lane.log.size,
                received=incoming.expected.number,
                delivered=incoming.processed,
                inbox=inbox,
                inbox_bytes=inbox_bytes,
                dropped=lane.log.dropped,
                wire=_name(lane.wire),
                reason=transport.node.mover.why(transport, number),
                urgent=isinstance(lane.wire, UrgentStrand),
            )
        )
    inbox, inbox_bytes = inbound.pending(LOSSY_LANE) if inbound is not None else (0, 0)
    out, incoming_lossy = session.lossy_out, session.lossy_in
    lanes.append(
        LaneSnapshot(
            lane=int(PayloadType.STREAM_LATENCY_FIRST),
            sent=out.next_number,
            acked=0,
            processed=0,
            logged=len(out.queue),
            logged_bytes=out.size,
            received=incoming_lossy.expected,
            delivered=incoming_lossy.expected - incoming_lossy.lost,
            inbox=inbox,
            inbox_bytes=inbox_bytes,
            dropped=out.dropped + incoming_lossy.lost,
            wire=_name(out.wire),
            reason=transport.node.mover.why(transport, LOSSY_LANE),
            urgent=isinstance(out.wire, UrgentStrand),
        )
    )
    return lanes
