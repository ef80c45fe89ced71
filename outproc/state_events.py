"""What a new reader of events gets first: what is now, as if it had just happened."""

from __future__ import annotations

from collections.abc import Iterable

from litz.events import Event, WireUnusable, WireUp
from outproc.dest_table import DestTable
from outproc.installed_wires import BrokenWire
from outproc.resending import started_event


def state_events(dests: DestTable | None, broken: Iterable[BrokenWire]) -> list[Event]:
    """The wires that cannot be used; then of each dest its session and its wires."""
    events: list[Event] = [WireUnusable("", each.name, each.distribution, each.error) for each in broken]
    for transport in dests.transports() if dests is not None else ():
        if transport.session.pair is not None:
            events.append(started_event(transport))
        events += [WireUp(transport.dest, link.wire.kind, repr(link.wire), link.dialled) for link in transport.links]
    return events
