"""What is demanded of a node whose peer breaks the rules, read off the events that it told its user."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from litz.events import EndReason, PeerViolation, SessionEnded, SessionStarted, WireDown, WireUp
from outproc.session.limits import SessionLimits
from tests.simulation.managers.record import InvariantError

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life

LIMIT = SessionLimits().max_faults
OUT_OF_TURN = (" frame for a", " frame before ", " for JOIN ", "after JOIN ")
"""What is said of a handshake whose frames come twice, or in another order."""


def check_violations(life: Life) -> None:
    """No run lasts long enough for anything to be forgiven, so the numbers are exact: the wire for each violation,
    the session for the last of `max_faults`, and with a text that says what to do. Of itself no peer loses a frame."""
    relayed = [kind for kind, nature in life.world.plan.natures.items() if nature.get("route") == "relay"]
    tampered = life.world.spoiler.active or bool({"frame changed", "frame doubled"} & set(life.world.plan.faults))
    honest = not tampered and "impostor" not in life.world.plan.faults
    cost = {(event.dest, event.wire, event.cause) for _, event in life.events if isinstance(event, WireDown)}
    current: dict[str, int] = {}
    session_of: dict[tuple[str, str], int] = {}
    down: set[tuple[str, str]] = set()
    """Wires that were out of their session, for another reason, before it was told what had been wrong with them."""
    told: Counter[tuple[str, int]] = Counter()
    counted: Counter[tuple[str, int]] = Counter()
    for _, event in life.events:
        dest = event.dest
        if isinstance(event, PeerViolation) and " jumped " in event.detail and not life.world.spoiler.active:
            raise InvariantError("violations", f"{life}: {event}, and nothing had spoiled a frame")
        if isinstance(event, SessionStarted):
            current[dest] = event.session
        elif isinstance(event, WireDown):
            down.add((dest, event.wire))
        elif isinstance(event, WireUp) and dest in current:
            down.discard((dest, event.wire))
            session_of[dest, event.wire] = current[dest]
        elif isinstance(event, PeerViolation) and "sealed frame" in event.detail and event.wire[1:4] in relayed:
            continue  # a relay that tampers ends no session of those it relays for
        elif isinstance(event, PeerViolation) and honest and any(word in event.detail for word in OUT_OF_TURN):
            raise InvariantError("violations", f"{life}: {event}, and everybody keeps the rules")
        elif isinstance(event, PeerViolation) and dest in current:
            now = current[dest]
            told[dest, now] += 1
            if (dest, event.wire) not in down and (dest, event.wire, event.detail) in cost:
                counted[dest, now] += session_of.get((dest, event.wire)) == now
            if counted[dest, now] > LIMIT:
                raise InvariantError("violations", f"{life}: {counted[dest, now]} in session {now}: {event}")
        elif isinstance(event, SessionEnded):
            if current.get(dest) == event.session:
                del current[dest]
            if event.reason is not EndReason.FAULT:
                continue
            if not tampered:
                raise InvariantError("violations", f"{life}: {event}, and everybody keeps the rules")
            if told[dest, event.session] < LIMIT:
                raise InvariantError("violations", f"{life}: {event} after {told[dest, event.session]} violations")
            if "version" not in event.detail:
                raise InvariantError("violations", f"{life}: {event} names no cure")
