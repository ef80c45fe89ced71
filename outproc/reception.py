"""Wires that came in, until they have proved which dest they lead to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from litz.errors import BusyError, LitzError, ProtocolError
from litz.events import PeerViolation
from litz.wire import Wire
from outproc.descriptors import for_strangers
from outproc.dest_transport import DestTransport
from outproc.handshake import Acceptor, JoinReceived, unproved_refusal
from outproc.link import Link, Step
from outproc.local_node import LocalNode
from outproc.security.preauth import Busy, PreauthLimiter, Ticket, address_group
from outproc.urgent_strand import UrgentStrand
from outproc.waiting_room import WaitingRoom

FULL_FOR: Final = 5.0
"""Seconds for which a peer is asked to stay away from a node that has no room for it."""


class Reception:
    """Takes wires in, bounded while they are unproved, and hands them to the transport of their dest."""

    def __init__(self, node: LocalNode, transport_for: Callable[[str], DestTransport | None]) -> None:
        self._node = node
        self._transport_for = transport_for
        options = node.options
        deadline = options.handshake_timeout + 1
        self._limiter = PreauthLimiter(
            limit=options.unauthenticated, per_address=options.unauthenticated_per_ip, deadline=deadline
        )
        # Apart from those who knock at a port, and no one peer may have all of it: a hub that brings more than it
        # should keeps nobody out but those who come through it.
        self._introduced = PreauthLimiter(
            limit=options.unauthenticated, per_address=max(1, options.unauthenticated // 4), deadline=deadline
        )
        self._tickets: dict[Link, Ticket] = {}
        self._waiting: WaitingRoom[Wire] = WaitingRoom(for_strangers(options.unauthenticated_waiting))
        self._impatient = node.timers.timer(self._send_away)
        self._letting_in = False
        self.closed = False

    def accept(self, wire: Wire, introducer: str = "") -> None:
        """Begin the handshake on a wire that was not started. One that the session with `introducer` has asked for,
        through a builder, takes no place among the strangers of its address."""
        if self.closed:
            wire.abort()
            return
        if self._node.network is not None:
            self._node.network.needed_for(wire.path.remote)
        now = self._node.now()
        if introducer:
            self._begin(wire, self._introduced.admit(wire.path.remote, now, introducer=introducer))
            return
        group = address_group(wire.path.remote)
        if self._waiting.waits(group) or not self._limiter.has_room(group, now):
            turned_away = self._waiting.enter(wire, group, now + wire.hold())
            self._impatient.at(self._waiting.due)
            if turned_away is not None:
                self._turn_away(turned_away, now)
            return
        self._begin(wire, self._limiter.admit(wire.path.remote, now))

    def _begin(self, wire: Wire, ticket: Ticket | Busy) -> None:
        try:
            link = Link(self._node, wire, self, dest=None, endpoint=None)
        except LitzError as error:
            self._node.emit(PeerViolation("", repr(wire), str(error)))
            wire.abort()
            if isinstance(ticket, Ticket):
                self._give_back(ticket, proved=None)
            return
        if isinstance(ticket, Ticket):
            self._tickets[link] = ticket  # first: a wire may be dead already
        link.start()
        if isinstance(ticket, Busy):
            link.failure = BusyError("too many handshakes at once", retry_after=ticket.retry_after)
            link.write([unproved_refusal("busy", retry_after=ticket.retry_after)])
            link.close()

    def _turn_away(self, wire: Wire, now: float) -> None:
        group = address_group(wire.path.remote)
        self._begin(wire, Busy(self._limiter.retry_after(group, now, ahead=len(self._waiting))))

    def _send_away(self, now: float) -> None:
        """Some have waited for too long."""
        for wire in self._waiting.impatient(now):
            self._turn_away(wire, now)
        self._impatient.at(self._waiting.due)

    def _let_in(self) -> None:
        """There may be room for some who wait."""
        if self._letting_in:
            return  # one that was let in has failed at once: whose turn it is then is asked below
        now, self._letting_in = self._node.now(), True
        try:
            while (wire := self._waiting.next(lambda group: self._limiter.has_room(group, now))) is not None:
                self._begin(wire, self._limiter.admit(wire.path.remote, now))
        finally:
            self._letting_in = False
        self._impatient.at(self._waiting.due)

    def close(self) -> None:
        """Take nobody in any more."""
        self.closed = True
        self._impatient.at(None)
        for wire in self._waiting.empty():
            wire.abort()

    def step(self, link: Link, step: Step) -> None:
        """The peer has proved its id, or gave up."""
        if not isinstance(step, JoinReceived):
            link.close()
            return
        self._release(link, proved=True)
        if not self._node.wires_per_address.enter(link, link.wire.path.remote):
            self._refuse(link, FULL_FOR, "too many wires from this address", "wires_per_ip is reached")
            return
        transport = self._transport_for(step.peer.id)
        if transport is None:
            self._refuse(link, FULL_FOR, "too many dests", "max_dests is reached")
            return
        link.owner = transport
        transport.step(link, step)

    def _refuse(self, link: Link, retry_after: float, told: str, why: str) -> None:
        """Tell a peer that has proved its id to come back later."""
        link.write([link.machine.refuse("busy", retry_after=retry_after, reason=told)])
        link.failure = BusyError(
            f"{why}; the peer is asked to come back in {retry_after:.3g} s", retry_after=retry_after
        )
        link.close()

    def frame(self, link: Link, frame: bytes, strand: UrgentStrand | None = None) -> None:
        """Nothing but the handshake is taken before the proof; what overtook it on a wire without order is dropped."""
        if link.dependable:
            link.fail(ProtocolError("a binary frame before the handshake was complete"))

    def writable(self, link: Link) -> None:
        """Nothing waits to be written here."""

    def ping(self, link: Link, token: int) -> None:
        """Only joined wires are pinged."""

    def silent(self, link: Link) -> None:
        """Only joined wires are pinged."""

    def gone(self, link: Link) -> None:
        """It ended before it proved anything."""
        self._release(link, proved=False)
        machine = link.machine
        claimed = machine.claimed_id if isinstance(machine, Acceptor) else ""
        self._node.emit(PeerViolation(claimed, repr(link.wire), str(link.failure or link.cause)))

    def _release(self, link: Link, *, proved: bool) -> None:
        ticket = self._tickets.pop(link, None)
        if ticket is not None:
            self._give_back(ticket, proved=proved)

    def _give_back(self, ticket: Ticket, *, proved: bool | None) -> None:
        # The one that gave it; the other does not know it. What one peer brings has its share, and earns no more.
        self._introduced.release(ticket)
        self._limiter.release(ticket, self._node.now(), proved=proved)
        if self._waiting:
            self._let_in()
