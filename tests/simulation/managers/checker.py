"""The checker: it stands outside litz, and judges by what users sent, were handed, and were told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from litz.events import (
    EventGap,
    LostReceipt,
    MessagesDropped,
    MessagesSkipped,
    Outcome,
    ResentReceipt,
    SessionEnded,
    SessionStarted,
    WireDown,
    WireUp,
)
from litz.message import Message, Receipt
from litz.payload import REPLY_LANE, PayloadType
from litz.testing.sim_wire import SimWire
from litz.wire import Endpoint
from outproc.dest_transport import DestTransport
from outproc.session.fixed_lanes import INTERNAL_LANES
from outproc.session.session import Session
from tests.simulation.managers.directory import FORBIDDEN
from tests.simulation.managers.record import InvariantError, Sent, uid_of
from tests.simulation.managers.resends import Resends, session_of
from tests.simulation.managers.violations import check_violations

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

LOSSY = PayloadType.STREAM_LATENCY_FIRST
DIALS_FREE = 20
DIALS_PER_FAULT = 2
DIALS_PER_ROUND = 2
"""A round that a user began, because the dest was not there, begins with a dial at once."""
REDIALS = 8
REDIALS_PER_SECOND = 2
"""Of a wire that is well and breaks, again and again, so many are dialled at once (P6). Each begins the backoff anew,
but what more that makes is among those that are free."""
DIALS_PER_SECOND = 3
"""Of the time that slow wires are given: by the backoff, with some that a wire makes which is displaced again."""
SIGNAL_AND_LOSSY = 2
"""Lanes that are exempt from the credit of the session."""
LEFT_LANES = 64 + 2 * 5
"""Of ended sessions with one dest: what may be left when the last one began, its own, and those of the one before."""


@dataclass(slots=True)
class Incoming:
    """What one life was handed in one session."""

    life: Life
    sender: Life
    next: dict[int, int] = field(default_factory=dict)
    holes: list[tuple[int, int, int]] = field(default_factory=list)
    """(lane, first, last)"""


class Checker:
    """Told of everything at both ends; raises `InvariantError`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sent: list[Sent] = []
        self.incoming: dict[Session, Incoming] = {}
        self.latest: dict[tuple[Life, str, int], int] = {}
        self.delivered = 0
        self.resends = Resends(world)
        self.detached: dict[Session, float] = {}
        """Since when a session has no wire, as far as seen."""

    # -- sending ------------------------------------------------------------------------------------

    def send(self, life: Life, dest: str, lane: int, data: bytes) -> Sent:
        """A user is about to send this."""
        sent = Sent(len(self.sent), life, dest, lane, data)
        self.sent.append(sent)
        return sent

    def accepted(self, sent: Sent, receipt: Receipt) -> None:
        sent.receipt, sent.state = receipt, "accepted"
        self.world.ends.accepted(sent, receipt)
        if receipt[0].dest != sent.dest or receipt[0].lane != sent.lane:
            raise InvariantError("intact", f"{sent!r} got {receipt!r}")
        numbers = self.resends.numbers(sent)
        for _, _, number in sent.handed:
            if number not in numbers:
                raise InvariantError("intact", f"{sent!r} was handed out as number {number}, its receipt: {receipt!r}")

    # -- receiving ----------------------------------------------------------------------------------

    def handed(self, life: Life, message: Message) -> None:
        """A consumer of `life` got this message."""
        if life.crashed:
            return
        uid = uid_of(message.data)
        if uid >= len(self.sent):
            raise InvariantError("intact", f"{life} got a message nobody sent: {message!r}")
        sent = self.sent[uid]
        self.world.log(life, "got", uid, "lane", int(message.payload_type), "number", message.number)
        if not self.resends.again_here(sent, message):
            self._check_content(life, sent, message)
            self.resends.handed(life, sent, message)
            self._check_order(life, sent, message)

    def _check_content(self, life: Life, sent: Sent, message: Message) -> None:
        if message.data != sent.data:
            raise InvariantError("intact", f"{sent!r} changed: {len(message.data)} bytes of {len(sent.data)}")
        about = (message.sender, life.name, int(message.payload_type))
        if about != (sent.life.name, sent.dest, sent.lane):
            raise InvariantError("intact", f"{sent!r} came as {message!r} to {life}")
        if sent.receipt is not None and message.number not in self.resends.numbers(sent):
            raise InvariantError("intact", f"{sent!r} came as number {message.number}")
        if not message.redelivered and self.resends.came_before(life, sent):
            raise InvariantError("exactly-once", f"{life} got {sent!r} again, after {sent.handed[0][0]}")
        if sent.state == "refused":
            raise InvariantError("loud", f"{sent!r} was refused, and {life} got it")
        if message.verified != self.world.plan.proofs.verified:
            raise InvariantError("proved", f"{sent!r} came with verified={message.verified}")

    def _check_order(self, life: Life, sent: Sent, message: Message) -> None:
        session = session_of(message)
        incoming = self.incoming.get(session)
        if incoming is None:
            incoming = self.incoming[session] = Incoming(life, sent.life)
        if incoming.sender is not sent.life:
            raise InvariantError("in-order", f"{life} got {sent!r} in a session with {incoming.sender}")
        lane, number = sent.lane, message.number
        expected = incoming.next.get(lane, 0)
        if number < expected:
            raise InvariantError("in-order", f"{life} got {sent!r} as {number} after {expected - 1}")
        if number > expected:
            incoming.holes.append((lane, expected, number - 1))
        incoming.next[lane] = number + 1
        before = self.latest.get((life, message.sender, lane), -1)
        if session.index < before:
            raise InvariantError("in-order", f"{life} got {sent!r} of session {session.index} after one of {before}")
        self.latest[life, message.sender, lane] = session.index
        sent.handed.append((life, session.index, number))
        self.delivered += 1
        self.world.loop.note(sent.uid, number)

    # -- dialling -----------------------------------------------------------------------------------

    def dialling(self, life: Life, dest: str, endpoint: Endpoint) -> None:
        """`life` dials. Only what is not up may be dialled, and one dial at a time."""
        self.world.log(life, "dials", endpoint)
        if life.crashed:
            return
        if FORBIDDEN in endpoint.address:
            raise InvariantError("filtered", f"{life} dials {endpoint}")
        if not life.manager._home.open and not life.manager._entered:
            raise InvariantError("closed", f"{life} dials {endpoint} after its end")
        if life.dialling.get((dest, endpoint)):
            raise InvariantError("one-dial", f"{life} dials {endpoint} twice at once")
        for transport in life.transports():
            for link in transport.links if transport.dest == dest else ():
                same = link.endpoint == endpoint if link.dialled else link.wire.kind == endpoint.kind
                # One of an endpoint that was not listed any more when its dial had succeeded is closed by its own side.
                leaves = isinstance(link.wire, SimWire) and link.wire.is_closing
                if same and link.in_session and not leaves:
                    raise InvariantError("one-dial", f"{life} dials {endpoint} while {link!r} is up")
        self.world.ends.dialling(life, dest, endpoint)
        dials = life.dials[dest, endpoint] = life.dials.get((dest, endpoint), 0) + 1
        limit = DIALS_FREE + DIALS_PER_FAULT * self.world.faults + DIALS_PER_SECOND * self.world.plan.carrying
        again = REDIALS + REDIALS_PER_SECOND * self.world.plan.seconds
        # A flap resets wires some milliseconds after they came up; many have carried an answer by then.
        limit += again if "flap" in self.world.plan.faults else min(life.broken.get((dest, endpoint), 0), again)
        if dials > limit and dials > limit + DIALS_PER_ROUND * life.rounds(dest):
            raise InvariantError("one-dial", f"{life} has dialled {endpoint} {dials} times, without backoff")

    # -- limits -------------------------------------------------------------------------------------

    def bounded(self, life: Life) -> None:
        """Everything within its limit, now."""
        options, node = life.options, life.node
        for transport in life.transports():
            self._check_kept(life, transport)
            for number, lane in transport.session.send_lanes.items():
                log, limits = lane.log, lane.limits
                if log.count > limits.log_messages or (log.size > limits.log_size and log.count > 1):
                    self._over(life, f"log of lane {number}: {log.count} messages, {log.size} bytes")
                if len(log.segments) > 2 * limits.log_messages + 3:
                    self._over(life, f"log of lane {number}: {len(log.segments)} segments")
                if transport.inbound is None or number == REPLY_LANE:
                    continue
                messages, size = transport.inbound.pending(number)
                if messages > options.window_messages or size > options.window_size:
                    self._over(life, f"inbox of lane {number}: {messages} messages, {size} bytes")
            messages, size = transport.inbound.pending(LOSSY) if transport.inbound is not None else (0, 0)
            if messages > options.window_messages or size > options.window_size:
                self._over(life, f"inbox of latency first: {messages} messages, {size} bytes")
            if len(transport.links) > options.max_wires:
                self._over(life, f"{len(transport.links)} wires with {transport.dest}")
        if len(node.tombstones) > options.max_tombstones:
            self._over(life, f"{len(node.tombstones)} tombstones")
        if len(node.links) > 64 or len(node.tasks) > 64:
            self._over(life, f"{len(node.links)} links, {len(node.tasks)} tasks")
        lanes_out = [lane for transport in life.transports() for lane in transport.session.send_lanes.values()]
        logged = sum(lane.log.size for lane in lanes_out if lane.lane not in INTERNAL_LANES)
        # One answer for each dest may go beyond it.
        beyond = len(life.transports()) * options.max_message
        if logged > max(options.process_log_size, options.max_message) + beyond:
            self._over(life, f"{logged} bytes in all logs")
        # What was granted before the process was full may still come, and one message for each empty lane: of the
        # session that lives, and of the one before it, which may have ended full of what nobody has read (P5).
        granted = options.session_window_size + SIGNAL_AND_LOSSY * options.window_size
        granted = (2 * granted + options.max_message) * len({dest for dest, _ in life.pairs})
        if life.manager._inbox.pending_bytes > options.process_window_size + granted:
            self._over(life, f"{life.manager._inbox.pending_bytes} bytes in the inbox")
        for dest in {dest: None for dest, _ in life.pairs}:
            if (lanes := life.manager._inbox.left_by(dest)[0]) > LEFT_LANES:
                self._over(life, f"{lanes} lanes of ended sessions with {dest} wait to be read")
        self.world.hits["process inbox full"] += node.inbox_full
        self.world.hits["process log full"] += node.log_budget.left < 0 or bool(node.log_budget._waiting)

    def _check_kept(self, life: Life, transport: DestTransport) -> None:
        """A session without wires ends in time."""
        session, now = transport.session, self.world.loop.time()
        if transport.links or session.pair is None or transport.closing:
            self.detached.pop(session, None)
            return
        since = self.detached.setdefault(session, now)
        kept = life.options.session_kept
        if now - since > kept + 0.2 and not self.world.stalled_since(since):
            raise InvariantError("bounded", f"{life} keeps a session with {transport.dest} for {now - since:.2f} s")

    def _over(self, life: Life, what: str) -> None:
        raise InvariantError("bounded", f"{life}: {what}")

    # -- at the end ---------------------------------------------------------------------------------

    def finish(self, lives: Iterable[Life]) -> None:
        """All are closed: is the story complete?"""
        lives = list(lives)
        dropped: dict[tuple[Life, str, int], set[int]] = {}
        skipped: dict[tuple[Life, str, int], set[int]] = {}
        for life in lives:
            self._check_events(life)
            check_violations(life)
            self.world.sleeps.check_events(life)
            for _, event in life.events:
                if isinstance(event, MessagesDropped):
                    span = range(event.first, event.last + 1)
                    dropped.setdefault((life, event.dest, event.lane), set()).update(span)
                elif isinstance(event, MessagesSkipped):
                    span = range(event.first, event.last + 1)
                    skipped.setdefault((life, event.dest, event.lane), set()).update(span)
        for life in lives:
            if not life.crashed:
                self._take_lost(life)
        for sent in self.sent:
            self._check_told(sent, dropped.get((sent.life, sent.dest, sent.lane), set()), lives)
        self._check_holes(skipped, dropped)

    def _check_holes(
        self,
        skipped: dict[tuple[Life, str, int], set[int]],
        dropped: dict[tuple[Life, str, int], set[int]],
    ) -> None:
        for incoming in self.incoming.values():
            life, sender = incoming.life, incoming.sender
            if life.crashed or sender.crashed:
                continue
            unasked = sum(s.given_up and not s.handed and (s.life, s.dest) == (sender, life.name) for s in self.sent)
            for lane, first, last in incoming.holes:
                told = skipped.get((life, sender.name, lane), set())
                real = dropped.get((sender, life.name, lane), set())
                for number in range(first, last + 1) if lane != LOSSY else ():
                    if number in told and number in real:
                        continue
                    if lane == PayloadType.RPC_RELIABLE and unasked:
                        unasked -= 1
                        continue
                    raise InvariantError("in-order", f"{life} passed over number {number} of lane {lane}")

    def _take_lost(self, life: Life) -> None:
        by_receipt = {
            receipt: sent
            for sent in self.sent
            if sent.life is life and sent.receipt is not None
            for receipt in self.resends.receipts(life, sent.receipt)
        }
        unsure = {(s.dest, s.lane) for s in self.sent if s.life is life and s.state in ("doubtful", "pending")}
        seen: set[Receipt] = set()
        for _, event in life.events:
            listed: list[LostReceipt | ResentReceipt] = []
            if isinstance(event, SessionEnded):
                listed = [*event.lost, *event.resent]
            for entry in listed:
                receipt = entry.receipt
                if receipt in seen:
                    raise InvariantError("loud", f"{life} lists {receipt!r} twice")
                seen.add(receipt)
                sent = by_receipt.get(receipt)
                if sent is not None:
                    sent.lost = entry if isinstance(entry, LostReceipt) else sent.lost
                elif receipt[0].lane != REPLY_LANE and (receipt[0].dest, receipt[0].lane) not in unsure:
                    raise InvariantError("loud", f"{life} lists {receipt!r}, which nobody sent")

    def _check_told(self, sent: Sent, dropped: set[int], lives: list[Life]) -> None:
        if sent.lost is not None:
            if sent.handed and sent.lost.outcome is Outcome.NEVER_ACCEPTED:
                raise InvariantError("loud", f"{sent!r} is listed as never accepted, and was delivered")
            if sent.confirmed:
                raise InvariantError("loud", f"{sent!r} was confirmed, and is listed as lost")
            return
        if sent.state != "accepted" or sent.lane == LOSSY or sent.life.crashed:
            return
        assert sent.receipt is not None
        latest = self.resends.receipts(sent.life, sent.receipt)[-1]
        if latest[1] in dropped:
            return
        self.resends.check_told(sent, latest, lives)
        if sent.handed:
            return
        where = sent.life.pairs.get((sent.dest, latest[0].session))
        gone = [life for life in lives if life.name == sent.dest and life.ended]
        if where is not None:
            gone = [life for life in gone if life.incarnation == where]
        if not gone:
            raise InvariantError("loud", f"{sent!r} ({sent.receipt!r}) was neither delivered nor listed, with {where}")

    def _check_events(self, life: Life) -> None:
        started: dict[str, int] = {}
        ended: dict[str, int] = {}
        up: dict[str, int] = {}
        for index, (number, event) in enumerate(life.events):
            if number != index or isinstance(event, EventGap):
                raise InvariantError("events", f"{life}: event {index} is {number}: {event}")
            dest = event.dest
            if isinstance(event, SessionStarted):
                if event.session <= max(started.get(dest, -1), ended.get(dest, -1)):
                    raise InvariantError("events", f"{life}: {event} after session {started.get(dest)}")
                started[dest] = event.session
            elif isinstance(event, SessionEnded):
                if event.session <= ended.get(dest, -1):
                    raise InvariantError("events", f"{life}: {event} twice")
                ended[dest] = event.session
            elif isinstance(event, WireUp):
                up[dest] = up.get(dest, 0) + 1
                if started.get(dest, -1) <= ended.get(dest, -1):
                    raise InvariantError("events", f"{life}: {event} without a session")
            elif isinstance(event, WireDown):
                up[dest] = up.get(dest, 0) - 1
                if up[dest] != event.wires_left:
                    raise InvariantError("events", f"{life}: {event}, but {up[dest]} wires are up")
        if not life.crashed and not life.alive:
            open_ones = [dest for dest in started if started[dest] > ended.get(dest, -1) or up.get(dest)]
            if open_ones:
                raise InvariantError("events", f"{life} has closed; the sessions with {open_ones} never ended")
