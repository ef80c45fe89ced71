"""How a wire joins a session at one end: the abstract handshake, decided by `pairing` (R1 to R3, R13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outproc.session.exchange import Statement
from outproc.session.identity import Half, Incarnation, Pair
from outproc.session.pairing import (
    Entry,
    JoinAction,
    decide_join,
    decide_ok,
    ends_current,
    joins_at_once,
    paired_with_another,
)
from outproc.session.tombstones import Finals
from tests.simulation.core.checker import InvariantError
from tests.simulation.core.ends import Link

if TYPE_CHECKING:
    from tests.simulation.core.driver import Peer


class Joining:
    """The part of `Peer` that answers the steps of the handshake."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def send_join(self, link: Link, *, early: bool = True) -> None:
        session = self.peer.session
        link.session = session
        link.joins += 1
        link.answered = False
        link.named = session.pair.yours if session.pair is not None else None
        if link.joins > 1:
            self.peer.world.hits["join again on the same wire"] += 1
        halves = (session.mine, link.named)
        link.write("join", link.joins, self.peer.node.incarnation, halves, session.statement())
        # Data may follow at once, and need not.
        if early and self.peer.world.rng.random() < self.peer.world.plan.early and joins_at_once(session.pair):
            self.peer.world.hits["early data"] += 1
            link.early = 0
            session.join(link, link.wire.max_frame, None, dependable=not link.wire.lossy)
            self.peer.bind_lanes()

    def on_hello(self, link: Link) -> None:
        link.write("challenge", self.peer.node.incarnation)

    def on_challenge(self, link: Link, incarnation: Incarnation) -> None:
        if self._admits(link, incarnation):
            link.life = incarnation
            self.send_join(link)

    def _admits(self, link: Link, incarnation: Incarnation) -> bool:
        wires = [wire for wire in self.peer.session.wires if isinstance(wire, Link)]
        entry = self.peer.gate.decide(incarnation, wires=len(wires), now=self.peer.world.now)
        self.peer.world.hits[f"gate {entry.name}"] += 1
        if entry is Entry.REPLACED and self.peer.world.nodes[self.peer.id].incarnation == incarnation:
            raise InvariantError("replaced-by-the-living", f"{link} is told of a successor, and there is none")
        pair = self.peer.session.pair
        if entry is Entry.ADMIT and pair is not None and incarnation > pair.yours.incarnation:
            # The session is with a life that is over. Kept, its wires would answer for the new one.
            self.peer.world.hits["higher incarnation ends session"] += 1
            self.peer.end_session(None, cause=True)
        if entry is Entry.ADMIT_AFTER_END:
            # Twice asked and nobody there to contradict: even if it was the late word of a dead life.
            self.peer.end_session(None, cause=not self.peer.session.wires)
        if entry in (Entry.BUSY, Entry.REPLACED):
            for wire in wires:
                self.peer.ping(wire)
            link.close()
            return False
        return True

    def on_join(
        self, link: Link, number: int, incarnation: Incarnation, halves: tuple[Half, Half | None], stated: Statement
    ) -> None:
        half, wanted = halves
        if link.session is not None:
            link.session.leave(link, self.peer.world.now)
            link.session = None
            self.peer.bind_lanes()
        link.joins = number
        if not self._admits(link, incarnation):
            return
        action = self._decide_join(half, wanted)
        self.peer.world.hits[f"join {action.name}"] += 1
        if action is JoinAction.STALE:
            self.peer.world.hits["delayed old join"] += 1
            link.close()
            return
        never_paired = wanted is not None and paired_with_another(self.peer.session.pair, Pair(wanted, half))
        if action in (JoinAction.RENEW_PAIR, JoinAction.RENEW_REFUSE):
            self.peer.end_session(None, cause=self._other_life(half))
        self.peer.gate.note(half)
        if action in (JoinAction.MISMATCH, JoinAction.RENEW_REFUSE):
            assert wanted is not None
            self._refuse_pair(link, Pair(wanted, half), never_paired=never_paired)
            return
        if self.peer.session.pair is None:
            self.peer.session.complete(half)
            self.peer.world.checker.paired(self.peer.session)
        link.session = self.peer.session
        statement = self.peer.session.statement()
        link.write("ok", number, self.peer.session.mine, half, statement)
        self.peer.enter(link, stated)

    def _decide_join(self, half: Half, wanted: Half | None) -> JoinAction:
        session = self.peer.session
        theirs = session.pair.yours if session.pair is not None else None
        return decide_join(session.mine, theirs, half, wanted, remembered=self.peer.gate.remembered)

    def _other_life(self, half: Half) -> bool:
        """Whether `half` is of another incarnation than our session's peer. A higher one wins, even when it is a late
        word of a life whose clock was ahead: that is the price of ordered incarnations, and it is loud."""
        pair = self.peer.session.pair
        return pair is not None and pair.yours.incarnation != half.incarnation

    def _refuse_pair(self, link: Link, pair: Pair, *, never_paired: bool) -> None:
        finals = self.peer.node.tombstones.look_up(pair, self.peer.world.now)
        if finals is None and never_paired:
            self.peer.world.hits["mismatch for a half paired with another"] += 1
            finals = Finals({})
        self.peer.world.hits["mismatch unknown" if finals is None else "mismatch with finals"] += 1
        if finals is not None:
            finals = link.named_of(finals)
            self.peer.world.hits["mismatch names not all"] += finals.partial
        self.peer.world.checker.refused(link, pair)
        if finals is None and pair.mine.incarnation == self.peer.node.incarnation:
            self.peer.world.checker.not_known(pair)
        link.session = None
        link.write("mismatch", link.joins, pair.mine, pair.yours, finals)

    def on_ok(self, link: Link, number: int, half: Half, named: Half, stated: Statement) -> None:
        if number != link.joins or link.answered:
            return
        link.answered = True
        if half.incarnation != self.peer.gate.current:
            # A late word of a life that is over.
            self.peer.world.hits["ok of a dead life"] += 1
            link.close()
            return
        session = self.peer.session
        theirs = session.pair.yours if session.pair is not None else None
        action = decide_ok(session.mine, theirs, half, named, remembered=self.peer.gate.remembered)
        self.peer.world.hits[f"ok {action.name}"] += 1
        if action is JoinAction.RENEW_REFUSE:
            link.close()
            self.peer.end_session(None, cause=self._other_life(half))
            self.peer.gate.note(half)
        elif action in (JoinAction.PAIR, JoinAction.RESUME):
            self.peer.gate.note(half)
            if action is JoinAction.PAIR:
                self.peer.session.complete(half)
                self.peer.world.checker.paired(self.peer.session)
            link.session = self.peer.session
            self.peer.enter(link, stated)
        else:
            link.close()

    def on_mismatch(self, link: Link, number: int, theirs: Half, ours: Half, finals: Finals | None) -> None:
        if number != link.joins:
            return
        if link.session is not None:
            link.session.leave(link, self.peer.world.now)
            link.session = None
            self.peer.bind_lanes()
        if link.life != self.peer.gate.current:
            self.peer.world.hits["mismatch of a dead life"] += 1
            link.close()
            return
        if ends_current(self.peer.session.pair, Pair(ours, theirs)):
            self.peer.world.hits["mismatch ends session"] += 1
            self.peer.end_session(finals)
        else:
            self.peer.world.hits["mismatch spares session"] += 1
        if link.alive:
            self.send_join(link, early=False)
