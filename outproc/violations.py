"""What a peer pays for breaking the rules: the wire, and for doing it again and again the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litz.errors import ProtocolError, SealBrokenError
from litz.events import EndReason, PeerViolation
from litz.wire import LossReason

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport
    from outproc.link import Link

CURE = "run the same version of litz on both sides, and look for something between them that changes bytes"


def violated(transport: DestTransport, link: Link, error: ProtocolError, *, proved: bool = False) -> None:
    """The peer broke a rule on `link`: the wire is given up, and the session ends if that was once too often.

    It counts for the session only if the link is in it, or has just `proved` that it belongs there: nobody who has
    not said who he is can end a session.
    """
    session, node = transport.session, transport.node
    # A relay that tampers must not be able to end the session of those it relays for.
    by_relay = isinstance(error, SealBrokenError) and link.wire.path.route == "relay"
    too_often = not by_relay and (proved or link in session.wires) and session.faults.broke(node.now())
    link.told = True
    node.emit(PeerViolation(transport.dest, repr(link.wire), str(error)))
    if too_often:
        # Before anything is dialled again. Without a pause sessions would now come and go as fast as wires did.
        transport.faulted_until = node.now() + node.options.backoff_cap
    link.fail(error)
    transport.leave(link)
    if too_often:
        detail = f"its rules were broken {session.faults.count} times in a row, at last so: {error}; {CURE}"
        transport.end_session(EndReason.FAULT, detail, None)


def look_at_end(transport: DestTransport, link: Link) -> None:
    """The wire of `link` is dead: perhaps because the peer broke a rule that is not the session's (a seal, the
    handshake, the protocol of the wire itself)."""
    if link.told or link.cause is None:
        return
    if isinstance(link.failure, ProtocolError):
        violated(transport, link, link.failure)
    elif link.cause.reason is LossReason.PROTOCOL:
        violated(transport, link, ProtocolError(str(link.failure or link.cause)))
