"""Acting on handshakes: which session a wire joins, and what its peer is answered.

The decisions are pure (`outproc.session.pairing`); here they are carried out, in the turn they are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from litz.errors import BusyError, HandshakeError, LitzError, ProtocolError, ReplacedError
from litz.events import EndReason
from outproc.frames.records import LeaveReason
from outproc.handshake import (
    Acceptor,
    Initiator,
    Joined,
    JoinReceived,
    Mismatched,
    PeerInfo,
    PeerProved,
    Refused,
)
from outproc.session.identity import Pair
from outproc.session.pairing import (
    Entry,
    JoinAction,
    decide_join,
    decide_ok,
    ends_current,
    joins_at_once,
    paired_with_another,
)
from outproc.session.session import Statement
from outproc.session.tombstones import Finals
from outproc.statements import finals_of, named_of, statement_of, terms_of
from outproc.violations import violated

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport
    from outproc.link import Link, Step

COME_BACK = 1.0
"""Seconds after which an older incarnation may ask again."""

MAX_REJOINS = 4
"""JOINs on one wire without success before it is given up."""


def decide(transport: DestTransport, link: Link, step: Step) -> None:
    """Act on one step of the handshake of a link that leads to the dest of `transport`."""
    if transport.closing and not isinstance(step, JoinReceived | PeerProved | Refused):
        # The goodbye is said: an answer that comes after it joins nothing.
        link.fail(BusyError(f"the transport of {transport.dest} is closing", retry_after=COME_BACK))
        return
    if link.proof.outdated and isinstance(step, JoinReceived | Joined):
        link.fail(BusyError("keys or rights were looked at again meanwhile; ask again", retry_after=COME_BACK))
        transport.leave(link)
        return
    match step:
        case JoinReceived():
            _join_received(transport, link, step)
        case PeerProved():
            if _admit(transport, link, step.peer):
                _join(transport, link)
        case Joined():
            _joined(transport, link, step)
        case Mismatched():
            _mismatched(transport, link, step)
        case Refused():
            _refused(transport, link, step)


# -- both sides -----------------------------------------------------------------------------------------


def _admit(transport: DestTransport, link: Link, peer: PeerInfo) -> bool:
    """Whether the peer's incarnation may have a session now (R13). If not, it has been refused."""
    machine = link.machine
    if transport.closing:
        link.write([machine.refuse("busy", retry_after=COME_BACK, reason="closing")])
        link.failure = BusyError(f"the transport of {transport.dest} is closing", retry_after=COME_BACK)
        link.close()
        return False
    now = transport.node.now()
    if now < transport.faulted_until:
        pause, reason = transport.faulted_until - now, "the last session broke the rules too often; a pause"
        link.write([machine.refuse("busy", retry_after=pause, reason=reason)])
        link.failure = BusyError(f"{peer.id}: {reason}", retry_after=pause)
        link.close()
        return False
    entry = transport.gate.decide(peer.incarnation, wires=len(transport.links), now=now)
    match entry:
        case Entry.BUSY:
            transport.probe()
            reason = "a newer process uses this id; if both live, stop one"
            link.write([machine.refuse("busy", retry_after=COME_BACK, reason=reason)])
            link.failure = BusyError(f"{peer.id}: a newer process of this id is asked now", retry_after=COME_BACK)
            link.close()
            return False
        case Entry.REPLACED:
            link.write([machine.refuse("replaced", reason="a newer process uses this id and is alive")])
            link.failure = HandshakeError(f"{peer.id} is an older process than the one known and alive")
            link.close()
            return False
        case Entry.ADMIT_AFTER_END:
            transport.end_session(EndReason.PEER_RESTARTED, "its clock went back", None)
        case Entry.ADMIT:
            pair = transport.session.pair
            if pair is not None and peer.incarnation > pair.yours.incarnation:
                transport.end_session(EndReason.PEER_RESTARTED, "a new incarnation", None)
    transport.verified = peer.verified
    return True


def _enter(transport: DestTransport, link: Link, stated: Statement) -> bool:
    """Join the link to the session with what the peer stated. False: it broke the rules and was failed."""
    try:
        acked = transport.session.join(link, link.max_frame, stated, dependable=link.dependable)
    except ProtocolError as error:
        violated(transport, link, error, proved=True)
        return False
    if acked:
        # Early data got through, or what an earlier wire had brought: either way there is progress.
        transport.dialler.proved(link)
    transport.outbound.acked(acked)
    return True


# -- the accepting side ---------------------------------------------------------------------------------


def _join_received(transport: DestTransport, link: Link, step: JoinReceived) -> None:
    machine = link.machine
    assert isinstance(machine, Acceptor)
    # R3: whatever session the wire was in, ending that one must not close it.
    transport.leave(link)
    if not _admit(transport, link, step.peer):
        return
    join = step.join
    session = transport.session
    theirs = session.pair.yours if session.pair is not None else None
    action = decide_join(session.mine, theirs, join.mine, join.yours, remembered=transport.gate.remembered)
    if action is JoinAction.STALE:
        link.write([machine.refuse("stale", reason="a newer half is known")])
        link.close()
        return
    if action in (JoinAction.PAIR, JoinAction.RENEW_PAIR):
        pause, reason = COME_BACK, "what was sent in earlier sessions waits to be read"
        if not transport.node.overrun_by(transport.dest):
            pause = transport.node.session_rate.wait(transport.dest, join.mine, transport.node.now())
            reason = "it begins sessions faster than sessions_per_second"
        if pause:
            link.write([machine.refuse("busy", retry_after=pause, reason=reason)])
            link.failure = BusyError(f"{transport.dest}: {reason}", retry_after=pause)
            link.close()
            return
    transport.gate.note(join.mine)
    never_paired = join.yours is not None and paired_with_another(session.pair, Pair(join.yours, join.mine))
    if action in (JoinAction.RENEW_PAIR, JoinAction.RENEW_REFUSE):
        transport.end_session(EndReason.UNKNOWN_TO_PEER, "the peer discarded it", None)
    if action in (JoinAction.MISMATCH, JoinAction.RENEW_REFUSE):
        _answer_mismatch(transport, link, step, never_paired=never_paired)
        return
    session, leaving = transport.session, transport.node.leaving
    if session.pair is None and leaving is not None and not transport.outbound.holds_messages:
        pause = max(0.0, leaving.until - transport.node.now()) + (leaving.returning_in or 0.0) + COME_BACK
        link.write([machine.refuse("busy", retry_after=pause, reason="leaving; use another node")])
        link.failure = BusyError(f"{transport.node.local_id} leaves, and takes no new session", retry_after=pause)
        link.close()
        return
    if session.pair is None:
        session.complete(join.mine)
        transport.paired(link.peer)
    session.receive_credit.squeezed = transport.node.narrowed
    if not _enter(transport, link, statement_of(join.terms)):
        return
    assert session.pair is not None
    link.write([machine.ok(session.pair.mine, session.pair.yours, terms_of(session.statement()))])
    transport.enter(link)


def _answer_mismatch(transport: DestTransport, link: Link, step: JoinReceived, *, never_paired: bool) -> None:
    machine, join = link.machine, step.join
    assert isinstance(machine, Acceptor)
    assert join.yours is not None
    named = Pair(join.yours, join.mine)
    finals = transport.node.tombstones.look_up(named, transport.node.now())
    if finals is None and never_paired:
        finals = Finals({})
    # Of a half that is not ours, or that we gave up long ago, we know nothing.
    final, partial = named_of(finals) if finals is not None else (None, False)
    link.write([machine.mismatch(named.mine, named.yours, final, partial=partial, reason="no such session")])


# -- the dialling side ----------------------------------------------------------------------------------


def _join(transport: DestTransport, link: Link, *, again: bool = False) -> None:
    machine = link.machine
    assert isinstance(machine, Initiator)
    session = transport.session
    pair = session.pair
    if pair is None and transport.node.overrun_by(transport.dest):
        waits = f"what {transport.dest} sent in earlier sessions waits to be read here; read it"
        link.fail(BusyError(waits, retry_after=COME_BACK))
        return
    theirs = pair.yours if pair is not None else None
    link.joins += 1
    link.shown = session.mine
    transport.shown_half.joining(session.mine)
    session.receive_credit.squeezed = transport.node.narrowed
    link.write([machine.join(session.mine, theirs, terms_of(session.statement()))])
    if joins_at_once(pair) and not again:
        # Both sides know this pair: data may follow at once, so that a resume costs one round trip (R1).
        session.join(link, link.max_frame, None, dependable=link.dependable)
        transport.bind_lanes()
        transport.outbound.arm()


def _joined(transport: DestTransport, link: Link, step: Joined) -> None:
    ok = step.ok
    session = transport.session
    theirs = session.pair.yours if session.pair is not None else None
    if ok.mine.incarnation != transport.gate.current:
        transport.leave(link)
        link.fail(HandshakeError(f"a life of {transport.dest} answered that is over"))
        return
    action = decide_ok(session.mine, theirs, ok.mine, ok.yours, remembered=transport.gate.remembered)
    if action is not JoinAction.STALE:
        transport.gate.note(ok.mine)
    if action is JoinAction.RENEW_REFUSE:
        transport.leave(link)
        transport.end_session(EndReason.UNKNOWN_TO_PEER, "the peer discarded it", None)
    if action not in (JoinAction.PAIR, JoinAction.RESUME):
        transport.leave(link)
        link.fail(HandshakeError(f"{transport.dest} answered for a session that is over; dialling again"))
        return
    if action is JoinAction.PAIR:
        session.complete(ok.mine)
        transport.paired(link.peer)
    if _enter(transport, link, statement_of(ok.terms)):
        transport.enter(link)


def _mismatched(transport: DestTransport, link: Link, step: Mismatched) -> None:
    said = step.mismatch
    transport.shown_half.refused(link.shown)
    transport.leave(link)
    if link.peer.incarnation != transport.gate.current:
        # A newer one came while this wire was in its handshake: of the session with that one it knows nothing (R13).
        link.fail(HandshakeError(f"a life of {transport.dest} answered that is over"))
        return
    named = Pair(said.yours, said.mine)
    if ends_current(transport.session.pair, named):
        transport.end_session(EndReason.UNKNOWN_TO_PEER, said.reason or "no such session", finals_of(said))
    if link.joins >= MAX_REJOINS:
        link.fail(HandshakeError(f"{transport.dest} and this node cannot agree on a session over this wire"))
        return
    _join(transport, link, again=True)


def _refused(transport: DestTransport, link: Link, step: Refused) -> None:
    dest = transport.dest
    transport.shown_half.refused(link.shown)
    error: LitzError
    match step.code:
        case "busy":
            said = f"{dest} is busy: {step.reason} (to be tried again in {step.retry_after:g} s)"
            error = BusyError(said, retry_after=step.retry_after)
        case "replaced":
            error = ReplacedError(f"a newer process uses the id {transport.node.local_id!r}; stop one", dest=dest)
        case "duplicate":
            link.dismissed = LeaveReason.DUPLICATE
            error = HandshakeError(f"{dest} keeps another wire of this kind")
        case _:
            error = HandshakeError(f"{dest} refused the session ({step.code}): {step.reason}")
    link.failure = error
    transport.leave(link)
    link.abort()
    if step.code == "replaced" and not transport.closing:
        transport.dialler.stop(error)
        # Gone for good: nobody redials, so nothing may wait here. Who sends again dials again, and is told again.
        transport.end_session(EndReason.REPLACED, step.reason, None, then_close=True)
